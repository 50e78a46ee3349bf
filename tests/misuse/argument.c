/* Frees an environment string. */
#include "misuse.h"
extern char **environ;

int main(void)
{
    free(say(environ[0]));
    _exit(0);
}
