/* A double free in a second thread, while others wait: the process ends by SIGABRT all the same. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *wait_for_ever(void *argument)
{
    pause();
    return argument;
}

static void *free_twice(void *argument)
{
    void *volatile object = malloc(40);
    usleep(1000);
    free(object);
    free(object);
    return argument;
}

int main(void)
{
    pthread_t waiting, freeing;
    pthread_create(&waiting, NULL, wait_for_ever, NULL);
    pthread_create(&freeing, NULL, free_twice, NULL);
    pthread_join(waiting, NULL);
    return 0;
}
