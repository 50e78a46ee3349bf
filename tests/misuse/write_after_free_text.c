/* Writes text over an object that is free, and goes on. */
#include "misuse.h"

int main(void)
{
    void *p = malloc(100), *q = say(malloc(100));
    free(p);
    free(q);
    memset(hide(q), 0x41, 100);
    use_up(100);
    _exit(0);
}
