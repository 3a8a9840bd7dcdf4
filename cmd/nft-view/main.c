// nft-view.so, preloaded into nft by the agent (LD_PRELOAD): nft sees the tables named $FAIRLEAD_NFT_VIEW and no others.
//
// Before nft carries out a text, it reads the tables, chains, sets and objects of every table of the node, and an nft that is older than what wrote one of them may crash
// on it: 1.0.6 calls a null pointer for a set that nft 1.1 declared with `type`. A message of the kernel about another program's table is turned into NLMSG_NOOP here,
// which libmnl skips. Nothing is hidden from the kernel: a transaction has the effect that its text says.
//
// It is linked to no C library, so that it fits whichever nft is linked to; `syscall` is in all of them and sets errno.
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// linux/netlink.h, linux/netfilter/nfnetlink.h: what all messages of nftables begin with. linux/netfilter/nf_tables.h: the first attribute of each kind names the table.
enum { nlmsg_noop = 1, nfnl_subsys_nftables = 10, nft_msg_newgen = 15, table_attribute = 1, type_mask = 0x3fff, headers = 20 };

struct message {
    uint32_t length;
    uint16_t type, flags;
    uint32_t sequence, port, body;
};

struct attribute {
    uint16_t length, type;
};

extern char **environ;
long syscall(long number, ...);

static size_t aligned(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

static bool same(const char *one, const char *other, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (one[i] != other[i])
            return false;
        if (one[i] == '\0')
            return true;
    }
    return false;
}

static const char *view(void)
{
    static const char name[] = "FAIRLEAD_NFT_VIEW=";
    for (char **each = environ; *each != NULL; each++) {
        size_t i = 0;
        while (name[i] != '\0' && (*each)[i] == name[i])
            i++;
        if (name[i] == '\0')
            return *each + i;
    }
    return NULL;
}

static bool is_of_another(const char *bytes, size_t length, const char *shown)
{
    uint16_t type = ((const struct message *)bytes)->type;
    // The generation is of no table.
    if (type >> 8 != nfnl_subsys_nftables || (type & 0xff) == nft_msg_newgen)
        return false;
    for (size_t at = headers; at + sizeof(struct attribute) <= length;) {
        const struct attribute *attribute = (const struct attribute *)(bytes + at);
        if (attribute->length < sizeof *attribute || at + attribute->length > length)
            return false;
        if ((attribute->type & type_mask) == table_attribute)
            return !same(bytes + at + sizeof *attribute, shown, attribute->length - sizeof *attribute);
        at += aligned(attribute->length);
    }
    return false;
}

static void hide(char *bytes, size_t length, const char *shown)
{
    for (size_t at = 0; at + headers <= length;) {
        struct message *message = (struct message *)(bytes + at);
        if (message->length < headers || at + message->length > length)
            return;
        if (is_of_another(bytes + at, message->length, shown))
            message->type = nlmsg_noop;
        at += aligned(message->length);
    }
}

__attribute__((visibility("default"))) ssize_t recvmsg(int fd, struct msghdr *into, int flags)
{
    ssize_t received = syscall(SYS_recvmsg, fd, into, flags);
    const struct sockaddr *from = into->msg_name;
    const char *shown = view();
    if (received > 0 && into->msg_iovlen == 1 && from != NULL && from->sa_family == AF_NETLINK && shown != NULL)
        hide(into->msg_iov->iov_base, received, shown);
    return received;
}
