// Allocates after the process has used up its mappings but one: the heap has to grow into a new arena. Prints how many of
// 3,000 requests were null.
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST = 300, MORE = 3000 };

static size_t size_of(int i) { return 1 + i * 53 % 60000; }

int main(void) {
    static char *first[FIRST], *more[MORE];
    for (int i = 0; i < FIRST; i++) {
        first[i] = malloc(200000);
        memset(first[i], 1, 200000);
    }
    for (int i = 0; i < FIRST; i += 2) {
        free(first[i]);
    }
    // Every second page gets other rights.
    char *last = 0;
    for (;;) {
        char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages, 4096, PROT_NONE)) {
            if (pages != MAP_FAILED) {
                munmap(pages, 8192);
            }
            break;
        }
        last = pages;
    }
    if (!last || munmap(last, 4096)) {
        return 77;
    }
    malloc_trim(0);
    int nulls = 0;
    for (int i = 0; i < MORE; i++) {
        more[i] = malloc(size_of(i));
        if (!more[i]) {
            nulls++;
            continue;
        }
        memset(more[i], 2, size_of(i));
    }
    char *large = malloc(40 << 20);
    if (large) {
        memset(large, 3, 40 << 20);
    }
    char *grown = realloc(first[1], 90 << 20);
    char *kept = grown ? grown : first[1];
    for (int i = 0; i < 200000; i++) {
        if (kept[i] != 1) {
            return 3;
        }
    }
    printf("%d %d %d\n", nulls, !large, !grown);
    free(large);
    free(kept);
    for (int i = 0; i < MORE; i++) {
        free(more[i]);
    }
    for (int i = 3; i < FIRST; i += 2) {
        free(first[i]);
    }
    malloc_trim(0);
    // What was given back reads as zero.
    char *zero = calloc(1, 30 << 20);
    for (size_t i = 0; zero && i < 30 << 20; i++) {
        if (zero[i]) {
            return 4;
        }
    }
    free(zero);
    return 0;
}
