/* Frees the second page of a large object. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100000) + 8192));
    _exit(0);
}
