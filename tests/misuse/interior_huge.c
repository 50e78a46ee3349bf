/* Frees an address in the middle of a gibibyte. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc((size_t)1 << 30) + (512 << 20)));
    _exit(0);
}
