// Built with -fsanitize=thread: its run-time library refuses to start where memory lies that it does not know.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *work(void *argument) {
    char *object = malloc(100);
    object[0] = 1;
    free(object);
    return argument;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, 0, work, 0) || pthread_join(thread, 0)) {
        return 2;
    }
    char *object = malloc(1 << 20);
    object[1000] = 1;
    free(object);
    puts("sound");
    return 0;
}
