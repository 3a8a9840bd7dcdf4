// fairlead-cni: the program a container runtime executes for each pod, on hosts that may have no library at all. It relays and decides nothing:
//
//   runtime --environment, stdin--> this --POST /cni over /run/fairlead/cni.sock--> agent --answer--> this --stdout, exit code--> runtime
//
// The body of the request is every CNI_* variable as NAME=value, then FAIRLEAD_NETNS_ID=dev:ino of the pod's namespace, each closed by a zero byte, one
// more zero byte, and stdin as it came. src/pods/cni/cni-request.ts reads it. Status 200 means success; any other answer is an error document.
// What is said here alone is what the agent cannot say: that it is not there, and VERSION. Installed as `loopback`, it brings lo up by itself.
//
// One request, then exit: nothing is freed. A runtime waits for one JSON document or none, so stdout is written once, when all of it is known.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char versions[] = "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";
static const char about[] = "fairlead-cni: hands CNI requests (spec 0.3.1, 0.4.0, 1.0.0, 1.1.0) to the fairlead agent of this node. A container runtime runs it.\n";

// Error codes of the CNI specification, section "Error"; from 100 on they are the plugin's own.
enum { bad_environment = 4, io_failure = 5, bad_netns = 8, try_again = 11, not_available = 50, state_differs = 100 };

// What the agent's absence means to each command, in ms. An agent restarts in less than 10 s, so that no ADD need fail for it. DEL and GC succeed, since
// an agent that starts reclaims what was left behind, and an error would hold the pod in Terminating. STATUS is polled, under a lock of the runtime.
static const struct command {
    const char *name;
    int deadline;  // for all of it; ADD stays below the kubelet's two minutes
    int patience;  // how long to wait for an agent that does not listen
    int otherwise; // the error without it, or 0 for success
} commands[] = {
    {"ADD", 90000, 10000, try_again}, {"DEL", 60000, 0, 0},           {"CHECK", 60000, 0, try_again},
    {"GC", 60000, 0, 0},              {"STATUS", 900, 0, not_available},
};

// Bytes that grow. One zero stands behind the last, so that the string functions stop there.
struct bytes {
    char *data;
    size_t length, room;
};

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

// Writes the whole document, or gives up with the one exit code that is left to say so.
static void print(const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, data, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) exit(1);
        data += n, length -= (size_t)n;
    }
}

// JSON without escapes: whatever a string could not hold as it is, in any encoding, becomes a question mark.
static void make_plain(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') *text = '?';
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int code, const char *format, ...)
{
    char message[512], document[640];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    make_plain(message);
    int n = snprintf(document, sizeof document, "{\"cniVersion\":\"1.0.0\",\"code\":%d,\"msg\":\"%s\"}\n", code, message);
    print(document, (size_t)n);
    exit(1);
}

static void append(struct bytes *to, const char *data, size_t length)
{
    if (to->room - to->length <= length) {
        to->room = 2 * (to->length + length) + 4096;
        to->data = realloc(to->data, to->room);
        if (to->data == NULL) fail(try_again, "fairlead: no memory for a request of %zu bytes", to->room);
    }
    memcpy(to->data + to->length, data, length);
    to->length += length;
    to->data[to->length] = '\0';
}

// The variable's value, or "". Of duplicates the last counts (a runtime appends its own to the environment it was given); getenv takes the first.
static const char *variable(const char *name)
{
    const char *value = "";
    size_t length = strlen(name);
    for (char **v = environ; *v; v++)
        if (strncmp(*v, name, length) == 0 && (*v)[length] == '=') value = *v + length + 1;
    return value;
}

// Waits until the descriptor can be read or written; false with ETIMEDOUT when the deadline comes first.
static bool ready(int fd, short events, long long deadline)
{
    struct pollfd wanted = {.fd = fd, .events = events};
    for (;;) {
        long long left = deadline - now();
        int n = poll(&wanted, 1, left > 0 ? (int)left : 0);
        if (n > 0) return true;
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ETIMEDOUT;
        return false;
    }
}

