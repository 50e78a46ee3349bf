/* Frees an object that was grown by realloc and then frees it again. */
#include "misuse.h"

int main(void)
{
    void *p = realloc(malloc(40), 100000);
    say(p);
    free(p);
    free(hide(p));
    _exit(0);
}
