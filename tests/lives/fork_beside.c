/* A thread forks while others allocate, free and post. Each child allocates, frees what the parent gave it, and
 * exits by `exit`, so that its books are checked. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int stop;

static void *churn(void *argument)
{
    void *kept[64] = { 0 };
    unsigned seed = 1;
    while (!stop) {
        seed = seed * 1664525u + 1013904223u;
        unsigned slot = seed >> 26;
        free(kept[slot]);
        kept[slot] = malloc(16 + (seed >> 8) % 3000);
    }
    for (int i = 0; i < 64; i++)
        free(kept[i]);
    return argument;
}

int main(void)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, churn, NULL) != 0)
            return 1;
    for (int i = 0; i < 100; i++) {
        void *given = malloc(1000);
        pid_t child = fork();
        if (child < 0)
            return 2;
        if (child == 0) {
            for (int size = 1; size < 5000; size += 7)
                free(malloc(size));
            free(given);
            exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            return 3;
        free(given);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
