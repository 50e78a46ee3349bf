/* Frees an object with another size than it was asked for. */
#include "misuse.h"
__attribute__((weak)) void free_sized(void *p, size_t size);

int main(void)
{
    free_sized(say(malloc(100)), 500);
    _exit(0);
}
