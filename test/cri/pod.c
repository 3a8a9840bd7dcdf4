// The one program of the tests' image, static, since the image holds nothing else:
//
//   pod pause             holds a sandbox's namespaces until it is told to end
//   pod serve PORT        answers each connection with "HOSTNAME ADDRESS-OF-THE-CLIENT"
//   pod ask ADDRESS PORT  prints that answer; exit code 1 when none came within two seconds
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// PID 1 ignores what it does not handle.
static void end(int signal) { _exit(signal == SIGTERM ? 0 : 1); }

static int serve(struct sockaddr_in here) {
  char host[65] = "", client[INET_ADDRSTRLEN], answer[128];
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  gethostname(host, sizeof host - 1);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 128) != 0) return perror("listen"), 1;
  for (;;) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    int asked = accept(listener, (struct sockaddr *)&from, &size);
    if (asked < 0) continue;
    int length = snprintf(answer, sizeof answer, "%s %s\n", host, inet_ntop(AF_INET, &from.sin_addr, client, sizeof client));
    (void)send(asked, answer, (size_t)length, MSG_NOSIGNAL);
    close(asked);
  }
}

static int ask(struct sockaddr_in there) {
  char answer[128];
  struct timeval limit = {.tv_sec = 2};
  int asked = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(asked, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(asked, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(asked, (struct sockaddr *)&there, sizeof there) != 0) return perror("connect"), 1;
  ssize_t length = recv(asked, answer, sizeof answer, MSG_WAITALL);
  if (length <= 0) return fputs("no answer\n", stderr), 1;
  return fwrite(answer, 1, (size_t)length, stdout) != (size_t)length;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  signal(SIGTERM, end);
  signal(SIGINT, end);
  if (argc == 2 && strcmp(argv[1], "pause") == 0)
    for (;;) pause();
  if (argc < 3) return 2;
  address.sin_port = htons((uint16_t)atoi(argv[argc - 1]));
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(address);
  if (argc == 4 && strcmp(argv[1], "ask") == 0 && inet_pton(AF_INET, argv[2], &address.sin_addr) == 1) return ask(address);
  return 2;
}
