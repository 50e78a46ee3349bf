/* Changes the size of an address of the stack. */
#include "misuse.h"

int main(void)
{
    _Alignas(16) char local[32];
    hide(realloc(say(local), 200));
    _exit(0);
}
