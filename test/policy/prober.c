// Packets for the reachability matrix. One process stands in every network namespace at once: a socket stays in the namespace that it was made in, so all clients and servers
// are sockets of this process, and a denied cell costs no more than the common wait. SCTP is crafted (this needs no SCTP in the kernel): an INIT goes out of a raw socket,
// and whoever gets it answers with an INIT ACK. Both families are spoken: addresses of IPv4 are kept as IPv6 maps them (::ffff:10.0.0.1), which sockets understand.
//
// Commands on stdin, a line each; answers on stdout:
//   place PATH                               a network namespace; places are counted from 0
//   serve PLACE PORT                         answer there on TCP and UDP; SCTP is answered on all ports of every place
//   probe PLACE FROM TO PORT PROTO EXPECTED  asks once; FROM is an address or -, PROTO TCP, UDP or SCTP, EXPECTED 1 where an answer is (the wait is for these)
//   hold PLACE FROM TO PORT PROTO EXPECTED   the same, and the flow stays open; flows held are counted from 0
//   again FLOW EXPECTED                      asks once more on a flow that is held
//   go MS                                    sends all that was asked since the last go; then a line for each: "open PLACE" (who answered), "lost" (it came there, but no
//                                            answer came back), "refused" or "silent"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PLACES = 256, MAX_FLOWS = 16384, MAX_HELD = 256, MAX_FILES = 32768, QUIET_MS = 40 };
enum kind { LISTENER, CONNECTION, DATAGRAMS, RAW, RAW6, CLIENT };
enum state { WAITING, ARRIVED, OPEN, REFUSED };

struct flow {
  int protocol, place, fd, who;
  struct sockaddr_in6 from, to;
  uint32_t serial;
  enum state state;
  bool expected, held, connected;
};

static int places, namespaces[MAX_PLACES];
// By family: raw sockets alone have one of their own each.
static int raws[MAX_PLACES], raws6[MAX_PLACES];
static struct flow flows[MAX_FLOWS], held[MAX_HELD];
// What a go is about: pointers into flows or held.
static struct flow *asked[MAX_FLOWS];
static struct flow *by_file[MAX_FILES];
static int flow_count, held_count, asked_count, epoll;
// Of every question ever asked: the packets of an earlier go are no answer to this one.
static uint32_t serial, first_serial;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void enter(int place) {
  static int current = -1;
  if (place != current && setns(namespaces[place], CLONE_NEWNET) != 0) die("setns");
  current = place;
}

static void watch(int fd, enum kind kind, uint32_t value, uint32_t events) {
  // The kind, then whose it is, then the descriptor.
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 56 | (uint64_t)value << 32 | (uint32_t)fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

static int open_socket(int place, int family, int type, int protocol) {
  enter(place);
  int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), off = 0;
  if (fd < 0) die("socket");
  if (family == AF_INET6 && type != SOCK_RAW && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) die("IPV6_V6ONLY");
  return fd;
}

static struct in6_addr mapped(uint32_t address) {
  struct in6_addr result = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
  memcpy(&result.s6_addr[12], &address, 4);
  return result;
}

static struct in_addr unmapped(struct in6_addr address) {
  struct in_addr result;
  memcpy(&result, &address.s6_addr[12], 4);
  return result;
}

// The address that a datagram was sent to is the one that its answer comes from: a node has several.
static void want_destination(int fd) {
  int on = 1;
  if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) != 0) die("IPV6_RECVPKTINFO");
}

union control { char room[CMSG_SPACE(sizeof(struct in6_pktinfo))]; struct cmsghdr align; };

static void send_with(int fd, struct msghdr message, int level, int type, const void *info, size_t length) {
  union control control = {0};
  message.msg_control = control.room;
  message.msg_controllen = CMSG_SPACE(length);
  *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = level, .cmsg_type = type};
  memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), info, length);
  // What the rules refuse is seen by the answer that does not come.
  (void)sendmsg(fd, &message, 0);
}

