/* Frees an object again after hundreds of others. */
#include "misuse.h"

int main(void)
{
    void *all[300];
    for (int i = 0; i < 300; i++)
        all[i] = malloc(64);
    void *p = say(all[7]);
    for (int i = 0; i < 300; i++)
        free(all[i]);
    free(hide(p));
    _exit(0);
}
