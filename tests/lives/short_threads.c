/* Many short threads, 64 at a time, each of which allocates and frees, and leaves an object for the one that waits
 * for it. Prints how many KiB were resident after the first tenth and at the end. Argument: how many. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOGETHER = 64 };

static void *life(void *argument)
{
    char *left = malloc(500), *kept[30];
    for (int i = 0; i < 30; i++) {
        kept[i] = malloc((size_t)i * i * 4 + 1);
        if (kept[i] == NULL || left == NULL)
            abort();
        kept[i][0] = 1;
    }
    for (int i = 0; i < 30; i++)
        free(kept[i]);
    free(argument);
    return left;
}

static long resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long all, kib;
    if (file == NULL || fscanf(file, "%ld %ld", &all, &kib) != 2)
        abort();
    fclose(file);
    return kib * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int count, char **arguments)
{
    long threads = count > 1 ? atol(arguments[1]) : 10000, begun = 0, early = 0;
    pthread_t together[TOGETHER];
    for (long ended = 0; ended < threads; ended++) {
        void *left;
        for (; begun < threads && begun < ended + TOGETHER; begun++)
            if (pthread_create(&together[begun % TOGETHER], NULL, life, malloc(200)) != 0)
                return 1;
        if (pthread_join(together[ended % TOGETHER], &left) != 0)
            return 2;
        free(left);
        if (ended == threads / 10)
            early = resident();
    }
    printf("%ld %ld\n", early, resident());
    return 0;
}
