/* 64 threads that allocate, free each other's objects, and then keep still, all alive. "-f": a child that forked. "-c":
   all descriptors closed. "-g": more and more threads, with pauses. Says "ready" first. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { THREADS = 64, OBJECTS = 1200 };

static void *objects[THREADS][OBJECTS];
static pthread_barrier_t all;

static size_t size_of(unsigned *seed) {
    unsigned r = *seed = *seed * 1103515245u + 12345u;
    r >>= 8;
    return r % 64 == 0 ? r % 300000 : r % 1500;
}

static void *work(void *argument) {
    long me = (long)argument;
    unsigned seed = (unsigned)me + 1;
    for (int i = 0; i < OBJECTS; i++) {
        size_t size = size_of(&seed);
        objects[me][i] = malloc(size);
        /* Some are never touched. */
        if (i % 5) memset(objects[me][i], 1, size);
    }
    pthread_barrier_wait(&all);
    long other = (me + 1) % THREADS;
    for (int i = 0; i < OBJECTS; i++)
        if (i % 3) {
            free(objects[other][i]);
            objects[other][i] = NULL;
        }
    pthread_barrier_wait(&all);
    pause();
    return NULL;
}

/* A thread that has some objects, and sleeps. */
static void *sleeper(void *argument) {
    for (int i = 0; i < 10; i++) memset(malloc(3000), 1, 3000);
    pause();
    return argument;
}

int main(int count, char **arguments) {
    const char *option = count > 1 ? arguments[1] : "";
    pthread_barrier_init(&all, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)i)) return 1;
    }
    pthread_barrier_wait(&all);
    pthread_barrier_wait(&all);
    if (!strcmp(option, "-f")) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            /* Its own objects, and the pages that it shares with the parent until it writes. */
            for (int i = 0; i < 1000; i++) memset(malloc(5000), 2, 5000);
            pause();
        }
        printf("child %d\n", child);
    }
    puts("ready");
    fflush(stdout);
    if (!strcmp(option, "-c"))
        for (int fd = 0; fd < 1024; fd++) close(fd);
    if (!strcmp(option, "-g")) {
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        for (int i = 0; i < 200; i++) {
            pthread_t thread;
            if (pthread_create(&thread, &small, sleeper, NULL)) break;
            usleep(10000);
        }
    }
    pause();
    return 0;
}
