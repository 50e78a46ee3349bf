/* Asks for the size of a static variable. */
#include "misuse.h"
#include <malloc.h>

int main(void)
{
    static _Alignas(16) char fixed[32];
    malloc_usable_size(say(fixed));
    _exit(0);
}
