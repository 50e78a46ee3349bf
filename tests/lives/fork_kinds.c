/* Forks at odd moments: in a process with one thread, in children of children, by a thread that has never allocated,
 * and while other threads make their first allocation. Each child works and exits by `exit`. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include "watchdog.h"

enum { PATIENCE = 60 };

static volatile int stop;

static void work(void)
{
    void *kept[40];
    for (int i = 0; i < 40; i++)
        if ((kept[i] = malloc((size_t)i * i * 50)) == NULL)
            abort();
    for (int i = 0; i < 40; i++)
        free(kept[i]);
}

static void *first_allocation(void *argument)
{
    work();
    return argument;
}

/* Forks; the child runs `depth` more generations. Its own first act is to allocate. */
static void generations(int depth, void *given)
{
    int status;
    void *mine = malloc(3000);
    pid_t pid = fork();
    if (pid < 0)
        _exit(2);
    if (pid == 0) {
        pthread_t thread;
        watched = 0;
        watch(PATIENCE);
        work();
        free(given);
        if (depth > 0)
            generations(depth - 1, mine);
        else
            free(mine);
        if (pthread_create(&thread, NULL, first_allocation, NULL) != 0 || pthread_join(thread, NULL) != 0)
            _exit(4);
        exit(0);
    }
    watched = pid;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "%s: generation %d: status %#x\n", phase, depth, status);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
    }
    watched = 0;
    free(mine);
    work();
}

/* Whether the thread allocated before it forked is up to the libc; nothing here does. */
static void *fork_first(void *argument)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        watch(PATIENCE);
        work();
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        _exit(5);
    work();
    return argument;
}

static void *begin_threads(void *argument)
{
    while (!stop) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            if (pthread_create(&threads[i], NULL, first_allocation, NULL) != 0)
                _exit(6);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    return argument;
}

int main(void)
{
    pthread_t thread;
    watch(PATIENCE);
    phase = "one thread";
    for (int i = 0; i < 10; i++)
        generations(0, malloc(100));
    phase = "children of children";
    generations(6, malloc(100));
    phase = "a thread that has never allocated";
    for (int i = 0; i < 10; i++)
        if (pthread_create(&thread, NULL, fork_first, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 1;
    phase = "beside first allocations";
    if (pthread_create(&thread, NULL, begin_threads, NULL) != 0)
        return 1;
    for (int i = 0; i < 60; i++)
        generations(0, malloc(100));
    stop = 1;
    pthread_join(thread, NULL);
    phase = "the end";
    return 0;
}
