/* Frees an object again after another one of its span. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(40)), *q = malloc(40);
    free(p);
    free(q);
    free(hide(p));
    _exit(0);
}
