/* This thread frees an object, and then another one does. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(100));
    free(p);
    in_thread(free_it, hide(p));
    _exit(0);
}
