// What a packet costs: sends COUNT UDP datagrams to ADDRESS:80 and prints the median of the sends in ns. Each comes from a fresh socket and is the first of a flow; with a
// third argument `open` all come from one.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int by_size(const void *a, const void *b) {
  long x = *(const long *)a, y = *(const long *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int one = argc > 3 && strcmp(argv[3], "open") == 0 ? socket(AF_INET, SOCK_DGRAM, 0) : -1;
  int count = atoi(argv[2]);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  if (count < 1 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  long *took = calloc((size_t)count, sizeof *took);
  if (took == NULL) return 1;
  for (int i = 0; i < count; i++) {
    struct timespec begin, end;
    int s = one >= 0 ? one : socket(AF_INET, SOCK_DGRAM, 0);
    if (s < 0) return 1;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    // A refusal by the rules is an answer too.
    (void)sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
    clock_gettime(CLOCK_MONOTONIC, &end);
    took[i] = (end.tv_sec - begin.tv_sec) * 1000000000L + (end.tv_nsec - begin.tv_nsec);
    if (s != one) close(s);
  }
  qsort(took, (size_t)count, sizeof *took, by_size);
  printf("%ld\n", took[count / 2]);
  return 0;
}
