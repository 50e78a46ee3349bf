/* Changes the size of a free object that is large enough. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(40));
    free(p);
    hide(realloc(hide(p), 41));
    _exit(0);
}
