// Runs one program again and again, each time with an environment and a stdin of its own: `run-many PROGRAM`. A start from here costs what the kernel takes for it;
// from Node, whose memory is large and whose pipes are many objects, it costs several times that. All numbers are 32 bits in the machine's order.
//
//   stdin:  length of the environment, length of the input, the environment as NAME=value strings each closed by a zero byte, the input
//   stdout: exit code, or minus the signal; length of the program's stdout, length of its stderr; both
//
// Ends with 0 when stdin ends. Whatever it cannot do ends it with 1 and a sentence: a run that was not made has no answer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { input_limit = 1 << 20 };

__attribute__((noreturn)) static void give_up(const char *what)
{
    fprintf(stderr, "run-many: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *room(size_t size)
{
    void *memory = malloc(size + 1);
    if (memory == NULL) give_up("have memory");
    return memory;
}

static void take(void *into, size_t length)
{
    errno = 0;
    if (length > 0 && fread(into, length, 1, stdin) != 1) give_up("read a request to its end");
}

// What a run has written to the file, which is empty again afterwards.
static void give_contents(int file, uint32_t length)
{
    char *bytes = room(length);
    if (pread(file, bytes, length, 0) != (ssize_t)length || ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0) give_up("read what was written");
    if (length > 0 && fwrite(bytes, length, 1, stdout) != 1) give_up("answer");
    free(bytes);
}

// A pipe with all of the input in it: what the program reads from, as it does from a container runtime.
static int piped(const char *input, uint32_t length)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[1], F_SETPIPE_SZ, input_limit) < 0) give_up("make a pipe");
    if (write(ends[1], input, length) != (ssize_t)length) give_up("fill a pipe");
    close(ends[1]);
    return ends[0];
}

static int32_t run(char *const argv[], char *const environment[], int in, int out, int err)
{
    pid_t child = fork();
    if (child < 0) give_up("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2) execve(argv[0], argv, environment);
        raise(SIGKILL);
    }
    int status;
    if (waitpid(child, &status, 0) != child) give_up("wait for a run");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    int out = memfd_create("stdout", MFD_CLOEXEC), err = memfd_create("stderr", MFD_CLOEXEC);
    if (out < 0 || err < 0) give_up("make a file in memory");

    uint32_t lengths[2];
    while (fread(lengths, sizeof lengths, 1, stdin) == 1) {
        if (lengths[1] > input_limit) return fprintf(stderr, "run-many: an input of %u bytes does not fit into a pipe\n", lengths[1]), 1;
        char *strings = room(lengths[0]), *input = room(lengths[1]), **environment = room((lengths[0] + 1) * sizeof *environment);
        take(strings, lengths[0]);
        take(input, lengths[1]);
        size_t count = 0;
        for (char *next = strings; next < strings + lengths[0]; next += strlen(next) + 1) environment[count++] = next;
        environment[count] = NULL;

        int in = piped(input, lengths[1]);
        int32_t status = run(argv + 1, environment, in, out, err);
        close(in);
        uint32_t answer[] = {(uint32_t)status, (uint32_t)lseek(out, 0, SEEK_END), (uint32_t)lseek(err, 0, SEEK_END)};
        if (fwrite(answer, sizeof answer, 1, stdout) != 1) give_up("answer");
        give_contents(out, answer[1]);
        give_contents(err, answer[2]);
        if (fflush(stdout) != 0) give_up("answer");
        free(strings), free(input), free(environment);
    }
    return 0;
}
