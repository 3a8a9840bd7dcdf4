// When a Service leads to an endpoint: keeps connecting to ADDRESS:80 until a connection arrives at ENDPOINT:8080, an address of this machine, then prints the time in ns
// (CLOCK_MONOTONIC). Eight connections a round, since several endpoints share them; a round each 0.5 ms, and later each thousandth of the time it has taken: at one pace
// a third of a core would go into the question.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000L + at.tv_nsec;
}

static struct sockaddr_in place(const char *address, int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  if (inet_pton(AF_INET, address, &at.sin_addr) != 1) exit(2);
  return at;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct sockaddr_in service = place(argv[1], 80), endpoint = place(argv[2], 8080);
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&endpoint, sizeof endpoint) != 0 || listen(listener, 64) != 0) return 1;
  printf("listening\n");
  fflush(stdout);
  long begin = now();
  for (;;) {
    for (int i = 0; i < 8; i++) {
      int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      // Reset on close: nothing is left waiting.
      struct linger at_once = {.l_onoff = 1, .l_linger = 0};
      setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      (void)connect(s, (struct sockaddr *)&service, sizeof service);
      int arrived = accept(listener, NULL, NULL);
      if (arrived >= 0) {
        printf("%ld\n", now());
        return 0;
      }
      close(s);
    }
    usleep((useconds_t)(500 + (now() - begin) / 1000000));
  }
}
