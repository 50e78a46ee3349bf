/* Frees aligned memory with another alignment than it was asked for. */
#include "misuse.h"
__attribute__((weak)) void free_aligned_sized(void *p, size_t alignment, size_t size);

int main(void)
{
    free_aligned_sized(say(aligned_alloc(512, 100)), 16, 100);
    _exit(0);
}
