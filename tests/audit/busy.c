/* Programs that move while they are looked at: the first argument says how, the second how many threads. Says "ready". */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHELF = 1024 };

static _Atomic(char *) shelf[SHELF];
static int rounds;
/* How long a thread sleeps between rounds, in microseconds: longer with more threads, which together need less than a CPU. */
static unsigned pause_us;

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Puts objects on a shelf and frees what another thread put there. What a reader takes for a link may be 0xa5a5…a5. */
static void *exchange(void *argument) {
    uint64_t state = (uintptr_t)argument * 0x9e3779b97f4a7c15u | 1;
    for (int round = 0; rounds == 0 || round < rounds; round++) {
        for (int i = 0; i < 50; i++) {
            uint64_t r = next(&state);
            size_t size = 16 + (r >> 20) % (r % 64 ? 1500 : 70000);
            char *object = malloc(size);
            memset(object, 0xa5, size);
            object = atomic_exchange(&shelf[(r >> 44) % SHELF], object);
            if (object) {
                memset(object, 0xa5, 16);
                free(object);
            }
        }
        usleep(pause_us);
    }
    return NULL;
}

/* A large object that grows and shrinks, beside others that stand in its way. */
static void *grow(void *argument) {
    uint64_t state = (uintptr_t)argument | 1;
    char *object = NULL;
    for (;;) {
        size_t size = 40000 + next(&state) % 6000000;
        object = realloc(object, size);
        for (size_t at = 0; at < size; at += 4096) object[at] = 1;
        char *other = malloc(100000);
        memset(other, 1, 100000);
        usleep(2000);
        free(other);
    }
}

static void start(void *(*work)(void *), long threads, pthread_t *ids) {
    for (long i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, (void *)(i + 1))) exit(1);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    const char *how = arguments[1];
    long threads = atol(arguments[2]);
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    pause_us = 75 * (unsigned)threads;
    rounds = strcmp(how, "ends") ? 0 : 2;
    alarm(600);
    puts("ready");
    fflush(stdout);
    if (!strcmp(how, "ends"))
        for (;;) {
            start(exchange, threads, ids);
            for (long i = 0; i < threads; i++) pthread_join(ids[i], NULL);
        }
    start(strcmp(how, "grows") ? exchange : grow, threads, ids);
    if (!strcmp(how, "forks"))
        for (;;) {
            pid_t child = fork();
            if (child == 0) _exit(0);
            if (child > 0) waitpid(child, NULL, 0);
            usleep(500);
        }
    pause();
    return 0;
}
