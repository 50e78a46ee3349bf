/* Another thread frees an object, and then this one does. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(100));
    in_thread(free_it, p);
    free(hide(p));
    _exit(0);
}
