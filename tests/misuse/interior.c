/* Frees an address inside an object, and goes on. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100) + 16));
    use_up(100);
    _exit(0);
}
