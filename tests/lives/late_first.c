/* Threads whose first call of the allocator is in the last round of their keys' destructors: it frees what the main
 * thread made, or allocates first if an argument says so. No destructor runs any more that could give a cache back. */
#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 400, ROUNDS = 4, OBJECTS = 200 };

static pthread_key_t key;
static void *objects[OBJECTS];
static int allocates;

static void destroy(void *argument)
{
    long round = (long)argument;
    if (round < ROUNDS) {
        pthread_setspecific(key, (void *)(round + 1));
        return;
    }
    if (allocates)
        free(malloc(100));
    for (int i = 0; i < OBJECTS; i++)
        free(objects[i]);
}

static void *life(void *argument)
{
    pthread_setspecific(key, (void *)1L);
    return argument;
}

int main(int count, char **arguments)
{
    (void)arguments;
    allocates = count > 1;
    pthread_key_create(&key, destroy);
    for (int t = 0; t < THREADS; t++) {
        pthread_t thread;
        for (int i = 0; i < OBJECTS; i++)
            if ((objects[i] = malloc(i * 13)) == NULL)
                return 1;
        if (pthread_create(&thread, NULL, life, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 2;
    }
    return 0;
}
