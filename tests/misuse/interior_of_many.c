/* Frees an address inside one of many objects, then all others, and goes on. */
#include "misuse.h"

int main(void)
{
    char *all[200];
    for (int i = 0; i < 200; i++)
        all[i] = malloc(480);
    free(say(all[50] + 32));
    for (int i = 0; i < 200; i++)
        if (i != 50)
            free(all[i]);
    use_up(480);
    _exit(0);
}
