/* Changes the size of an odd address inside an object. */
#include "misuse.h"

int main(void)
{
    hide(realloc(say((char *)malloc(100) + 3), 200));
    _exit(0);
}
