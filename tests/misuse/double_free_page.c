/* Frees memory aligned to many pages twice. */
#include "misuse.h"

int main(void)
{
    void *p = say(aligned_alloc(1 << 20, 1 << 20));
    free(p);
    free(hide(p));
    _exit(0);
}
