// Handlers of fork that allocate and free, in the parent and in the child, registered before anything was allocated.
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept;

static void handler(void)
{
    for (int i = 0; i < 3000; i++) {
        free(kept);
        kept = malloc(300 + i * 16);
    }
}

__attribute__((constructor)) static void early(void)
{
    if (pthread_atfork(handler, handler, handler) != 0)
        _exit(9);
}

int main(void)
{
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            exit(0);
        if (waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    return 0;
}
