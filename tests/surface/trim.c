// What `malloc_trim` gives back and what it keeps, in MiB of resident memory; the figures before and after.

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1L << 20)
enum { OBJECTS = 640, SIZE = 100000 };

static long resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(file);
    return pages * 4096 / MIB;
}

static void fill_and_free(void) {
    static char *p[OBJECTS];
    for (int i = 0; i < OBJECTS; i++)
        memset(p[i] = malloc(SIZE), 1, SIZE);
    for (int i = 0; i < OBJECTS; i++)
        free(p[i]);
}

static void trim(const char *name, size_t pad) {
    long before = resident(), kept = mallinfo2().keepcost;
    // What the stream of `resident` left free goes back first.
    if (strcmp(name, "again") == 0)
        malloc_trim(pad);
    int result = malloc_trim(pad);
    printf("%s returns %d resident %ld %ld keepcost %ld %ld\n", name, result, before, resident(), kept / MIB,
        (long)mallinfo2().keepcost / MIB);
}

int main(void) {
    // A stream's buffer and the like are there from now on.
    resident();
    printf("begin\n");
    fill_and_free();
    trim("all", 0);
    trim("again", 0);
    fill_and_free();
    trim("half", 32 * MIB);
    trim("none", 1000 * MIB);
    trim("rest", 0);
    return 0;
}
