/* Changes the size of an address inside an object. */
#include "misuse.h"

int main(void)
{
    hide(realloc(say((char *)malloc(100) + 32), 200));
    _exit(0);
}
