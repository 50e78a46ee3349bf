/* Changes the size of a free object. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(40));
    free(p);
    hide(realloc(hide(p), 4000));
    _exit(0);
}
