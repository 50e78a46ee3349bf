/* Frees an object twice before main. */
#include "misuse.h"

__attribute__((constructor)) static void early(void)
{
    void *p = say(malloc(40));
    free(p);
    free(hide(p));
}

int main(void)
{
    _exit(0);
}
