/* Frees memory that no call returned yet. */
#include "misuse.h"

int main(void)
{
    free(say((char *)malloc(64) + 640));
    _exit(0);
}
