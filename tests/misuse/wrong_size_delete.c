/* C++'s operator delete with another size than operator new. */
#include "misuse.h"

__attribute__((weak)) void *_Znwm(size_t size);
__attribute__((weak)) void _ZdlPvm(void *p, size_t size);

int main(void)
{
    _ZdlPvm(say(_Znwm(64)), 32);
    _exit(0);
}
