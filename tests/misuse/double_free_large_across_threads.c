/* Another thread frees a large object, and then this one does. */
#include "misuse.h"

int main(void)
{
    void *p = say(malloc(1 << 20));
    in_thread(free_it, p);
    free(hide(p));
    _exit(0);
}
