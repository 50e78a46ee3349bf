// Does what its arguments say, one after the other. Prints a line where a test waits for it, and sleeps.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept[1 << 16];

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0) _exit(9);
}

static void say_number(const char *text, long number) {
    char line[64];
    snprintf(line, sizeof line, "%s %ld\n", text, number);
    say(line);
}

// Allocates and frees for ever, objects of many sizes, some of which another thread frees.
static void *churn(void *argument) {
    unsigned long seed = (unsigned long)argument;
    for (;;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        void *volatile *place = &kept[(seed >> 33) % (1 << 16)];
        void *old = __atomic_exchange_n((void **)place, NULL, __ATOMIC_ACQ_REL);
        free(old);
        void *new = malloc((seed >> 40) % 64 == 0 ? (seed >> 20) % 200000 : (seed >> 20) % 600 + 1);
        old = __atomic_exchange_n((void **)place, new, __ATOMIC_ACQ_REL);
        free(old);
    }
    return NULL;
}

// 60,000 objects in some steps: a reading is not written more often than it may be.
static void allocate_slowly(void) {
    for (int k = 0; k < 60000; k++) {
        kept[k] = malloc(64);
        if (k % 3000 == 0) usleep(20000);
    }
}

// Few objects, again and again.
static void *trickle(void *unused) {
    static void *volatile own[1000];
    for (;;) {
        for (int k = 0; k < 1000; k++) own[k] = malloc(64);
        for (int k = 0; k < 1000; k++) free(own[k]);
        usleep(1000);
    }
    return unused;
}

// The same few objects, from one span, as often as it can.
static void *pairs(void *unused) {
    void *volatile own[16];
    for (;;) {
        for (int k = 0; k < 16; k++) own[k] = malloc(24);
        for (int k = 0; k < 16; k++) free(own[k]);
    }
    return unused;
}

static void *pause_forever(void *unused) {
    for (;;) pause();
    return unused;
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        const char *what = arguments[i];
        if (strcmp(what, "objects") == 0) {
            for (int k = 0; k < 1000; k++) memset(kept[k] = malloc(64), 1, 64);
        } else if (strcmp(what, "large") == 0) {
            for (int k = 0; k < 16; k++) memset(kept[1000 + k] = malloc(4 << 20), 1, 4 << 20);
        } else if (strcmp(what, "one-large") == 0) {
            kept[3000] = malloc(4 << 20);
        } else if (strcmp(what, "wait") == 0) {
            usleep(300000);
        } else if (strcmp(what, "free-large") == 0) {
            for (int k = 0; k < 16; k++) free(kept[1000 + k]), kept[1000 + k] = NULL;
        } else if (strncmp(what, "churn", 5) == 0) {
            pthread_t thread;
            for (long k = 0; k < atol(what + 5); k++) pthread_create(&thread, NULL, churn, (void *)(k + 1));
        } else if (strcmp(what, "pairs") == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, pairs, NULL);
        } else if (strcmp(what, "trickle") == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, trickle, NULL);
        } else if (strcmp(what, "threads") == 0) {
            pthread_t thread;
            for (int k = 0; k < 3; k++) pthread_create(&thread, NULL, pause_forever, NULL);
        } else if (strcmp(what, "close") == 0) {
            say("closed\n");
            for (int fd = 0; fd < 1024; fd++) close(fd);
        } else if (strcmp(what, "fork") == 0) {
            pid_t child = fork();
            if (child == 0) {
                allocate_slowly();
                for (;;) pause();
            }
            say_number("child", child);
        } else if (strcmp(what, "raw-fork") == 0) {
            // The system call itself runs no handlers of fork.
            long child = syscall(SYS_fork);
            if (child == 0) {
                say("in child\n");
                raise(SIGSTOP);
                allocate_slowly();
                say("allocated\n");
                for (;;) pause();
            }
            say_number("child", child);
        } else if (strcmp(what, "vfork") == 0) {
            pid_t child = vfork();
            if (child == 0) {
                for (int k = 0; k < 20000; k++) free(malloc(64 + k % 5000));
                for (int k = 0; k < 16; k++) kept[4000 + k] = malloc(4 << 20);
                _exit(0);
            }
            waitpid(child, NULL, 0);
        } else if (strcmp(what, "exec") == 0) {
            char *const plain[] = {(char *)"PATH=/usr/bin:/bin", NULL};
            execle("/bin/sleep", "sleep", "60", (char *)NULL, plain);
        } else if (strcmp(what, "ready") == 0) {
            say("ready\n");
        } else if (strcmp(what, "sleep") == 0) {
            for (;;) pause();
        } else if (strcmp(what, "line") == 0) {
            // Goes on when a line comes.
            char c;
            while (read(0, &c, 1) == 1 && c != '\n') {}
        }
    }
    return 0;
}
