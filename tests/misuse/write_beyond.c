/* Writes beyond the end of an object, over the next one, which is free. */
#include "misuse.h"

int main(void)
{
    char *p = malloc(112);
    say(p + 112);
    memset(hide(p), 0, 120);
    use_up(112);
    _exit(0);
}
