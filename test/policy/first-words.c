// A pod that speaks from its first instruction on: `first-words MS PORT ADDRESS...` sends a datagram to each address every millisecond, and listens on UDP port 80 all the
// while. What it heard it prints, a line each; then how often it sent.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int out = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), in = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(80)};
  if (argc < 4 || out < 0 || in < 0 || bind(in, (struct sockaddr *)&here, sizeof here) != 0) return 1;
  long sent = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int turn = 0; turn < atoi(argv[1]); turn++) {
    for (int i = 3; i < argc; i++) {
      struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
      if (inet_pton(AF_INET, argv[i], &to.sin_addr) != 1) return 1;
      if (sendto(out, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1) sent++;
    }
    char byte;
    struct sockaddr_in from;
    for (socklen_t length = sizeof from; recvfrom(in, &byte, 1, 0, (struct sockaddr *)&from, &length) == 1; length = sizeof from) printf("heard %s\n", inet_ntoa(from.sin_addr));
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  printf("sent %ld\n", sent);
  return 0;
}
