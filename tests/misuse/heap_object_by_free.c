/* Frees an object of an isolated heap by the process's free. */
#include "misuse.h"

__attribute__((weak)) void *crossfoot_heap_new(void);
__attribute__((weak)) void *crossfoot_heap_malloc(void *heap, size_t size);
__attribute__((weak)) void crossfoot_heap_free(void *heap, void *object);

int main(void)
{
    free(say(crossfoot_heap_malloc(crossfoot_heap_new(), 40)));
    _exit(0);
}
