// rules-stamp nft|legacy: prints what changes whenever somebody changes iptables' rules in this network namespace, without reading any of them. Two stamps that are the
// same say that nobody has written in between, whatever the number of rules; iptables itself reads tens of thousands of them to answer that.
//
//   nft      the generation that the kernel counts up with each transaction: exact.
//   legacy   how many entries each table has and how long they are: says all but that a rule was replaced by another of the same length. Only tables that are
//            there are asked for: the kernel would make the others.
//
// musl comes without the kernel's headers; what is taken from them stands here with its name. One stamp, then exit.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
enum { netlink_netfilter = 12, nlm_f_request = 1, nlmsg_error = 2, nfnl_subsys_nftables = 10, nft_msg_getgen = 16, nfta_gen_id = 1 };

struct nlmsghdr {
    uint32_t length;
    uint16_t type, flags;
    uint32_t sequence, port;
};

struct nfgenmsg {
    uint8_t family, version;
    uint16_t resource;
};

struct nlattr {
    uint16_t length, type;
};

// linux/netfilter_ipv4/ip_tables.h; struct ip6t_getinfo is the same, and so is its option.
enum { so_get_info = 64 };

struct ipt_getinfo {
    char name[32];
    uint32_t valid_hooks, hook_entry[5], underflow[5], entries, size;
};

static int fail(const char *what)
{
    fprintf(stderr, "rules-stamp: %s: %s\n", what, strerror(errno));
    return 1;
}

static int print_nft(void)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg body;
    } question = {{sizeof question, nfnl_subsys_nftables << 8 | nft_msg_getgen, nlm_f_request, 1, 0}, {AF_UNSPEC, 0, 0}};
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, netlink_netfilter);
    if (sock < 0 || send(sock, &question, sizeof question, 0) < 0)
        return fail("the kernel cannot be asked for the generation of nftables");
    _Alignas(struct nlmsghdr) char answer[1024];
    ssize_t received = recv(sock, answer, sizeof answer, 0);
    if (received < (ssize_t)(sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg)))
        return fail("the kernel did not tell the generation of nftables");
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (header->type == nlmsg_error) {
        int32_t code;
        memcpy(&code, answer + sizeof *header, sizeof code);
        errno = -code;
        return fail("the kernel did not tell the generation of nftables");
    }
    size_t at = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg);
    while (at + sizeof(struct nlattr) + sizeof(uint32_t) <= (size_t)received) {
        struct nlattr attribute;
        memcpy(&attribute, answer + at, sizeof attribute);
        uint32_t generation;
        memcpy(&generation, answer + at + sizeof attribute, sizeof generation);
        if (attribute.type == nfta_gen_id)
            return printf("nft %u\n", ntohl(generation)) < 0;
        if (attribute.length < sizeof attribute)
            break;
        at += (attribute.length + 3u) & ~3u;
    }
    errno = EPROTO;
    return fail("the kernel did not tell the generation of nftables");
}

static int print_legacy(int domain, int level, const char *names)
{
    FILE *file = fopen(names, "re");
    // A kernel without it has no such tables.
    if (file == NULL)
        return errno == ENOENT ? 0 : fail(names);
    int sock = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return fail("no socket to ask by");
    struct ipt_getinfo info = {0};
    while (fscanf(file, "%31s", info.name) == 1) {
        socklen_t length = sizeof info;
        if (getsockopt(sock, level, so_get_info, &info, &length) < 0)
            return fail(info.name);
        printf("%s %s %u %u\n", domain == AF_INET ? "ip" : "ip6", info.name, info.entries, info.size);
        memset(&info, 0, sizeof info);
    }
    return 0;
}

int main(int count, char **words)
{
    bool legacy = count == 2 && strcmp(words[1], "legacy") == 0;
    if (!legacy && (count != 2 || strcmp(words[1], "nft") != 0)) {
        fputs("rules-stamp: say `nft` or `legacy`: prints what changes with each change of iptables' rules. The fairlead agent runs it.\n", stderr);
        return 2;
    }
    if (!legacy)
        return print_nft();
    if (print_legacy(AF_INET, IPPROTO_IP, "/proc/net/ip_tables_names") != 0)
        return 1;
    // A kernel without IPv6 lists no tables of it.
    return print_legacy(AF_INET6, IPPROTO_IPV6, "/proc/net/ip6_tables_names");
}
