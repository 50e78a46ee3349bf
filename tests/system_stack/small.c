/* A thread with the smallest stack that the libc allows, three quarters of it used up, reads what there is to read; the
 * first one has a cache, the second none. Then one exits the process. Prints the size of the stack, and the most that
 * was left of it. */
#define _GNU_SOURCE
#include <alloca.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int crossfoot_balanced(void);

static char *low;
static size_t size, most;
static enum { ALLOCATES, READS, EXITS } what;

/* In a frame of its own, so that nothing of it is there before. */
static __attribute__((noinline)) void read_all(void) {
    size_t left = (size_t)((char *)__builtin_frame_address(0) - low);
    most = left > most ? left : most;
    struct mallinfo2 info = mallinfo2();
    if (info.arena == 0 || mallinfo().arena == 0)
        _exit(3);
    malloc_stats();
    if (!crossfoot_balanced())
        _exit(4);
    if (what == EXITS)
        exit(0);
}

static void *body(void *nothing) {
    if (what == ALLOCATES) {
        void *volatile object = malloc(100);
        free(object);
    }
    size_t have = (size_t)((char *)__builtin_frame_address(0) - low);
    volatile char *used = alloca(have - size / 4);
    used[0] = 1;
    read_all();
    return nothing;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    void *volatile object = malloc(1000);
    size = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    for (what = ALLOCATES; what <= EXITS; what++) {
        if (what == EXITS) {
            printf("%zu %zu\n", size, most);
            fflush(stdout);
        }
        /* A page before it that faults. */
        char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_NONE) != 0)
            return 5;
        low = memory + 4096;
        if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstack(&attributes, low, size) != 0)
            return 6;
        if (pthread_create(&thread, &attributes, body, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 7;
    }
    free(object);
    return 8;
}
