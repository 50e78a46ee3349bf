/* Writes over a link in a free object, in a situation, and goes on: links SITUATION LINK. tests/process_links.rs has the table. */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((weak)) int crossfoot_balanced(void);
__attribute__((weak)) void *crossfoot_heap_new(void);
__attribute__((weak)) void *crossfoot_heap_malloc(void *heap, size_t size);
__attribute__((weak)) void crossfoot_heap_free(void *heap, void *object);
__attribute__((weak)) void crossfoot_heap_destroy(void *heap);

/* Objects of 208 bytes: 78 in a span, 20 in a full batch to another thread. */
enum { SIZE = 200, OBJECTS = 64, BATCH = 20 };

static char *all[OBJECTS];
static void *elsewhere;
static const char *link_name;
static int seed;

static void *hide(void *p)
{
    void *volatile hidden = p;
    return hidden;
}

/* Writes to the word of `at`; `other` is the object that a pair of objects needs. */
static void change(char *at, int word, char *other)
{
    uintptr_t to = 0;
    if (strcmp(link_name, "self") == 0)
        to = (uintptr_t)at;
    else if (strcmp(link_name, "pair") == 0)
        to = (uintptr_t)other;
    else if (strcmp(link_name, "wild") == 0)
        to = 0x414141414140;
    else if (strcmp(link_name, "far") == 0)
        to = 0x4141414141414140;
    else if (strcmp(link_name, "odd") == 0)
        to = (uintptr_t)at + 9;
    else if (strcmp(link_name, "inside") == 0)
        to = (uintptr_t)at + 16;
    else if (strcmp(link_name, "other") == 0)
        to = (uintptr_t)elsewhere;
    else if (strcmp(link_name, "cut") != 0)
        _exit(99);
    char line[32];
    int n = snprintf(line, sizeof line, "%#lx\n", (unsigned long)(uintptr_t)at);
    if (write(1, line, (size_t)n) != n)
        _exit(99);
    ((uintptr_t *)hide(at))[word] = to;
}

static void fill(void)
{
    for (int i = 0; i < OBJECTS; i++)
        all[i] = malloc(SIZE);
}

static void *free_all(void *nothing)
{
    for (int i = 0; i < OBJECTS; i++)
        free(all[i]);
    return nothing;
}

/* Frees all objects, and changes one in the middle of the list. */
static void change_list(void)
{
    fill();
    free_all(NULL);
    change(all[10], 0, all[30]);
}

static void use_up(void)
{
    for (int i = 0; i < 2000; i++)
        hide(malloc(SIZE));
}

static void in_thread(void *(*f)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, f, argument) != 0 || pthread_join(thread, NULL) != 0)
        _exit(98);
}

/* Ends as the child does. */
static _Noreturn void end_as(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        _exit(97);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

/* The hand of a thread has memory that follows on the first object. */
static void *change_hand(void *nothing)
{
    char *p = malloc(SIZE);
    change(p + 208, 0, p + 208 * 3);
    return nothing;
}

static void *change_hand_late(void *nothing)
{
    char *p = malloc(SIZE);
    change(p + 208 * 3, 0, p + 208);
    return nothing;
}

static void *change_in_thread(void *nothing)
{
    change_list();
    return nothing;
}

static void *fill_in_thread(void *nothing)
{
    fill();
    return nothing;
}

static void *leave_some(void *nothing)
{
    fill();
    for (int i = 0; i < 20; i++)
        free(all[i]);
    change(all[10], 0, all[15]);
    return nothing;
}

static pthread_barrier_t barrier;

/* Owns the objects; what comes home is taken in at its next allocations, or at its end. */
static void *owner(void *takes)
{
    fill();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    if (takes) {
        use_up();
        _exit(0);
    }
    return NULL;
}

static void *free_few(void *nothing)
{
    for (int i = 0; i < 5; i++)
        free(all[i]);
    change(all[2], 0, all[4]);
    return nothing;
}

/* A batch's last object is the one freed first. */
static void change_batch(int word)
{
    int tail = !strcmp(link_name, "pair") ? 0 : BATCH;
    change(all[word == 2 ? BATCH - 1 : tail], word != 0, all[word == 1 ? BATCH : 5]);
}

/* Has another thread own objects, frees them, and changes a link of what lies in the owner's inbox. */
static void remote(int word, int takes)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, owner, takes ? &barrier : NULL) != 0)
        _exit(98);
    pthread_barrier_wait(&barrier);
    if (word == 3)
        in_thread(free_few, NULL);
    else {
        free_all(NULL);
        change_batch(word);
    }
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    _exit(0);
}

