/* Another thread frees an object twice. */
#include "misuse.h"

int main(void)
{
    in_thread(free_it_twice, say(malloc(100)));
    _exit(0);
}
