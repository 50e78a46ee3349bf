// A thread that retires its cache and goes on: the next thread adopts the cache, and no third cache is needed.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

extern void crossfoot_retire_thread(void) __attribute__((weak));

static pthread_barrier_t retired, done;

// Volatile, so that the compiler keeps the unused object.
static void allocate(void) {
    void *volatile p = malloc(100);
    free(p);
}

static void *retires(void *unused) {
    allocate();
    crossfoot_retire_thread();
    pthread_barrier_wait(&retired);
    pthread_barrier_wait(&done);
    return unused;
}

static void *adopts(void *unused) {
    allocate();
    return unused;
}

int main(void) {
    pthread_t first, second;
    if (!crossfoot_retire_thread)
        return 1;
    allocate();
    pthread_barrier_init(&retired, NULL, 2);
    pthread_barrier_init(&done, NULL, 2);
    pthread_create(&first, NULL, retires, NULL);
    pthread_barrier_wait(&retired);
    pthread_create(&second, NULL, adopts, NULL);
    pthread_join(second, NULL);
    pthread_barrier_wait(&done);
    pthread_join(first, NULL);
    puts("done");
    return 0;
}
