/* A thread writes beyond the end of an object, over memory that was not handed out, and ends. */
#include "misuse.h"

static void *run(void *nothing)
{
    char *p = malloc(64);
    say(p + 64);
    memset(hide(p), 0x41, 72);
    return nothing;
}

int main(void)
{
    in_thread(run, NULL);
    _exit(0);
}
