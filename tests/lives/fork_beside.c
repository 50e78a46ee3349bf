/* Eight threads allocate, free each other's objects and read statistics, while a ninth forks. Each child allocates,
 * frees what the parent gave it, starts a thread that allocates, and exits by `exit`, so that its books are checked.
 * Argument: how many children. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "watchdog.h"

enum { THREADS = 8, SLOTS = 64, GIVEN = 12, PATIENCE = 60 };

static volatile int stop;
/* Whoever puts an object into a slot frees the one that was there, which another thread made as a rule. */
static void *slots[SLOTS];

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Mostly small; one in 64 is large. */
static void *some_object(unsigned *seed)
{
    unsigned kind = next(seed) % 64;
    size_t size = kind == 0 ? 40000 + next(seed) % 300000 : kind < 8 ? next(seed) % 30000 : next(seed) % 1000;
    void *object = malloc(size);
    if (object == NULL)
        abort();
    memset(object, (int)kind, size < 64 ? size : 64);
    return object;
}

static void read_statistics(void)
{
    struct mallinfo2 (*info)(void) = (struct mallinfo2 (*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
    int (*balanced)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "crossfoot_balanced");
    if (info != NULL)
        (void)info();
    if (balanced != NULL && !balanced())
        abort();
}

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument;
    while (!stop) {
        for (int i = 0; i < 200; i++)
            free(__atomic_exchange_n(&slots[next(&seed) % SLOTS], some_object(&seed), __ATOMIC_ACQ_REL));
        if (argument == NULL)
            read_statistics();
    }
    return NULL;
}

static void *life_in_the_child(void *argument)
{
    unsigned seed = 7;
    for (int i = 0; i < 300; i++)
        free(some_object(&seed));
    free(argument);
    return malloc(100);
}

static void child(void **given, unsigned seed)
{
    void *mine[100], *left;
    pthread_t thread;
    watch(PATIENCE);
    phase = "the child allocates";
    for (int i = 0; i < 100; i++)
        mine[i] = some_object(&seed);
    phase = "the child frees what the parent gave it";
    for (int i = 0; i < GIVEN; i++)
        free(given[i]);
    for (int i = 0; i < SLOTS; i++)
        free(__atomic_exchange_n(&slots[i], NULL, __ATOMIC_ACQ_REL));
    phase = "the child starts a thread";
    if (pthread_create(&thread, NULL, life_in_the_child, mine[0]) != 0)
        _exit(4);
    phase = "the child waits for its thread";
    if (pthread_join(thread, &left) != 0)
        _exit(5);
    phase = "the child frees";
    free(left);
    for (int i = 1; i < 100; i++)
        free(mine[i]);
    phase = "the child exits";
    exit(0);
}

static void *fork_often(void *argument)
{
    int children = *(int *)argument;
    unsigned seed = 99;
    for (int i = 0; i < children; i++) {
        void *given[GIVEN];
        int status;
        /* Half of them are its own, half come from others. */
        for (int g = 0; g < GIVEN; g++)
            given[g] = g % 2 == 0 ? some_object(&seed)
                                  : __atomic_exchange_n(&slots[next(&seed) % SLOTS], NULL, __ATOMIC_ACQ_REL);
        watch(PATIENCE);
        phase = "the parent forks";
        pid_t pid = fork();
        if (pid < 0)
            _exit(2);
        if (pid == 0)
            child(given, seed);
        phase = "the parent waits for its child";
        watched = pid;
        if (waitpid(pid, &status, 0) != pid || status != 0) {
            fprintf(stderr, "child %d: status %#x\n", i, status);
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
        }
        watched = 0;
        phase = "the parent frees what it gave";
        for (int g = 0; g < GIVEN; g++)
            free(given[g]);
    }
    return NULL;
}

int main(int count, char **arguments)
{
    int children = count > 1 ? atoi(arguments[1]) : 100;
    pthread_t threads[THREADS], forking;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, churn, (void *)i) != 0)
            return 1;
    if (pthread_create(&forking, NULL, fork_often, &children) != 0 || pthread_join(forking, NULL) != 0)
        return 1;
    stop = 1;
    phase = "the threads end";
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        free(slots[i]);
    phase = "the parent exits";
    return 0;
}
