// TCP connections that stay open between network namespaces, and datagrams that no policy admits, in one process:
//   steady-flows CLIENT-NETNS SERVER-NETNS SERVER-ADDRESS ...
// Each connection carries a message and its echo every 10 ms, from the client's namespace to port 8080 of the server's;
// beside it goes a datagram to port 9. When stdin ends it prints a line for each connection:
//   SENT ECHOED RETRANSMITTED ADMITTED
// RETRANSMITTED is what the kernel sent again at either end (tcpi_total_retrans), so one lost packet is seen;
// ADMITTED counts datagrams that arrived.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FLOWS 100
#define MESSAGE 64

struct flow {
  int client, server, datagrams, sink;
  struct sockaddr_in to;
  long sent, echoed, admitted;
};

static struct flow flows[MAX_FLOWS];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void enter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) die(path);
  close(fd);
}

static int bound(int type, int port) {
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  int on = 1;
  // Connections of an earlier run linger.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) die("bind");
  return fd;
}

static void open_flow(struct flow *flow, const char *client, const char *server, const char *address) {
  flow->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(8080)};
  if (inet_pton(AF_INET, address, &flow->to.sin_addr) != 1) die(address);
  enter(server);
  int listener = bound(SOCK_STREAM, 8080);
  if (listen(listener, 1) != 0) die("listen");
  flow->sink = bound(SOCK_DGRAM, 9);
  enter(client);
  flow->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  flow->datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (connect(flow->client, (struct sockaddr *)&flow->to, sizeof flow->to) != 0) die(address);
  flow->to.sin_port = htons(9);
  flow->server = accept(listener, NULL, NULL);
  if (flow->server < 0) die("accept");
  close(listener);
  int on = 1;
  setsockopt(flow->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(flow->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/** Bytes that wait, none where the peer is silent. */
static ssize_t take(int fd, char *data, size_t length) {
  ssize_t got = recv(fd, data, length, MSG_DONTWAIT);
  if (got < 0 && errno != EAGAIN) die("recv");
  return got < 0 ? 0 : got;
}

static void serve(struct flow *flow) {
  char data[MESSAGE * 64];
  ssize_t got = take(flow->server, data, sizeof data);
  if (got > 0 && send(flow->server, data, got, MSG_NOSIGNAL) != got) die("echo");
  flow->echoed += take(flow->client, data, sizeof data);
  while (take(flow->sink, data, sizeof data) > 0) flow->admitted++;
}

static void talk(struct flow *flow) {
  char data[MESSAGE] = {0};
  if (send(flow->client, data, sizeof data, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof data) flow->sent += sizeof data;
  // What a policy denies is dropped, or refused: neither is an error here.
  sendto(flow->datagrams, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&flow->to, sizeof flow->to);
}

static unsigned retransmitted(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) die("TCP_INFO");
  return info.tcpi_total_retrans;
}

int main(int argc, char **argv) {
  int count = (argc - 1) / 3;
  if (count < 1 || count > MAX_FLOWS || argc != count * 3 + 1) return 2;
  for (int i = 0; i < count; i++) open_flow(&flows[i], argv[i * 3 + 1], argv[i * 3 + 2], argv[i * 3 + 3]);
  puts("open");
  fflush(stdout);
  for (struct pollfd in = {.fd = 0, .events = POLLIN}; poll(&in, 1, 10) == 0;)
    for (int i = 0; i < count; i++) {
      talk(&flows[i]);
      serve(&flows[i]);
    }
  // The last messages are on their way.
  for (int rest = 0; rest < 100; rest++) {
    usleep(10000);
    for (int i = 0; i < count; i++) serve(&flows[i]);
  }
  for (int i = 0; i < count; i++)
    printf("%ld %ld %u %ld\n", flows[i].sent, flows[i].echoed,
           retransmitted(flows[i].client) + retransmitted(flows[i].server), flows[i].admitted);
  return 0;
}
