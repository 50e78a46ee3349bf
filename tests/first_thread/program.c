/* Lives on after its first thread has left by pthread_exit. Without arguments another thread allocates all the time.
   "relay": one thread after the other does, each for some milliseconds. "close": all descriptors above standard error are
   closed. "audit": prints the result of the process's own audit. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <crossfoot-audit.h>

static const char *mode = "";
static void *kept[1000];

static void pause_for(long nanoseconds) {
    struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

static int first_has_exited(void) {
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", getpid());
    FILE *file = fopen(path, "r");
    if (!file) return 1;
    char *state = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return state && state[2] == 'Z';
}

static void work(int rounds) {
    for (int i = 0; i < rounds; i++) {
        void *objects[500];
        for (int j = 0; j < 500; j++) objects[j] = memset(malloc(3000), 1, 3000);
        for (int j = 0; j < 500; j++) free(objects[j]);
        pause_for(1000000);
    }
}

static void *relayed(void *unused) {
    work(5);
    pthread_t next;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&next, &detached, relayed, NULL)) exit(3);
    return unused;
}

static void *other(void *unused) {
    while (!first_has_exited()) pause_for(1000000);
    if (!strcmp(mode, "close"))
        for (int i = 3; i < 1024; i++) close(i);
    if (!strcmp(mode, "audit")) {
        int (*audit)(struct crossfoot_audit *, size_t, struct crossfoot_cause *, size_t) =
            (int (*)(struct crossfoot_audit *, size_t, struct crossfoot_cause *, size_t))dlsym(RTLD_DEFAULT, "crossfoot_audit");
        struct crossfoot_audit found;
        int result = audit ? audit(&found, sizeof found, NULL, 0) : -1;
        printf("result %d moved %llu unexplained %lld\n", result, (unsigned long long)found.moved,
               (long long)found.unexplained);
        exit(result != 0);
    }
    printf("ready\n");
    fflush(stdout);
    if (!strcmp(mode, "relay")) return relayed(unused);
    for (;;) work(1);
}

int main(int count, char **arguments) {
    if (count > 1) mode = arguments[1];
    for (int i = 0; i < 1000; i++) kept[i] = memset(malloc(1000), 1, 1000);
    pthread_t thread;
    if (pthread_create(&thread, NULL, other, NULL)) return 2;
    pthread_exit(NULL);
}
