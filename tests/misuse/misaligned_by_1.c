/* Frees the second byte of an object. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100) + 1));
    _exit(0);
}
