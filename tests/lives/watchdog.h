/* A program that hangs says in which phase, and ends with status 99. */
#ifndef WATCHDOG_H
#define WATCHDOG_H
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What the main thread of this process, or the one that forks, does now. */
static const char *volatile phase = "the start";
/* The child that is waited for: it is asked where it is, too. */
static volatile pid_t watched;

static void hung(int number)
{
    char line[128] = "hung: ";
    size_t length = 6;
    for (const char *at = phase; *at != 0 && length < sizeof line - 1; at++)
        line[length++] = *at;
    line[length++] = '\n';
    (void)!write(2, line, length);
    if (watched > 0) {
        pid_t child = watched;
        kill(child, number);
        sleep(1);
        kill(child, SIGKILL);
    }
    _exit(99);
}

/* Begins, or begins anew. A child of fork has no alarm until it calls this, but the handler. */
static void watch(unsigned seconds)
{
    signal(SIGALRM, hung);
    alarm(seconds);
}
#endif
