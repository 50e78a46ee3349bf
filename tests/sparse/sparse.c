/* Takes N objects of SIZE bytes in one of some ways, touches a few bytes of each, and prints by how many KiB the process
   grew, and how many KiB of pages it touched. "dense" writes all of each object and prints KiB in huge pages instead.
   sparse HOW N SIZE */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static long kib(const char *file, const char *name) {
    char line[256];
    long value = -1;
    FILE *f = fopen(file, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) value = atol(line + strlen(name));
    if (f) fclose(f);
    return value;
}

static long rss(void) { return kib("/proc/self/status", "VmRSS:"); }

/* Whether the kernel gives this process huge pages at all. */
static int has_huge_pages(void) {
    size_t size = 8 << 20;
    char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(p, size, MADV_HUGEPAGE);
    memset(p, 1, size);
    long huge = kib("/proc/self/smaps_rollup", "AnonHugePages:");
    munmap(p, size);
    return huge > 0;
}

static char *volatile *kept;
static long count, size, touched;

static char *take(const char *how) {
    char *p;
    if (!strcmp(how, "calloc")) return calloc(1, size);
    if (!strcmp(how, "aligned")) return aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    if (!strcmp(how, "realloc")) {
        for (p = malloc(300000); p && malloc_usable_size(p) < (size_t)size;) {
            size_t next = malloc_usable_size(p) * 2;
            p = realloc(p, next < (size_t)size ? next : (size_t)size);
        }
        return p;
    }
    if (!strcmp(how, "mixed"))
        for (int i = 0; i < 100; i++) {
            char *volatile small = malloc(64);
            small[0] = 1;
            touched += 64;
        }
    return malloc(size);
}

static void *work(void *how) {
    for (long i = 0; i < count; i++) {
        char *p = take(how);
        if (!p) exit(3);
        p[0] = 1;
        touched += 4096;
        if (!strcmp(how, "ends")) p[size - 1] = 1, touched += 4096;
        if (!strcmp(how, "dense")) memset(p, 1, size);
        kept[i] = p;
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *how = argv[1];
    count = atol(argv[2]), size = atol(argv[3]);
    kept = calloc(count, sizeof *kept);
    if (!strcmp(how, "dense")) {
        if (!has_huge_pages()) return puts("no huge pages"), 0;
        work((void *)how);
        return printf("%ld %ld\n", kib("/proc/self/smaps_rollup", "AnonHugePages:"), count * size / 1024), 0;
    }
    if (!strcmp(how, "after")) {
        /* Dense objects of the same sizes before, freed and given back. */
        how = "malloc";
        for (long i = 0; i < count; i++) memset(kept[i] = malloc(size), 1, size);
        for (long i = 0; i < count; i++) free(kept[i]);
        malloc_trim(0);
    }
    long before = rss();
    if (!strcmp(how, "thread")) {
        pthread_t thread;
        pthread_create(&thread, 0, work, (void *)how);
        pthread_join(thread, 0);
    } else
        work((void *)how);
    printf("%ld %ld\n", rss() - before, touched / 1024);
    return 0;
}
