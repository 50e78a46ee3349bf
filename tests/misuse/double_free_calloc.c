/* Frees zeroed memory twice. */
#include "misuse.h"

int main(void)
{
    void *p = say(calloc(10, 30));
    free(p);
    free(hide(p));
    _exit(0);
}
