/* Another thread frees an object twice, of which hardly two make a batch. */
#include "misuse.h"

int main(void)
{
    in_thread(free_it_twice, say(malloc(3000)));
    _exit(0);
}
