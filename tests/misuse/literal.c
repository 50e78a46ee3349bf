/* Frees a string constant. */
#include "misuse.h"

int main(void)
{
    free(say("constant"));
    _exit(0);
}
