/* Changes the size of a large object that was freed. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(100000));
    free(p);
    hide(realloc(hide(p), 200000));
    _exit(0);
}
