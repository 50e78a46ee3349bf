/* Asks for what no memory could serve: null, and the program goes on. */
#include "misuse.h"

int main(void)
{
    size_t volatile most = SIZE_MAX;
    if (malloc(most) || malloc(most / 2 + 1) || calloc(most, most) || calloc(most / 2, 3))
        return 1;
    void *p = malloc(100);
    if (realloc(p, most))
        return 1;
    free(p);
    _exit(0);
}
