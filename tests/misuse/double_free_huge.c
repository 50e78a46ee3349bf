/* Frees an object of 100 MiB twice. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(100 << 20));
    free(p);
    free(hide(p));
    _exit(0);
}
