/* Frees an odd address inside a large object. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(100000) + 4097));
    _exit(0);
}
