/* A signal handler that calls `exit` while its thread allocates objects of all sizes: exit_in_handler MICROSECONDS. */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

static void leave(int number)
{
    (void)number;
    exit(0);
}

int main(int count, char **arguments)
{
    static void *volatile kept[512];
    unsigned lot = count > 1 ? (unsigned)atoi(arguments[1]) : 1;
    struct itimerval soon = { { 0, 0 }, { 0, 1000 + lot % 4000 } };
    kept[0] = malloc(100);
    signal(SIGALRM, leave);
    setitimer(ITIMER_REAL, &soon, 0);
    for (;;) {
        lot = lot * 1103515245 + 12345;
        int i = lot >> 8 & 511;
        free(kept[i]);
        kept[i] = malloc(1 + (lot >> 12 & (lot >> 29 ? 2047 : 131071)));
    }
}
