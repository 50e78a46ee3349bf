/* A C program for every libc. Its argument names what it does; it prints "right"
   or the fault. It does not call pthread_atfork or pthread_key_create: a static
   program has them only if the archive brings them. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECTS = 200, ROUNDS = 10, AT_ONCE = 200, BUSY = 4, FORKS = 100 };

static void *allocate(size_t size)
{
    void *p = malloc(size);
    if (!p)
        abort();
    memset(p, 0x5a, size);
    return p;
}

/* Returns the resident memory in KiB. */
static long resident(void)
{
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
        abort();
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *short_life(void *barrier)
{
    void *objects[OBJECTS];
    for (int i = 0; i < OBJECTS; i++)
        objects[i] = allocate((size_t)i % 500 + 1);
    for (int i = 0; i < OBJECTS; i++)
        free(objects[i]);
    if (barrier)
        pthread_barrier_wait(barrier);
    return NULL;
}

/* Runs 2,000 threads, 200 at a time. The stacks of each round have another size, so few threads
   have the thread pointer of an earlier one: the allocator must learn of the exits. */
static const char *threads(void)
{
    pthread_t threads[AT_ONCE];
    pthread_barrier_t barrier;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_barrier_init(&barrier, NULL, AT_ONCE);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_attr_setstacksize(&attributes, 0x20000 + (size_t)round * 0x3000);
        for (int i = 0; i < AT_ONCE; i++)
            if (pthread_create(&threads[i], &attributes, short_life, &barrier))
                return "thread";
        for (int i = 0; i < AT_ONCE; i++)
            pthread_join(threads[i], NULL);
    }
    printf("resident %ld\n", resident());
    return NULL;
}

static volatile int stop;

static void *churn(void *unused)
{
    char *p = NULL;
    for (size_t i = 0; !stop; i++) {
        p = realloc(p, i * 7919 % 20000 + 1);
        if (!p)
            abort();
        free(allocate(i % 3000 + 1));
    }
    free(p);
    return unused;
}

/* Allocates in a child and in a thread of it. A child that hangs is ended by SIGALRM. */
static int child(void)
{
    pthread_t thread;
    alarm(60);
    for (int i = 0; i < 2000; i++)
        free(allocate((size_t)i * 31 % 40000 + 1));
    return pthread_create(&thread, NULL, short_life, NULL) || pthread_join(thread, NULL);
}

static const char *forks(void)
{
    pthread_t busy[BUSY];
    for (int i = 0; i < BUSY; i++)
        if (pthread_create(&busy[i], NULL, churn, NULL))
            return "thread";
    const char *wrong = NULL;
    for (int i = 0; i < FORKS && !wrong; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(child());
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            wrong = "fork";
        else if (status)
            wrong = WIFSIGNALED(status) ? "a child was ended by a signal" : "a child failed";
    }
    stop = 1;
    for (int i = 0; i < BUSY; i++)
        pthread_join(busy[i], NULL);
    return wrong;
}

/* The only thread forks: the child has an allocator of its own. */
static const char *fork_alone(void)
{
    void *kept = allocate(1000);
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        free(kept);
        exit(child());
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
        return "fork";
    free(kept);
    return NULL;
}

static const char *errors(void)
{
    volatile size_t huge = SIZE_MAX / 2;
    errno = 0;
    if (malloc(huge) || errno != ENOMEM)
        return "malloc";
    errno = 0;
    if (calloc(huge, 4) || errno != ENOMEM)
        return "calloc";
    void *p = allocate(10);
    errno = 0;
    if (realloc(p, huge) || errno != ENOMEM)
        return "realloc";
    errno = EDOM;
    free(p);
    free(allocate(100000));
    return errno == EDOM ? NULL : "a success changed errno";
}

static void last(void)
{
    for (int i = 0; i < 1000; i++)
        free(allocate(64));
}

/* The exit report counts what handlers of atexit allocate. */
static const char *handlers(void)
{
    return atexit(last) ? "atexit" : NULL;
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name, *(*run)(void);
    } parts[] = {
        {"threads", threads}, {"forks", forks}, {"fork_alone", fork_alone}, {"errors", errors}, {"handlers", handlers},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (count == 2 && !strcmp(arguments[1], parts[i].name)) {
            const char *wrong = parts[i].run();
            puts(wrong ? wrong : "right");
            return wrong != NULL;
        }
    return 2;
}
