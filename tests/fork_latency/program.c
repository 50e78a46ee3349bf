/* Prints how long the slowest of some forks took in the parent, in microseconds, beside eight threads that allocate and free
   and two that read statistics in a tight loop. The arguments: how many forks, and what the readers call: "snapshot" or
   "mallinfo". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <crossfoot-metrics.h>

enum { ALLOCATING = 8, READING = 2, OBJECTS = 256 };

static int (*snapshot_read)(struct crossfoot_snapshot *, size_t);
static atomic_ulong allocations, readings;

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void *allocate(void *seed) {
    void *objects[OBJECTS] = {0};
    for (unsigned s = (unsigned)(size_t)seed, n = 1;; n++) {
        s = s * 1664525 + 1013904223;
        unsigned i = s >> 8 & (OBJECTS - 1);
        size_t size = (s >> 20) % 64 ? (s >> 16) % 2000 + 16 : 40000 + (s >> 12) % 200000;
        free(objects[i]);
        objects[i] = malloc(size);
        if (!objects[i]) abort();
        memset(objects[i], 1, size < 4096 ? size : 4096);
        if (n % 1024 == 0) allocations += 1024;
    }
    return NULL;
}

static void *read_statistics(void *unused) {
    struct crossfoot_snapshot snapshot;
    for (;; readings++) {
        if (snapshot_read)
            snapshot_read(&snapshot, sizeof snapshot);
        else
            mallinfo2();
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int forks = atoi(arguments[1]);
    if (!strcmp(arguments[2], "snapshot")) {
        snapshot_read = (int (*)(struct crossfoot_snapshot *, size_t))dlsym(RTLD_DEFAULT, "crossfoot_snapshot_read");
        if (!snapshot_read) return 3;
    }
    pthread_t thread;
    for (size_t i = 0; i < ALLOCATING; i++)
        if (pthread_create(&thread, NULL, allocate, (void *)(i * 77 + 1))) return 4;
    for (int i = 0; i < READING; i++)
        if (pthread_create(&thread, NULL, read_statistics, NULL)) return 4;
    /* Every thread is at work. */
    while (allocations < ALLOCATING * 10000 || readings < READING * 10) usleep(1000);
    long worst = 0;
    for (int i = 0; i < forks; i++) {
        long before = now();
        pid_t child = fork();
        if (child == 0) {
            free(malloc(100));
            _exit(0);
        }
        long took = now() - before;
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status) return 5;
        if (took > worst) worst = took;
        usleep(2000);
    }
    printf("%ld\n", worst);
    fflush(stdout);
    _exit(0);
}
