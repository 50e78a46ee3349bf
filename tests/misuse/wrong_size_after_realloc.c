/* Frees an object with the size that it had before realloc. */
#include "misuse.h"
__attribute__((weak)) void free_sized(void *p, size_t size);

int main(void)
{
    free_sized(say(realloc(malloc(100), 60)), 100);
    _exit(0);
}
