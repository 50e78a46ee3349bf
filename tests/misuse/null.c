/* Frees null, which is allowed. */
#include "misuse.h"

int main(void)
{
    free(hide(NULL));
    _exit(0);
}
