// A process with a child that goes on without standard streams, as daemons do. A reader of the parent's standard error
// must see the end of file when the parent exits.
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
