/* A child of fork frees twice what the parent gave it. */
#include "misuse.h"
#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    void *p = say(malloc(40));
    pid_t child = fork();
    if (child == 0) {
        free(p);
        free(hide(p));
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        return 1;
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    _exit(0);
}
