/* A thread that has allocated nothing frees an address of the stack. */
#include "misuse.h"

int main(void)
{
    _Alignas(16) char local[32];
    in_thread(free_it, say(local));
    _exit(0);
}
