/* Frees -1. */
#include "misuse.h"

int main(void)
{
    free(say((void *)-1));
    _exit(0);
}
