/* Asks for the size of an address inside an object. */
#include "misuse.h"
#include <malloc.h>

int main(void)
{
    malloc_usable_size(say((char *)malloc(100) + 16));
    _exit(0);
}
