/* Frees an object twice in a row. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(40));
    free(p);
    free(hide(p));
    _exit(0);
}
