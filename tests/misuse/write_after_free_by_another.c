/* Writes over an object that another thread freed, and goes on. */
#include "misuse.h"

int main(void)
{
    void *all[64];
    for (int i = 0; i < 64; i++)
        all[i] = malloc(100);
    for (int i = 0; i < 32; i++)
        in_thread(free_it, all[i]);
    memset(hide(say(all[20])), 0x41, 100);
    use_up(100);
    _exit(0);
}
