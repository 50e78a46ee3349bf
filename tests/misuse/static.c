/* Frees a static variable. */
#include "misuse.h"

int main(void)
{
    static _Alignas(16) char fixed[32];
    free(say(fixed));
    _exit(0);
}
