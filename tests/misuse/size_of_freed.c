/* Asks for the size of a free object. */
#include "misuse.h"
#include <malloc.h>

int main(void)
{
    void *p = say(malloc(40));
    free(p);
    if (malloc_usable_size(hide(p)) < 40)
        return 1;
    _exit(0);
}
