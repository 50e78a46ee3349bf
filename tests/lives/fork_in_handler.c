/* A signal handler that forks, whatever it interrupts: fork_in_handler WHAT FORKS THREADS.
   WHAT: objects (of all sizes), heaps (isolated), readings (metrics and statistics), forks (the main flow forks too).
   Children end at once; or allocate first; or return from the handler, and what it interrupted goes on in them.
   Prints how many forks there were, and how many children ended by a line of the allocator's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

static volatile int forks, aborted, threads, in_child, steps_left;
static volatile unsigned lot = 1;

static unsigned draw(void)
{
    lot = lot * 1103515245 + 12345;
    return lot >> 8;
}

static void arm(void)
{
    struct itimerval next = { { 0, 0 }, { 0, 30 + draw() % 400 } };
    setitimer(ITIMER_REAL, &next, 0);
}

static void fail(const char *what, int status)
{
    /* No stream: this may be inside the allocator. */
    char line[80];
    int length = snprintf(line, sizeof line, "%s: status %d\n", what, status);
    (void)!write(2, line, length);
    _exit(3);
}

static void allocate_in_child(void)
{
    void *all[40];
    for (int i = 0; i < 40; i++)
        all[i] = malloc((size_t)1 << (i % 20));
    for (int i = 0; i < 40; i++)
        free(all[i]);
}

/* `kind` 0: it ends at once; 1: it allocates; 2: it goes on. */
static void fork_once(int kind)
{
    pid_t child = fork();
    if (child < 0)
        return;
    if (child == 0) {
        /* Of a child that hangs, this makes one that failed. */
        struct sigaction ends = { .sa_handler = SIG_DFL };
        sigaction(SIGALRM, &ends, 0);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &set, 0);
        alarm(60);
        if (kind == 1)
            allocate_in_child();
        if (kind == 2) {
            in_child = 1;
            steps_left = 300;
            return;
        }
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child) {
        /* A child that goes on may do so here, and the other child is not its own. */
        if (!in_child)
            fail("waitpid", 0);
        return;
    }
    /* A child that allocates in a handler may be told that it must not, by SIGABRT. One that goes on is told so only
       where other threads held what it needs. */
    int told = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && (kind == 1 || (kind == 2 && threads > 0));
    aborted += told;
    if (status != 0 && !told)
        fail(kind == 0 ? "a child that ends" : kind == 1 ? "a child that allocates" : "a child that goes on", status);
}

static void handler(int number)
{
    (void)number;
    if (in_child)
        return;
    fork_once(forks % 3);
    if (in_child)
        return;
    forks++;
    arm();
}

static void churn(void **all, unsigned *seed, int large)
{
    *seed = *seed * 1664525 + 1013904223;
    int i = *seed >> 8 & 127;
    free(all[i]);
    unsigned size = *seed >> 16;
    all[i] = malloc(large && *seed >> 28 == 0 ? size * 40 : size % 3000 + 1);
    if (*seed >> 24 == 7)
        all[i] = realloc(all[i], size % 70000 + 1);
    if (large && *seed >> 20 == 1)
        malloc_trim(0);
}

static atomic_int stop;

static void *beside(void *argument)
{
    void *all[128] = { 0 };
    unsigned seed = 7 + (unsigned)(size_t)argument;
    while (!stop)
        churn(all, &seed, 1);
    for (int i = 0; i < 128; i++)
        free(all[i]);
    return 0;
}

static void use_heap(void **heap, int i)
{
    static void *(*make)(void), *(*take)(void *, size_t);
    static void (*drop)(void *), (*give)(void *, void *);
    if (!make) {
        make = (void *(*)(void))dlsym(RTLD_DEFAULT, "crossfoot_heap_new");
        take = (void *(*)(void *, size_t))dlsym(RTLD_DEFAULT, "crossfoot_heap_malloc");
        give = (void (*)(void *, void *))dlsym(RTLD_DEFAULT, "crossfoot_heap_free");
        drop = (void (*)(void *))dlsym(RTLD_DEFAULT, "crossfoot_heap_destroy");
    }
    if (!*heap)
        *heap = make();
    void *a = take(*heap, i % 9000), *b = take(*heap, 40);
    give(*heap, a);
    give(*heap, b);
    if (i % 200 == 199) {
        drop(*heap);
        *heap = 0;
    }
}

static void read_books(int i)
{
    static int (*balanced)(void);
    if (!balanced)
        balanced = (int (*)(void))dlsym(RTLD_DEFAULT, "crossfoot_balanced");
    if (i % 4 == 0 && balanced)
        balanced();
    else
        mallinfo2();
}

int main(int count, char **arguments)
{
    if (count != 4)
        return 2;
    const char *what = arguments[1];
    int wanted = atoi(arguments[2]);
    threads = atoi(arguments[3]);
    sigset_t alarms, before;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarms, &before);
    pthread_t thread[16];
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], 0, beside, (void *)(size_t)i) != 0)
            return 4;
    struct sigaction forking = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &forking, 0);
    void *all[128] = { 0 }, *heap = 0;
    unsigned seed = 1;
    arm();
    sigprocmask(SIG_UNBLOCK, &alarms, 0);
    for (int i = 0; forks < wanted && !(in_child && steps_left-- == 0); i++) {
        churn(all, &seed, what[0] == 'o');
        if (what[0] == 'h')
            use_heap(&heap, i);
        if (what[0] == 'r')
            read_books(i);
        if (what[0] == 'f' && !in_child)
            fork_once(0);
    }
    if (in_child)
        _exit(0);
    sigprocmask(SIG_BLOCK, &alarms, 0);
    stop = 1;
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], 0);
    for (int i = 0; i < 128; i++)
        free(all[i]);
    printf("%d %d\n", forks, aborted);
    return 0;
}
