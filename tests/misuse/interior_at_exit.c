/* Frees an address inside an object and exits. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100) + 16));
    exit(0);
    _exit(0);
}
