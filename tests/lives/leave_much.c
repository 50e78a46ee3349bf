/* Threads that have 2 MiB of small objects each, all at the same time, free them and end. Prints how many KiB are resident
 * before the first, when all have their objects, and after the last. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 80, OBJECTS = 2048, MOST = 2000 };
static pthread_barrier_t full, seen;

static long resident(void)
{
    long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &pages) != 2)
        exit(1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *life(void *argument)
{
    void **objects = malloc(OBJECTS * sizeof *objects);
    for (int i = 0; i < OBJECTS; i++) {
        size_t size = 48 + (size_t)i * 37 % MOST;
        if ((objects[i] = malloc(size)) == NULL)
            exit(2);
        memset(objects[i], 1, size);
    }
    pthread_barrier_wait(&full);
    pthread_barrier_wait(&seen);
    for (int i = 0; i < OBJECTS; i++)
        free(objects[i]);
    free(objects);
    return argument;
}

int main(void)
{
    static pthread_t threads[THREADS];
    long before = resident(), most;
    pthread_barrier_init(&full, NULL, THREADS + 1);
    pthread_barrier_init(&seen, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, life, NULL) != 0)
            return 3;
    pthread_barrier_wait(&full);
    most = resident();
    pthread_barrier_wait(&seen);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%ld %ld %ld\n", before, most, resident());
    return 0;
}
