/* Frees objects with their sizes, which is allowed. */
#include "misuse.h"
__attribute__((weak)) void free_sized(void *p, size_t size);
__attribute__((weak)) void free_aligned_sized(void *p, size_t alignment, size_t size);

int main(void)
{
    for (size_t size = 0; size < 70000; size = size * 3 / 2 + 1) {
        free_sized(malloc(size), size);
        free_sized(realloc(malloc(size), size / 2 + 1), size / 2 + 1);
        free_aligned_sized(aligned_alloc(64, size), 64, size);
    }
    free_sized(NULL, 7);
    _exit(0);
}
