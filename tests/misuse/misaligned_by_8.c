/* Frees the second word of an object. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100) + 8));
    _exit(0);
}
