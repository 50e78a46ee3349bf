/* Frees a wild pointer before anything was allocated. */
#include "misuse.h"

__attribute__((constructor)) static void early(void)
{
    free(say((void *)0x123456789abcdef0));
}

int main(void)
{
    _exit(0);
}
