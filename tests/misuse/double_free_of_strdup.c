/* Frees a string twice. */
#include "misuse.h"

int main(void)
{
    char *p = say(strdup("a string that nobody will miss"));
    free(p);
    free(hide(p));
    _exit(0);
}
