// What a program's netlink calls cost in the kernel, and what it costs in all: preloaded (LD_PRELOAD) into nft, it writes "KERNEL_NS ALL_NS", of CPU time, to the file
// $NETLINK_TIME as the program ends.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static long inside;

// Of this program's own CPU time: what else runs on the machine is not in it.
static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

#define TIMED(name, parameters, arguments)                       \
  ssize_t name parameters {                                      \
    static ssize_t(*real) parameters;                            \
    if (real == NULL) real = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name); \
    long begin = now();                                          \
    ssize_t result = real arguments;                             \
    inside += now() - begin;                                     \
    return result;                                               \
  }

TIMED(sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
TIMED(recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
TIMED(sendto, (int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size), (fd, data, length, flags, to, size))

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("NETLINK_TIME");
  FILE *file = path == NULL ? NULL : fopen(path, "w");
  if (file == NULL) return;
  fprintf(file, "%ld %ld\n", inside, now());
  fclose(file);
}
