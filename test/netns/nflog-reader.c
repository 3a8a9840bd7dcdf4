// What the kernel gives to whoever listens to an nflog group, as ulogd would be given it: `nflog-reader GROUP` prints "listening", then a line for each IPv4 packet:
// its source, its destination, its protocol, and the prefix that the rule has put before it.
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct request {
  struct nlmsghdr header;
  struct nfgenmsg group;
  struct nlattr attribute;
  char value[8];
};

static int configure(int fd, unsigned short group, unsigned short type, const void *value, size_t length) {
  struct request request = {
      .header = {.nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, .nlmsg_flags = NLM_F_REQUEST},
      .group = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(group)},
      .attribute = {.nla_len = (unsigned short)(NLA_HDRLEN + length), .nla_type = type},
  };
  memcpy(request.value, value, length);
  request.header.nlmsg_len = (unsigned)(NLMSG_LENGTH(sizeof request.group) + NLA_ALIGN(request.attribute.nla_len));
  return send(fd, &request, request.header.nlmsg_len, 0) > 0 ? 0 : -1;
}

static void tell(const struct nlmsghdr *message) {
  const char *prefix = "", *packet = NULL;
  const char *at = (const char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct nfgenmsg)), *end = (const char *)message + message->nlmsg_len;
  for (const struct nlattr *attribute; at + NLA_HDRLEN <= end; at += NLA_ALIGN(attribute->nla_len)) {
    attribute = (const struct nlattr *)at;
    if (attribute->nla_len < NLA_HDRLEN) break;
    if (attribute->nla_type == NFULA_PREFIX) prefix = at + NLA_HDRLEN;
    if (attribute->nla_type == NFULA_PAYLOAD && attribute->nla_len >= NLA_HDRLEN + 20) packet = at + NLA_HDRLEN;
  }
  char source[INET_ADDRSTRLEN], destination[INET_ADDRSTRLEN];
  if (packet == NULL || !inet_ntop(AF_INET, packet + 12, source, sizeof source) || !inet_ntop(AF_INET, packet + 16, destination, sizeof destination)) return;
  printf("%s %s %d %s\n", source, destination, packet[9], prefix);
}

int main(int argc, char **argv) {
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  struct sockaddr_nl here = {.nl_family = AF_NETLINK};
  if (argc != 2 || fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) != 0) return 1;
  unsigned short group = (unsigned short)atoi(argv[1]);
  struct nfulnl_msg_config_cmd listen = {.command = NFULNL_CFG_CMD_BIND};
  struct nfulnl_msg_config_mode whole = {.copy_range = htonl(0xffff), .copy_mode = NFULNL_COPY_PACKET};
  if (configure(fd, group, NFULA_CFG_CMD, &listen, sizeof listen) != 0 || configure(fd, group, NFULA_CFG_MODE, &whole, sizeof whole) != 0) return 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("listening");
  static char buffer[1 << 16] __attribute__((aligned(NLMSG_ALIGNTO)));
  for (ssize_t length; (length = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
      if (message->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)) tell(message);
    }
  }
  return 1;
}
