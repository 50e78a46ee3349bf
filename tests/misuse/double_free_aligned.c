/* Frees aligned memory twice. */
#include "misuse.h"

int main(void)
{
    void *p;
    if (posix_memalign(&p, 256, 1000) != 0)
        return 1;
    say(p);
    free(p);
    free(hide(p));
    _exit(0);
}