static void abort_handler(int number)
{
    (void)number;
    for (int i = 0; i < 2000; i++)
        free(hide(malloc(40 + i)));
    for (int i = 0; i < 3; i++)
        hide(malloc(5000));
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

static unsigned next(void)
{
    seed = (int)((unsigned)seed * 1103515245u + 12345u);
    return (unsigned)seed >> 8;
}

static void *free_some(void *from)
{
    for (int i = (int)(intptr_t)from; i < OBJECTS; i += 3)
        free(all[i]), all[i] = NULL;
    return NULL;
}

static void *change_nothing(void *nothing)
{
    hide(malloc(SIZE));
    return nothing;
}

/* Changes links as the seed says, and asks for what walks lists. */
static int fuzz(void)
{
    char *freed[OBJECTS];
    size_t size = 16u << (next() % 6);
    for (int i = 0; i < OBJECTS; i++)
        all[i] = freed[i] = malloc(size);
    if (next() % 2)
        in_thread(free_some, (void *)(intptr_t)(next() % 3));
    int kept = (int)(next() % OBJECTS);
    for (int i = kept; i < OBJECTS; i++)
        free(all[i]), all[i] = NULL;
    for (int n = (int)(next() % 3) + 1; n > 0; n--) {
        static const char *const kinds[] = { "self", "pair", "wild", "far", "odd", "inside", "other", "cut" };
        int at = (int)(next() % OBJECTS);
        if (all[at])
            continue;
        link_name = kinds[next() % 8];
        change(freed[at], (int)(next() % 2), freed[next() % OBJECTS]);
    }
    /* Where frees are not validated, memory of a changed list may be anything. */
    if (getenv("LINKS_ALLOCATES"))
        for (int i = 0; i < 300; i++)
            free(hide(malloc(size)));
    switch (next() % 4) {
    case 0: malloc_trim(0); break;
    case 1: mallinfo2(); break;
    case 2: in_thread(change_nothing, NULL); break;
    default: {
        pid_t child = fork();
        if (child == 0)
            exit(0);
        waitpid(child, NULL, 0);
    }
    }
    return 0;
}

int main(int count, char **words)
{
    if (count != 3)
        return 99;
    const char *what = words[1];
    link_name = words[2];
    elsewhere = malloc(3000);
    if (strcmp(what, "fuzz") == 0) {
        seed = atoi(words[2]);
        return fuzz();
    }
    if (strcmp(what, "exit") == 0) {
        change_list();
        return 0;
    } else if (strcmp(what, "exit_hand") == 0) {
        change_hand(NULL);
        return 0;
    } else if (strcmp(what, "exit_inbox") == 0) {
        fill();
        in_thread(free_all, NULL);
        change_batch(0);
        return 0;
    } else if (strcmp(what, "exit_full") == 0) {
        struct sigaction action = { .sa_handler = abort_handler };
        sigaction(SIGABRT, &action, NULL);
        change_list();
        return 0;
    } else if (strcmp(what, "thread_hand") == 0) {
        in_thread(change_hand, NULL);
        _exit(0);
    } else if (strcmp(what, "thread_hand_late") == 0) {
        in_thread(change_hand_late, NULL);
        _exit(0);
    } else if (strcmp(what, "thread_list") == 0) {
        in_thread(change_in_thread, NULL);
        _exit(0);
    } else if (strcmp(what, "thread_abort") == 0) {
        struct sigaction action = { .sa_handler = abort_handler };
        sigaction(SIGABRT, &action, NULL);
        in_thread(change_hand, NULL);
        _exit(0);
    } else if (strcmp(what, "fork") == 0) {
        change_list();
        pid_t child = fork();
        if (child == 0)
            exit(0);
        end_as(child);
    } else if (strcmp(what, "fork_child") == 0) {
        pid_t child = fork();
        if (child == 0) {
            in_thread(change_hand_late, NULL);
            exit(0);
        }
        end_as(child);
    } else if (strcmp(what, "fork_quiet") == 0) {
        change_list();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        end_as(child);
    } else if (strcmp(what, "trim") == 0) {
        change_list();
        malloc_trim(0);
        _exit(0);
    } else if (strcmp(what, "usable") == 0) {
        char *p = malloc(3000);
        change_list();
        if (malloc_usable_size(p) < 3000)
            _exit(96);
        _exit(0);
    } else if (strcmp(what, "stats") == 0) {
        change_list();
        mallinfo2();
        _exit(0);
    } else if (strcmp(what, "check") == 0) {
        change_list();
        crossfoot_balanced();
        _exit(0);
    } else if (strcmp(what, "realloc") == 0) {
        char *p = malloc(3000);
        change_list();
        hide(realloc(hide(realloc(p, 5000)), 100000));
        _exit(0);
    } else if (strcmp(what, "refill") == 0) {
        change_list();
        use_up();
        _exit(0);
    } else if (strcmp(what, "retire") == 0) {
        char *more[200];
        for (int i = 0; i < 200; i++)
            more[i] = malloc(SIZE);
        /* Each span has room, so none is kept for being the only one. */
        free(more[100]);
        for (int i = 0; i < 20; i++)
            free(more[i]);
        change(more[10], 0, more[15]);
        for (int i = 20; i < 100; i++)
            free(more[i]);
        _exit(0);
    } else if (strcmp(what, "orphan") == 0) {
        in_thread(fill_in_thread, NULL);
        free_all(NULL);
        change(all[10], 0, all[5]);
        in_thread(fill_in_thread, NULL);
        _exit(0);
    } else if (strcmp(what, "adopt") == 0) {
        hide(malloc(SIZE));
        in_thread(leave_some, NULL);
        for (int i = 20; i < OBJECTS; i++)
            free(all[i]);
        _exit(0);
    } else if (strcmp(what, "heap") == 0) {
        void *heap = crossfoot_heap_new();
        for (int i = 0; i < OBJECTS; i++)
            all[i] = crossfoot_heap_malloc(heap, SIZE);
        for (int i = 0; i < OBJECTS; i++)
            crossfoot_heap_free(heap, all[i]);
        change(all[10], 0, all[30]);
        crossfoot_heap_destroy(heap);
        _exit(0);
    } else if (strncmp(what, "inbox_", 6) == 0) {
        static const char *const words_of[] = { "next", "chain", "sum", "pending" };
        for (int word = 0; word < 4; word++) {
            size_t n = strlen(words_of[word]);
            if (strncmp(what + 6, words_of[word], n) == 0)
                remote(word, strcmp(what + 6 + n, "_end") != 0);
        }
    }
    return 99;
}
