/* Frees a function. */
#include "misuse.h"

int main(void)
{
    free(say((void *)(uintptr_t)main));
    _exit(0);
}
