/* A signal handler allocates whatever it interrupts. */
#include "misuse.h"
#include <signal.h>
#include <sys/time.h>

static void handler(int number)
{
    (void)number;
    hide(malloc(100));
}

int main(void)
{
    struct sigaction action = { .sa_handler = handler };
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = { { 0, 50 }, { 0, 50 } };
    setitimer(ITIMER_REAL, &every, NULL);
    for (;;)
        free(hide(malloc(100)));
    _exit(0);
}
