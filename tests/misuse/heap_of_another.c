/* Frees an object in another isolated heap. */
#include "misuse.h"

__attribute__((weak)) void *crossfoot_heap_new(void);
__attribute__((weak)) void *crossfoot_heap_malloc(void *heap, size_t size);
__attribute__((weak)) void crossfoot_heap_free(void *heap, void *object);

int main(void)
{
    void *one = crossfoot_heap_new(), *other = crossfoot_heap_new();
    crossfoot_heap_free(other, say(crossfoot_heap_malloc(one, 40)));
    _exit(0);
}
