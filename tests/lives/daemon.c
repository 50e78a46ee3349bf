// A process whose child lives on without standard streams, as daemons do. Whoever reads the parent's standard error must
// see its end when the parent ends.
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    free(malloc(100));
    if (fork() != 0)
        return 0;
    setsid();
    for (int i = 0; i < 3; i++)
        close(i);
    sleep(60);
    _exit(0);
}