static void send_from(int fd, struct in6_addr from, struct sockaddr_in6 to, void *data, size_t length) {
  struct in6_pktinfo info = {.ipi6_addr = from};
  struct iovec part = {data, length};
  send_with(fd, (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1}, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

// A raw socket of IPv4 knows no mapped addresses.
static void send_raw4(int fd, struct in_addr from, struct in_addr to, void *data, size_t length) {
  struct in_pktinfo info = {.ipi_spec_dst = from};
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = to};
  struct iovec part = {data, length};
  send_with(fd, (struct msghdr){.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &part, .msg_iovlen = 1}, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
}

// A datagram with who sent it and where to. Returns its length, or less than 0.
static ssize_t receive_at(int fd, void *data, size_t length, struct sockaddr_in6 *from, struct in6_addr *to) {
  union control control;
  struct iovec part = {data, length};
  struct msghdr message = {.msg_name = from, .msg_namelen = sizeof *from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  ssize_t got = recvmsg(fd, &message, 0);
  struct in6_pktinfo info = {0};
  if (got >= 0 && CMSG_FIRSTHDR(&message) != NULL) memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof info);
  *to = info.ipi6_addr;
  return got;
}

// RFC 9260: common header, and an INIT or INIT ACK chunk without parameters.
struct sctp {
  uint16_t source, destination;
  uint32_t tag, checksum;
  uint8_t type, flags;
  uint16_t length;
  uint32_t initiate, window;
  uint16_t streams_out, streams_in;
  uint32_t sequence;
} __attribute__((packed));

static uint32_t crc32c(const uint8_t *data, size_t length) {
  uint32_t crc = ~0u;
  while (length--) {
    crc ^= *data++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

static void send_sctp(int place, struct in6_addr from, struct in6_addr to, struct sctp packet) {
  packet.length = htons(20);
  packet.window = htonl(65536);
  packet.streams_out = packet.streams_in = htons(1);
  packet.sequence = htonl(1);
  // The checksum goes out lowest byte first, on every machine.
  uint32_t crc = crc32c((uint8_t *)&packet, sizeof packet);
  uint8_t bytes[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};
  memcpy(&packet.checksum, bytes, 4);
  enter(place);
  if (IN6_IS_ADDR_V4MAPPED(&to)) send_raw4(raws[place], unmapped(from), unmapped(to), &packet, sizeof packet);
  else send_from(raws6[place], from, (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = to}, &packet, sizeof packet);
}

static void add_place(const char *path) {
  if (places == MAX_PLACES) die("too many places");
  int place = places++;
  if ((namespaces[place] = open(path, O_RDONLY | O_CLOEXEC)) < 0) die(path);
  raws[place] = open_socket(place, AF_INET, SOCK_RAW, IPPROTO_SCTP);
  raws6[place] = open_socket(place, AF_INET6, SOCK_RAW, IPPROTO_SCTP);
  want_destination(raws6[place]);
  watch(raws[place], RAW, (uint32_t)place, EPOLLIN);
  watch(raws6[place], RAW6, (uint32_t)place, EPOLLIN);
}

static void serve(int place, int port) {
  struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  int listener = open_socket(place, AF_INET6, SOCK_STREAM, 0), datagrams = open_socket(place, AF_INET6, SOCK_DGRAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  want_destination(datagrams);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 4096) != 0) die("listen");
  if (bind(datagrams, (struct sockaddr *)&here, sizeof here) != 0) die("bind");
  watch(listener, LISTENER, (uint32_t)place, EPOLLIN);
  watch(datagrams, DATAGRAMS, (uint32_t)place, EPOLLIN);
}

static struct flow *asked_by(uint32_t number) {
  uint32_t index = number - first_serial;
  return index < (uint32_t)asked_count ? asked[index] : NULL;
}

static void set(struct flow *flow, enum state state, int who) {
  if (flow == NULL || flow->state >= state) return;
  flow->state = state;
  flow->who = who;
}

static void hear_refusal(struct flow *flow) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0) set(flow, REFUSED, 0);
}

static void ask(struct flow *flow) {
  if (flow->protocol == IPPROTO_SCTP) {
    struct sctp init = {.source = flow->from.sin6_port, .destination = flow->to.sin6_port, .type = 1, .initiate = htonl(flow->serial)};
    send_sctp(flow->place, flow->from.sin6_addr, flow->to.sin6_addr, init);
  } else if (send(flow->fd, &flow->serial, sizeof flow->serial, MSG_NOSIGNAL) < 0 && errno != EAGAIN) set(flow, REFUSED, 0);
}

// TCP asks once it is connected; a connection that is held asks at once.
static void start(struct flow *flow) {
  flow->serial = serial++;
  flow->state = WAITING;
  if (flow->fd < 0 && flow->protocol != IPPROTO_SCTP) {
    flow->fd = open_socket(flow->place, AF_INET6, flow->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (!IN6_IS_ADDR_UNSPECIFIED(&flow->from.sin6_addr) && bind(flow->fd, (struct sockaddr *)&flow->from, sizeof flow->from) != 0) die("bind");
    if (connect(flow->fd, (struct sockaddr *)&flow->to, sizeof flow->to) != 0 && errno != EINPROGRESS) return set(flow, REFUSED, 0);
    bool stream = flow->protocol == IPPROTO_TCP;
    by_file[flow->fd] = flow;
    watch(flow->fd, CLIENT, 0, stream ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN);
    if (stream) return;
  }
  ask(flow);
}

static void on_client(struct flow *flow, uint32_t events) {
  if (events & (EPOLLERR | EPOLLHUP)) hear_refusal(flow);
  if (flow->protocol == IPPROTO_TCP && events & EPOLLOUT && !flow->connected && flow->state == WAITING) {
    flow->connected = true;
    ask(flow);
  }
  uint32_t answer[2];
  while (recv(flow->fd, answer, sizeof answer, 0) == (ssize_t)sizeof answer) set(asked_by(answer[0]), OPEN, (int)answer[1]);
}

static void on_connection(int fd, int place) {
  uint32_t question;
  ssize_t got;
  while ((got = recv(fd, &question, sizeof question, 0)) == (ssize_t)sizeof question) {
    uint32_t answer[2] = {question, (uint32_t)place};
    set(asked_by(question), ARRIVED, place);
    (void)send(fd, answer, sizeof answer, MSG_NOSIGNAL);
  }
  if (got == 0 || (got < 0 && errno != EAGAIN)) close(fd);
}

static void on_datagrams(int fd, int place) {
  uint32_t question;
  struct sockaddr_in6 from;
  struct in6_addr to;
  while (receive_at(fd, &question, sizeof question, &from, &to) == (ssize_t)sizeof question) {
    uint32_t answer[2] = {question, (uint32_t)place};
    set(asked_by(question), ARRIVED, place);
    send_from(fd, to, from, answer, sizeof answer);
  }
}

static void on_sctp(int place, struct in6_addr from, struct in6_addr to, struct sctp packet) {
  uint32_t checksum = packet.checksum;
  packet.checksum = 0;
  uint32_t crc = crc32c((uint8_t *)&packet, sizeof packet);
  uint8_t bytes[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};
  if (memcmp(&checksum, bytes, 4) != 0) return;
  if (packet.type == 1) {
    set(asked_by(ntohl(packet.initiate)), ARRIVED, place);
    struct sctp answer = {.source = packet.destination, .destination = packet.source, .tag = packet.initiate, .type = 2, .initiate = htonl((uint32_t)place + 1)};
    send_sctp(place, to, from, answer);
  } else if (packet.type == 2) {
    struct flow *flow = asked_by(ntohl(packet.tag));
    if (flow != NULL && flow->place == place) set(flow, OPEN, (int)ntohl(packet.initiate) - 1);
  }
}

// With its IP header before it.
static void on_raw(int place) {
  uint8_t buffer[2048];
  ssize_t got;
  while ((got = recv(raws[place], buffer, sizeof buffer, 0)) > 0) {
    struct iphdr ip;
    struct sctp packet;
    memcpy(&ip, buffer, sizeof ip);
    size_t header = ip.ihl * 4u;
    if ((size_t)got < header + sizeof packet) continue;
    memcpy(&packet, buffer + header, sizeof packet);
    on_sctp(place, mapped(ip.saddr), mapped(ip.daddr), packet);
  }
}

// Without.
static void on_raw6(int place) {
  struct sctp packet;
  struct sockaddr_in6 from;
  struct in6_addr to;
  ssize_t got;
  while ((got = receive_at(raws6[place], &packet, sizeof packet, &from, &to)) >= 0) if (got == (ssize_t)sizeof packet) on_sctp(place, from.sin6_addr, to, packet);
}

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static bool all_expected_answered(void) {
  for (int i = 0; i < asked_count; i++) if (asked[i]->expected && asked[i]->state < OPEN) return false;
  return true;
}

// A packet is delivered where it is sent, in the sender's own system call but for a few that wait for a core: once all answers that are expected have come and nothing more
// comes for a moment, nothing will.
static void run(long within) {
  first_serial = serial;
  for (int i = 0; i < asked_count; i++) start(asked[i]);
  for (long end = now() + within, heard = now();;) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, 5);
    for (int i = 0; i < count; i++) {
      enum kind kind = (enum kind)(events[i].data.u64 >> 56);
      uint32_t value = events[i].data.u64 >> 32 & 0xffffff;
      int fd = (int)(uint32_t)events[i].data.u64;
      if (kind == CLIENT) on_client(by_file[fd], events[i].events);
      else if (kind == CONNECTION) on_connection(fd, (int)value);
      else if (kind == DATAGRAMS) on_datagrams(fd, (int)value);
      else if (kind == RAW) on_raw((int)value);
      else if (kind == RAW6) on_raw6((int)value);
      else for (int peer; (peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) watch(peer, CONNECTION, value, EPOLLIN);
    }
    long time = now();
    if (count > 0) heard = time;
    if (time >= end || (time - heard >= QUIET_MS && all_expected_answered())) return;
  }
}

static void report(void) {
  for (int i = 0; i < asked_count; i++) {
    struct flow *flow = asked[i];
    if (flow->state == OPEN) printf("open %d\n", flow->who);
    else puts(flow->state == REFUSED ? "refused" : flow->state == ARRIVED ? "lost" : "silent");
    if (flow->held || flow->fd < 0) continue;
    // A reset: neither end waits for late packets of a question that is over.
    struct linger at_once = {.l_onoff = 1};
    setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(flow->fd);
  }
  puts("done");
  fflush(stdout);
  asked_count = flow_count = 0;
}

static struct in6_addr parse(const char *text) {
  struct in6_addr address;
  struct in_addr four;
  if (inet_pton(AF_INET, text, &four) == 1) return mapped(four.s_addr);
  if (inet_pton(AF_INET6, text, &address) != 1) die(text);
  return address;
}

static void add_flow(bool keep, int place, const char *from, const char *to, int port, const char *protocol, int expected) {
  if (flow_count == MAX_FLOWS || held_count == MAX_HELD || asked_count == MAX_FLOWS) die("too many flows");
  struct flow *flow = keep ? &held[held_count++] : &flows[flow_count++];
  int number = strcmp(protocol, "TCP") == 0 ? IPPROTO_TCP : strcmp(protocol, "UDP") == 0 ? IPPROTO_UDP : IPPROTO_SCTP;
  *flow = (struct flow){.protocol = number, .place = place, .fd = -1, .from.sin6_family = AF_INET6, .to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = parse(to)}, .expected = expected, .held = keep};
  // Ports of crafted flows are ours to choose: one after the other, below those that the kernel gives.
  static uint16_t next_port;
  if (number == IPPROTO_SCTP) flow->from.sin6_port = htons((uint16_t)(2048 + next_port++ % 30000));
  if (strcmp(from, "-") != 0) flow->from.sin6_addr = parse(from);
  asked[asked_count++] = flow;
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max > MAX_FILES) files.rlim_max = MAX_FILES;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  char line[512], word[256], from[64], to[64], protocol[8];
  int place, port, expected, index;
  long within;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "place %255s", word) == 1) add_place(word);
    else if (sscanf(line, "serve %d %d", &place, &port) == 2) serve(place, port);
    else if (sscanf(line, "probe %d %63s %63s %d %7s %d", &place, from, to, &port, protocol, &expected) == 6) add_flow(false, place, from, to, port, protocol, expected);
    else if (sscanf(line, "hold %d %63s %63s %d %7s %d", &place, from, to, &port, protocol, &expected) == 6) add_flow(true, place, from, to, port, protocol, expected);
    else if (sscanf(line, "again %d %d", &index, &expected) == 2 && index < held_count && asked_count < MAX_FLOWS) {
      held[index].expected = expected;
      asked[asked_count++] = &held[index];
    } else if (sscanf(line, "go %ld", &within) == 1) {
      run(within);
      report();
    } else {
      fprintf(stderr, "not understood: %s", line);
      return 1;
    }
  }
  return 0;
}
