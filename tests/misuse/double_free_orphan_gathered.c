/* Frees an object while its thread lives, and again when that has ended. */
#include "misuse.h"

static pthread_barrier_t both;
static void *made;

static void *live(void *argument)
{
    made = malloc(100);
    hide(malloc(100));
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    return argument;
}

int main(void)
{
    pthread_t thread;
    /* A thread that allocates of a size itself takes over the objects of those that have ended. */
    hide(malloc(100));
    if (pthread_barrier_init(&both, NULL, 2) != 0 || pthread_create(&thread, NULL, live, NULL) != 0)
        _exit(98);
    pthread_barrier_wait(&both);
    void *p = say(made);
    free(p);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    free(hide(p));
    _exit(0);
}
