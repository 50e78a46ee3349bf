/* Frees an object twice when its thread ends. */
#include "misuse.h"

static pthread_key_t key;

static void free_again(void *p)
{
    free(hide(p));
}

static void *run(void *nothing)
{
    void *p = say(malloc(40));
    free(p);
    pthread_setspecific(key, p);
    return nothing;
}

int main(void)
{
    if (pthread_key_create(&key, free_again) != 0)
        return 1;
    in_thread(run, NULL);
    _exit(0);
}
