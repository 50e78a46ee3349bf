/* A static C program on libcrossfoot.a: two threads, every function of the
   family, frees across threads. Prints "sound" if everything was as it must be. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 20000 };
static char *kept[COUNT];

static void *make(void *unused)
{
    (void)unused;
    for (int i = 0; i < COUNT; i++) {
        size_t size = (size_t)i % 2000 + 1;
        kept[i] = malloc(size);
        if (!kept[i] || malloc_usable_size(kept[i]) < size)
            return "malloc";
        memset(kept[i], i & 0xff, size);
    }
    return NULL;
}

static const char *check(void)
{
    for (int i = 0; i < COUNT; i++) {
        size_t size = (size_t)i % 2000 + 1;
        if (kept[i][0] != (char)(i & 0xff) || kept[i][size - 1] != (char)(i & 0xff))
            return "content";
        if (i % 3 == 0) {
            char *grown = realloc(kept[i], size * 3);
            if (!grown || grown[size - 1] != (char)(i & 0xff))
                return "realloc";
            kept[i] = grown;
        }
        free(kept[i]);
    }
    int *zero = calloc(1000, sizeof *zero);
    for (int i = 0; i < 1000; i++)
        if (zero[i])
            return "calloc";
    free(zero);
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, 100) || (uintptr_t)aligned % 4096)
        return "posix_memalign";
    free(aligned);
    aligned = aligned_alloc(64, 640);
    if (!aligned || (uintptr_t)aligned % 64)
        return "aligned_alloc";
    free(aligned);
    aligned = memalign(256, 1);
    if (!aligned || (uintptr_t)aligned % 256)
        return "memalign";
    free(aligned);
    volatile size_t huge = SIZE_MAX / 2;
    errno = 0;
    if (malloc(huge) || errno != ENOMEM)
        return "errno";
    return NULL;
}

int main(void)
{
    pthread_t thread;
    void *wrong = "thread";
    if (pthread_create(&thread, NULL, make, NULL) == 0)
        pthread_join(thread, &wrong);
    const char *what = wrong ? wrong : check();
    puts(what ? what : "sound");
    return what != NULL;
}
