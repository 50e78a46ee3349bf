/* Frees an object of the process in an isolated heap. */
#include "misuse.h"

__attribute__((weak)) void *crossfoot_heap_new(void);
__attribute__((weak)) void *crossfoot_heap_malloc(void *heap, size_t size);
__attribute__((weak)) void crossfoot_heap_free(void *heap, void *object);

int main(void)
{
    crossfoot_heap_free(crossfoot_heap_new(), say(malloc(40)));
    _exit(0);
}
