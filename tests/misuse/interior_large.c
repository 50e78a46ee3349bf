/* Frees an address inside a large object. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100000) + 16));
    _exit(0);
}
