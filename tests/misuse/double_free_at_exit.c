/* Frees an object a second time when the process exits. */
#include "misuse.h"

static void *p;

static void again(void)
{
    free(hide(p));
}

int main(void)
{
    p = say(malloc(40));
    atexit(again);
    free(p);
    exit(0);
    _exit(0);
}
