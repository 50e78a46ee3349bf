/* C++'s aligned operator delete for an object without alignment. */
#include "misuse.h"

__attribute__((weak)) void *_Znwm(size_t size);
__attribute__((weak)) void _ZdlPvSt11align_val_t(void *p, size_t alignment);

int main(void)
{
    _ZdlPvSt11align_val_t(say((char *)_Znwm(64) + 32), 32);
    _exit(0);
}
