/* Frees an object of an isolated heap again after another one. */
#include "misuse.h"

__attribute__((weak)) void *crossfoot_heap_new(void);
__attribute__((weak)) void *crossfoot_heap_malloc(void *heap, size_t size);
__attribute__((weak)) void crossfoot_heap_free(void *heap, void *object);

int main(void)
{
    void *heap = crossfoot_heap_new();
    void *p = say(crossfoot_heap_malloc(heap, 40)), *q = crossfoot_heap_malloc(heap, 40);
    crossfoot_heap_free(heap, p);
    crossfoot_heap_free(heap, q);
    crossfoot_heap_free(heap, hide(p));
    _exit(0);
}
