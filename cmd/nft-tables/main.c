// nft-tables: prints the tables of nftables in this network namespace, one a line: its family, the version of the nft that made it, its name.
//
//   inet 1.1.7.0 firewalld
//   ip - kube-proxy            an older nft (1.1.3) leaves no version with its tables
//
// `nft list tables` reads the sets of all tables too, and an nft that is older than what wrote them may crash on that. The kernel's own list of tables holds nothing that
// could be misread. musl comes without the kernel's headers; what is taken from them stands here with its name.
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h; the last two from nft: include/libnftnl/udata.h
enum { netlink_netfilter = 12, nlm_f_request = 1, nlm_f_dump = 0x300, nlmsg_error = 2, nlmsg_done = 3, nfnl_subsys_nftables = 10, nft_msg_gettable = 1 };
enum { nfta_table_name = 1, nfta_table_userdata = 6, nftnl_udata_table_nftver = 1, version_length = 4 };

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

struct text {
    const unsigned char *at;
    size_t length;
};

static const char *family_name(uint8_t family)
{
    switch (family) {
    case 1: return "inet";
    case 2: return "ip";
    case 3: return "arp";
    case 5: return "netdev";
    case 7: return "bridge";
    case 10: return "ip6";
    default: return "unknown";
    }
}

static struct text attribute(struct text message, uint16_t type)
{
    for (size_t at = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg); at + sizeof(struct nlattr) <= message.length;) {
        struct nlattr header;
        memcpy(&header, message.at + at, sizeof header);
        if (header.length < sizeof header || at + header.length > message.length)
            break;
        if (header.type == type)
            return (struct text){message.at + at + sizeof header, header.length - sizeof header};
        at += (header.length + 3u) & ~3u;
    }
    return (struct text){NULL, 0};
}

/** Each item is its kind, its length, and so many bytes. */
static void print_version(struct text userdata)
{
    for (size_t at = 0; at + 2 <= userdata.length; at += 2u + userdata.at[at + 1]) {
        const unsigned char *item = userdata.at + at;
        if (item[0] != nftnl_udata_table_nftver || item[1] != version_length || at + 2 + version_length > userdata.length)
            continue;
        printf("%u.%u.%u.%u", item[2], item[3], item[4], item[5]);
        return;
    }
    printf("-");
}

static int fail(void)
{
    fprintf(stderr, "nft-tables: the kernel did not list the tables of nftables: %s\n", strerror(errno));
    return 1;
}

int main(void)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg body;
    } question = {{sizeof question, nfnl_subsys_nftables << 8 | nft_msg_gettable, nlm_f_request | nlm_f_dump, 1, 0}, {AF_UNSPEC, 0, 0}};
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, netlink_netfilter);
    if (sock < 0 || send(sock, &question, sizeof question, 0) < 0)
        return fail();
    static _Alignas(struct nlmsghdr) unsigned char answer[1 << 16];
    for (;;) {
        ssize_t received = recv(sock, answer, sizeof answer, 0);
        if (received < 0)
            return fail();
        for (size_t at = 0; at + sizeof(struct nlmsghdr) <= (size_t)received;) {
            struct nlmsghdr header;
            memcpy(&header, answer + at, sizeof header);
            if (header.length < sizeof header || at + header.length > (size_t)received)
                break;
            if (header.type == nlmsg_done)
                return 0;
            struct text message = {answer + at, header.length};
            if (header.type == nlmsg_error) {
                int32_t code;
                memcpy(&code, message.at + sizeof header, sizeof code);
                errno = -code;
                // A kernel without nftables has no tables.
                return errno == EINVAL ? 0 : fail();
            }
            struct text name = attribute(message, nfta_table_name);
            printf("%s ", family_name(message.at[sizeof header]));
            print_version(attribute(message, nfta_table_userdata));
            printf(" %.*s\n", (int)name.length, (const char *)name.at);
            at += (header.length + 3u) & ~3u;
        }
    }
}
