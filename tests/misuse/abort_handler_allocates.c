/* Frees an object twice; the handler of the signal that follows allocates and forks. */
#include "misuse.h"
#include <signal.h>
#include <sys/wait.h>

static void handler(int number)
{
    (void)number;
    for (int i = 0; i < 2000; i++)
        hide(malloc(40 + i));
    pid_t child = fork();
    if (child == 0) {
        hide(malloc(100000));
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

int main(void)
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGABRT, &action, NULL);
    void *p = malloc(40), *q = say(malloc(40));
    free(p);
    free(q);
    free(hide(q));
    _exit(0);
}
