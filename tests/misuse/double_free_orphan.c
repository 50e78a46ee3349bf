/* Frees an object twice whose thread has ended. */
#include "misuse.h"

static void *make(void *out)
{
    *(void **)out = malloc(500);
    malloc(500);
    return NULL;
}

int main(void)
{
    void *p;
    in_thread(make, &p);
    say(p);
    free(p);
    free(hide(p));
    _exit(0);
}