// Reads what is there, once: the number of bytes, 0 at the end, -1 with errno.
static ssize_t take(int fd, struct bytes *into, long long deadline)
{
    char chunk[16384];
    for (;;) {
        if (!ready(fd, POLLIN, deadline)) return -1;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n > 0) append(into, chunk, (size_t)n);
        return n;
    }
}

// All of stdin: HTTP wants its length first.
static void take_stdin(struct bytes *into, long long deadline)
{
    ssize_t n;
    while ((n = take(STDIN_FILENO, into, deadline)) > 0) {}
    if (n < 0) fail(io_failure, "cannot read the network configuration from stdin: %s", strerror(errno));
}

// A path can come to mean another namespace, or not be visible to an agent in a container; the agent compares what it sees with what we see.
static void append_netns_id(struct bytes *body)
{
    struct stat netns;
    if (stat(variable("CNI_NETNS"), &netns) != 0) return;
    char line[80];
    int n = snprintf(line, sizeof line, "FAIRLEAD_NETNS_ID=%llu:%llu", (unsigned long long)netns.st_dev, (unsigned long long)netns.st_ino);
    append(body, line, (size_t)n + 1);
}

static int connect_agent(const char *path, const struct command *command, long long deadline)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail(bad_environment, "FAIRLEAD_SOCKET is longer than %zu bytes", sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);

    for (long long patience = now() + command->patience;;) {
        int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (agent < 0) fail(try_again, "cannot make a socket: %s", strerror(errno));
        // An agent behind with accepting lets connect wait, as long as this says; never 0, which would be for ever.
        long long left = deadline > now() ? deadline - now() : 1;
        struct timeval wait = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
        setsockopt(agent, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        if (connect(agent, (struct sockaddr *)&address, sizeof address) == 0) return agent;

        bool absent = errno == ENOENT || errno == ECONNREFUSED;
        if (!absent) fail(command->otherwise ? command->otherwise : try_again, "cannot reach the fairlead agent at %s: %s", path, strerror(errno));
        if (now() >= patience) break;
        close(agent);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    if (command->otherwise == 0) exit(0);
    fail(command->otherwise, "the fairlead agent is not running on this node: nothing listens at %s; look at the log of this node's fairlead pod", path);
}

// An agent that stops reading may have answered already (too large, say): how far we came does not matter, its answer does.
static void give(int agent, const char *data, size_t length, long long deadline)
{
    while (length > 0 && ready(agent, POLLOUT, deadline)) {
        ssize_t n = send(agent, data, length, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) return;
        if (n > 0) data += n, length -= (size_t)n;
    }
}

// The body of an answer that has arrived in full, else NULL. The agent always sends Content-Length: without it a cut answer would look whole.
static const char *body_of(const struct bytes *answer, size_t *length)
{
    char *end = answer->data ? strstr(answer->data, "\r\n\r\n") : NULL;
    if (end == NULL || strncmp(answer->data, "HTTP/1.", 7) != 0) return NULL;
    const char *field = strcasestr(answer->data, "\r\nContent-Length:");
    if (field == NULL || field >= end) return NULL;
    *length = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
    return answer->length - (size_t)(end + 4 - answer->data) >= *length ? end + 4 : NULL;
}

static int relay(const struct command *command)
{
    const long long deadline = now() + command->deadline;
    struct bytes body = {0}, answer = {0};
    for (char **v = environ; *v; v++)
        if (strncmp(*v, "CNI_", 4) == 0) append(&body, *v, strlen(*v) + 1);
    append_netns_id(&body);
    append(&body, "", 1);
    take_stdin(&body, deadline);

    const char *path = *variable("FAIRLEAD_SOCKET") ? variable("FAIRLEAD_SOCKET") : "/run/fairlead/cni.sock";
    int agent = connect_agent(path, command, deadline);
    char head[160];
    int n = snprintf(head, sizeof head,
        "POST /cni HTTP/1.1\r\nHost: fairlead\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", body.length);
    give(agent, head, (size_t)n, deadline);
    give(agent, body.data, body.length, deadline);

    ssize_t more;
    size_t length = 0;
    const char *document = NULL;
    while ((more = take(agent, &answer, deadline)) > 0 && (document = body_of(&answer, &length)) == NULL) {}
    bool success = document != NULL && strtoul(answer.data + strlen("HTTP/1.1 "), NULL, 10) == 200;
    if (document != NULL && (success || length > 0)) {
        print(document, length);
        return success ? 0 : 1;
    }
    // It hangs: even a DEL must be tried again, for no start of the agent is near to make it good.
    if (more < 0 && errno == ETIMEDOUT)
        fail(command->otherwise ? command->otherwise : try_again, "the fairlead agent has not answered %s in %d ms; look at the log of this node's fairlead pod", command->name, command->deadline);
    // It went away in the middle. An ADD is not sent twice from here: the runtime undoes what there is of it with DEL and tries again.
    if (command->otherwise == 0) return 0;
    fail(command->otherwise, "the fairlead agent went away during %s, as it does when it restarts: try again", command->name);
}

// The version asked for, without reading JSON: runtimes write keys in order, cniVersion before any nested one.
static void version_asked(char *version, size_t size)
{
    struct bytes conf = {0};
    append(&conf, "", 0);
    take_stdin(&conf, now() + 60000);
    const char *key = strstr(conf.data, "\"cniVersion\""), *value = key ? key + strlen("\"cniVersion\"") : "";
    value += strspn(value, " \t\r\n:\"");
    size_t length = strspn(value, "0123456789.");
    snprintf(version, size, "%.*s", (int)(length ? length : 5), length ? value : "1.0.0");
}

// lo needs no agent: k3s without flannel has no `loopback` plugin and containerd starts no pod without one. DEL leaves lo up; it goes with its namespace.
static int loopback(const char *command)
{
    bool add = strcmp(command, "ADD") == 0;
    if (!add && strcmp(command, "CHECK") != 0) return 0;

    char path[4096], version[16], result[4608];
    snprintf(path, sizeof path, "%s", variable("CNI_NETNS"));
    version_asked(version, sizeof version);
    int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) fail(bad_netns, "cannot enter CNI_NETNS %s: %s", path, strerror(errno));

    struct ifreq lo = {.ifr_name = "lo"};
    int device = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (device < 0 || ioctl(device, SIOCGIFFLAGS, &lo) != 0) fail(io_failure, "cannot read lo in %s: %s", path, strerror(errno));
    if (!add && !(lo.ifr_flags & IFF_UP)) fail(state_differs, "lo is down in %s", path);
    if (!add) return 0;
    lo.ifr_flags |= IFF_UP;
    if (ioctl(device, SIOCSIFFLAGS, &lo) != 0) fail(io_failure, "cannot set lo up in %s: %s", path, strerror(errno));

    // Right for every version: the ones from 1.0.0 on ignore ips[].version.
    make_plain(path);
    int n = snprintf(result, sizeof result,
        "{\"cniVersion\":\"%s\",\"interfaces\":[{\"name\":\"lo\",\"mac\":\"00:00:00:00:00:00\",\"sandbox\":\"%s\"}],\"ips\":["
        "{\"version\":\"4\",\"address\":\"127.0.0.1/8\",\"interface\":0},{\"version\":\"6\",\"address\":\"::1/128\",\"interface\":0}],\"dns\":{}}\n", version, path);
    print(result, (size_t)n);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); // a reader that went away is an exit code, not a death
    const char *command = variable("CNI_COMMAND"), *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";
    if (*command == '\0') return fputs(about, stderr) < 0;
    if (strcmp(command, "VERSION") == 0) return print(versions, strlen(versions)), 0;

    for (const struct command *c = commands; c < commands + sizeof commands / sizeof *commands; c++)
        if (strcmp(command, c->name) == 0) return strcmp(name, "loopback") == 0 ? loopback(command) : relay(c);
    fail(bad_environment, "CNI_COMMAND is %s: expected ADD, DEL, CHECK, GC, STATUS or VERSION", command);
}
