/* Frees an object of pages of its own twice. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(40000));
    free(p);
    free(hide(p));
    _exit(0);
}
