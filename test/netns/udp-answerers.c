// Makes network namespaces with a UDP server in each, one small process for all: a server answers a datagram at port 53 with its namespace's name and what
// was sent.
//
//   stdin:  `+NAME` makes the namespace /run/netns/NAME, `-NAME` removes it
//   stdout: NAME, a line for each that is done
//
// Ends with 0 when stdin ends. Whatever it cannot do ends it with 1 and a sentence.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

enum { most = 256, name_limit = 64 };

static struct pollfd sockets[most + 1] = {{.fd = 0, .events = POLLIN}};
static char names[most + 1][name_limit];
static int count = 1;

__attribute__((noreturn)) static void give_up(const char *what)
{
    fprintf(stderr, "udp-answerers: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    return path;
}

static void open_server(const char *name)
{
    int file = open(path_of(name), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0 || close(file) != 0 || unshare(CLONE_NEWNET) != 0) give_up("make a namespace");
    if (mount("/proc/self/ns/net", path_of(name), NULL, MS_BIND, NULL) != 0) give_up("name a namespace");
    int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(53)};
    if (count > most || server < 0 || bind(server, (struct sockaddr *)&any, sizeof any) != 0) give_up("open a server");
    sockets[count] = (struct pollfd){.fd = server, .events = POLLIN};
    snprintf(names[count++], name_limit, "%s", name);
}

static void close_server(const char *name)
{
    for (int i = 1; i < count; i++)
        if (strcmp(names[i], name) == 0) {
            close(sockets[i].fd);
            sockets[i] = sockets[--count];
            memmove(names[i], names[count], name_limit);
            break;
        }
    if (umount2(path_of(name), MNT_DETACH) != 0 || unlink(path_of(name)) != 0) give_up("remove a namespace");
}

static void answer(int server, const char *name)
{
    char said[512], back[600];
    struct sockaddr_in client;
    socklen_t length = sizeof client;
    ssize_t got = recvfrom(server, said, sizeof said - 1, MSG_DONTWAIT, (struct sockaddr *)&client, &length);
    if (got < 0) return;
    said[got] = '\0';
    int size = snprintf(back, sizeof back, "%s %s", name, said);
    // The wire may be gone by now, which is what the test is about.
    (void)!sendto(server, back, (size_t)size, MSG_DONTWAIT, (struct sockaddr *)&client, length);
}

int main(void)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) give_up("find its own namespace");
    char input[4096];
    size_t held = 0;
    for (;;) {
        if (poll(sockets, (nfds_t)count, -1) < 0) give_up("wait");
        for (int i = 1; i < count; i++)
            if (sockets[i].revents != 0) answer(sockets[i].fd, names[i]);
        if (sockets[0].revents == 0) continue;
        ssize_t got = read(0, input + held, sizeof input - held - 1);
        if (got <= 0) return 0;
        input[held += (size_t)got] = '\0';
        char *line = input;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            if (*line == '+') open_server(line + 1);
            else close_server(line + 1);
            // Not to keep the namespace that it was in last.
            if (setns(home, CLONE_NEWNET) != 0) give_up("come home");
            printf("%s\n", line + 1);
        }
        fflush(stdout);
        held = strlen(line);
        memmove(input, line, held);
    }
}
