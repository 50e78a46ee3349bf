/* One thread allocates 40 MB, another one frees all of it and ends. What the statistics say to the first one, and what
 * is resident after malloc_trim: five numbers, in KiB: in use before, when all is allocated, when all is freed; and
 * resident before, and after the trim. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OBJECTS = 13000, SIZE = 3000 };
static void *objects[OBJECTS];

static long resident(void)
{
    long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &pages) != 2)
        exit(1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return (info.uordblks + info.hblkhd) / 1024;
}

static void *eat(void *argument)
{
    for (int i = 0; i < OBJECTS; i++)
        free(objects[i]);
    return argument;
}

int main(void)
{
    long use[3], memory[2];
    pthread_t thread;
    memory[0] = resident();
    use[0] = in_use();
    for (int i = 0; i < OBJECTS; i++) {
        if ((objects[i] = malloc(SIZE)) == NULL)
            return 2;
        memset(objects[i], 1, SIZE);
    }
    use[1] = in_use();
    if (pthread_create(&thread, NULL, eat, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 3;
    use[2] = in_use();
    malloc_trim(0);
    memory[1] = resident();
    printf("%ld %ld %ld %ld %ld\n", use[0], use[1], use[2], memory[0], memory[1]);
    return 0;
}
