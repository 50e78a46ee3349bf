/* Threads whose last frees come from the libc itself, after every destructor has run: `strerror` keeps a buffer
 * for each thread, which is freed with the thread. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void *life(void *argument)
{
    void *volatile object = malloc(100);
    free(object);
    return strerror(99999) == NULL ? argument : NULL;
}

int main(void)
{
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, life, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 1;
    }
    return 0;
}
