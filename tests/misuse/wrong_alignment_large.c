/* C++'s sized and aligned operator delete of a large object, with an alignment that it does not have. */
#include "misuse.h"

__attribute__((weak)) void *_Znwm(size_t size);
__attribute__((weak)) void _ZdlPvmSt11align_val_t(void *p, size_t size, size_t alignment);

int main(void)
{
    /* Of two neighbours of an odd number of pages, one is not aligned to two. */
    char *p = _Znwm(9 * 8192), *q = _Znwm(9 * 8192);
    _ZdlPvmSt11align_val_t(say((uintptr_t)p % 16384 ? p : q), 9 * 8192, 16384);
    _exit(0);
}
