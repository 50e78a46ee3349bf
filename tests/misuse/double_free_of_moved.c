/* Frees the old place of an object that realloc moved. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(40));
    void *q = realloc(p, 4000);
    free(hide(p));
    free(q);
    _exit(0);
}
