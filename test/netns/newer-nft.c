// `newer-nft FAMILY...`: writes a table `other` in each of these families (ip, inet, ...) as a newer nft does: with the version 9.9.9 of the nft that made it, and with
// sets whose description an nft crashes on when it reads (1.0.6) or prints them (1.1.7). Families with a forward hook get an empty chain there. `-FAMILY` deletes the
// table. For tests on machines that have no newer nft.
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const struct family {
  const char *name;
  unsigned char number;
  int forwards;
} families[] = {{"ip", NFPROTO_IPV4, 1}, {"ip6", NFPROTO_IPV6, 1}, {"inet", NFPROTO_INET, 1}, {"bridge", NFPROTO_BRIDGE, 1}, {"netdev", NFPROTO_NETDEV, 0}, {"arp", NFPROTO_ARP, 0}};

static const char table[] = "other";
/** Number 1: the version. */
static const unsigned char made_by[] = {1, 4, 9, 9, 9, 0};
/** `type ipv4_addr` of nft 1.1: the byte order (0), and a key (3) of kind "value" (4). */
static const unsigned char plain_key[] = {0, 4, 2, 0, 0, 0, 3, 8, 0, 4, 4, 0, 0, 0, 1, 0};
/** `typeof jhash ip saddr mod 4` of nft 1.1.7, on which 1.1.3 crashes too. */
static const unsigned char hashed_key[] = {0, 4, 1, 0, 0, 0, 3, 38, 0, 4, 24, 0, 0, 0, 1, 30, 0, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 2, 4, 4, 0, 0, 0, 3, 4, 0, 0, 0, 0, 4, 4, 0, 0, 0, 0};

static char batch[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
static size_t end;

static void put(const void *bytes, size_t length) {
  memcpy(batch + end, bytes, length);
  end += NLMSG_ALIGN(length);
}

static size_t begin(int type, int flags, unsigned char family, unsigned short resource) {
  static unsigned sequence;
  size_t at = end;
  put(&(struct nlmsghdr){.nlmsg_type = (unsigned short)type, .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags), .nlmsg_seq = ++sequence}, sizeof(struct nlmsghdr));
  put(&(struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)}, sizeof(struct nfgenmsg));
  return at;
}

static void finish(size_t at) { ((struct nlmsghdr *)(batch + at))->nlmsg_len = (unsigned)(end - at); }

static void attribute(int type, const void *value, size_t length) {
  put(&(struct nlattr){.nla_len = (unsigned short)(NLA_HDRLEN + length), .nla_type = (unsigned short)type}, NLA_HDRLEN);
  put(value, length);
}

static void number(int type, unsigned value) { attribute(type, &(unsigned){htonl(value)}, sizeof value); }

static size_t nest(int type) {
  size_t at = end;
  put(&(struct nlattr){.nla_type = (unsigned short)(type | NLA_F_NESTED)}, NLA_HDRLEN);
  return at;
}

static void unnest(size_t at) { ((struct nlattr *)(batch + at))->nla_len = (unsigned short)(end - at); }

static void set(const struct family *family, const char *name, unsigned id, const void *description, size_t length) {
  size_t message = begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_ACK, family->number, 0);
  attribute(NFTA_SET_TABLE, table, sizeof table);
  attribute(NFTA_SET_NAME, name, strlen(name) + 1);
  number(NFTA_SET_ID, id);
  number(NFTA_SET_KEY_TYPE, 7); // ipv4_addr
  number(NFTA_SET_KEY_LEN, 4);
  attribute(NFTA_SET_USERDATA, description, length);
  finish(message);
}

static void chain(const struct family *family) {
  size_t message = begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, family->number, 0);
  attribute(NFTA_CHAIN_TABLE, table, sizeof table);
  attribute(NFTA_CHAIN_NAME, "c", 2);
  size_t hook = nest(NFTA_CHAIN_HOOK);
  number(NFTA_HOOK_HOOKNUM, NF_INET_FORWARD);
  number(NFTA_HOOK_PRIORITY, 0);
  unnest(hook);
  attribute(NFTA_CHAIN_TYPE, "filter", sizeof "filter");
  finish(message);
}

static void write_table(const struct family *family) {
  size_t message = begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, family->number, 0);
  attribute(NFTA_TABLE_NAME, table, sizeof table);
  attribute(NFTA_TABLE_USERDATA, made_by, sizeof made_by);
  finish(message);
  set(family, "plain", 1, plain_key, sizeof plain_key);
  set(family, "hashed", 2, hashed_key, sizeof hashed_key);
  if (family->forwards) chain(family);
}

static void delete_table(const struct family *family) {
  size_t message = begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_ACK, family->number, 0);
  attribute(NFTA_TABLE_NAME, table, sizeof table);
  finish(message);
}

/** The kernel answers each message that asks for it, or the batch as a whole where it refuses. */
static int refused(int fd) {
  char answers[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
  ssize_t length = recv(fd, answers, sizeof answers, 0);
  for (struct nlmsghdr *each = (struct nlmsghdr *)answers; NLMSG_OK(each, length); each = NLMSG_NEXT(each, length))
    if (each->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *)NLMSG_DATA(each))->error != 0) return -((struct nlmsgerr *)NLMSG_DATA(each))->error;
  return 0;
}

int main(int argc, char **argv) {
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  for (int i = 1; i < argc; i++) {
    end = 0;
    finish(begin(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
    for (const struct family *family = families; family < families + sizeof families / sizeof *families; family++) {
      if (strcmp(family->name, argv[i]) == 0) write_table(family);
      if (*argv[i] == '-' && strcmp(family->name, argv[i] + 1) == 0) delete_table(family);
    }
    finish(begin(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
    if (send(fd, batch, end, 0) < 0) return perror("newer-nft"), 1;
    int error = refused(fd);
    if (error != 0) return fprintf(stderr, "newer-nft: table %s other: %s\n", argv[i], strerror(error)), 1;
  }
  return argc < 2;
}
