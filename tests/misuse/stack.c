/* Frees an address of the stack. */
#include "misuse.h"

int main(void)
{
    _Alignas(16) char local[32];
    free(say(local));
    _exit(0);
}
