/* Misuse of an isolated heap; the handler of the signal that follows forks. */
#include "misuse.h"
#include <signal.h>
#include <sys/wait.h>

__attribute__((weak)) void *crossfoot_heap_new(void);
__attribute__((weak)) void *crossfoot_heap_malloc(void *heap, size_t size);
__attribute__((weak)) void crossfoot_heap_free(void *heap, void *object);

static void handler(int number)
{
    (void)number;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

int main(void)
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGABRT, &action, NULL);
    void *heap = crossfoot_heap_new();
    void *p = say(crossfoot_heap_malloc(heap, 40));
    crossfoot_heap_free(heap, p);
    crossfoot_heap_free(heap, hide(p));
    _exit(0);
}
