/* Takes objects that grow until malloc refuses, THREADS at a time, each of which a byte is touched, and frees them, LOOPS
   times. Prints the largest object in MiB, that of memory and swap, and the CPU time in milliseconds. refused THREADS LOOPS */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int loops;
static size_t largest[64];

static void *work(void *arg) {
    size_t thread = (size_t)arg;
    for (int loop = 0; loop < loops; loop++) {
        char *kept[64];
        int n = 0;
        size_t size = 64;
        while (n < 64 && (kept[n] = malloc(size))) {
            kept[n++][0] = 1;
            if (size > largest[thread]) largest[thread] = size;
            size *= 2 + thread % 3;
        }
        if (n == 64 || errno != ENOMEM) exit(3);
        while (n) free(kept[--n]);
    }
    return 0;
}

int main(int argc, char **argv) {
    int threads = atoi(argv[1]);
    loops = atoi(argv[2]);
    unsigned long total = 0, value;
    char line[256];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemTotal: %lu", &value) == 1 || sscanf(line, "SwapTotal: %lu", &value) == 1) total += value;
    if (f) fclose(f);
    pthread_t id[64];
    for (long i = 0; i < threads; i++) pthread_create(&id[i], 0, work, (void *)i);
    for (int i = 0; i < threads; i++) pthread_join(id[i], 0);
    size_t most = 0;
    for (int i = 0; i < threads; i++)
        if (largest[i] > most) most = largest[i];
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    long ms = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
    printf("%zu %lu %ld\n", most >> 20, total >> 10, ms);
    return 0;
}
