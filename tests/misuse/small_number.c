/* Frees a small number. */
#include "misuse.h"

int main(void)
{
    free(say((void *)16));
    _exit(0);
}
