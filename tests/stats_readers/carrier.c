// What can happen to the files that carry a stats page: does what its arguments say, one after the other.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void *volatile kept[1000];

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0) _exit(9);
}

static void objects(void) {
    for (int k = 0; k < 1000; k++) free(kept[k]), kept[k] = malloc(64 + k);
}

// The call is refused with this error.
static void refuse(int number, int error) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(8);
}

static void limit(int what, unsigned long value) {
    struct rlimit limit = {value, value};
    if (setrlimit(what, &limit)) _exit(7);
}

static int open_files(void) {
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void say_number(const char *text, long number) {
    char line[64];
    snprintf(line, sizeof line, "%s %ld\n", text, number);
    say(line);
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        const char *what = arguments[i];
        if (strcmp(what, "objects") == 0) {
            objects();
        } else if (strcmp(what, "first") == 0) {
            kept[0] = malloc(24);
        } else if (strcmp(what, "undumpable") == 0) {
            if (prctl(PR_SET_DUMPABLE, 0)) _exit(6);
        } else if (strcmp(what, "refused-memfd") == 0) {
            refuse(SYS_memfd_create, ENOSYS);
        } else if (strcmp(what, "few-files") == 0) {
            limit(RLIMIT_NOFILE, 8);
        } else if (strcmp(what, "some-files") == 0) {
            limit(RLIMIT_NOFILE, 32);
        } else if (strcmp(what, "small-files") == 0) {
            limit(RLIMIT_FSIZE, 1024);
        } else if (strcmp(what, "full") == 0) {
            limit(RLIMIT_NOFILE, 200);
            while (dup(0) >= 0) {}
        } else if (strcmp(what, "open") == 0) {
            say_number("open", open_files());
        } else if (strcmp(what, "reuse") == 0) {
            // As a daemon: everything is closed, and the numbers are the program's own.
            for (int fd = 3; fd < 1024; fd++) close(fd);
            for (int fd = 3; fd < 120; fd++) {
                if (dup2(1, fd) < 0) _exit(5);
            }
        } else if (strcmp(what, "fork-open") == 0) {
            pid_t child = fork();
            if (child == 0) {
                objects();
                say_number("open", open_files());
                _exit(0);
            }
            int status;
            waitpid(child, &status, 0);
            if (status != 0) _exit(4);
        } else if (strcmp(what, "fork") == 0) {
            pid_t child = fork();
            if (child == 0) {
                objects();
                say_number("child", getpid());
                for (;;) pause();
            }
        } else if (strcmp(what, "spawn") == 0) {
            // The rest is done by a child that is started past the handlers of fork, and by this process.
            pid_t child;
            char *const line[] = {arguments[0], (char *)"first", (char *)"objects", (char *)"open", (char *)"ready",
                                  (char *)"sleep", NULL};
            if (posix_spawn(&child, arguments[0], NULL, NULL, line, environ)) _exit(3);
            say_number("child", child);
        } else if (strcmp(what, "exec") == 0) {
            execv("/proc/self/exe", arguments + i);
        } else if (strcmp(what, "killed") == 0) {
            raise(SIGKILL);
        } else if (strcmp(what, "ready") == 0) {
            say("ready\n");
        } else if (strcmp(what, "work") == 0) {
            for (;;) {
                objects();
                usleep(100);
            }
        } else if (strcmp(what, "large") == 0) {
            for (int k = 0; k < 16; k++) memset(kept[k] = malloc(2 << 20), 1, 2 << 20);
            for (int k = 0; k < 16; k++) free(kept[k]), kept[k] = NULL;
        } else if (strcmp(what, "sleep") == 0) {
            for (;;) pause();
        }
    }
    return 0;
}
