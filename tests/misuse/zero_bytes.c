/* Allocates and frees objects of no bytes, which is allowed. */
#include "misuse.h"

int main(void)
{
    for (int i = 0; i < 1000; i++)
        free(hide(malloc(0)));
    free(hide(calloc(0, 8)));
    _exit(0);
}
