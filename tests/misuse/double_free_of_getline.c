/* Frees the buffer of getline twice. */
#include "misuse.h"

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file || getline(&line, &size, file) < 0)
        return 1;
    fclose(file);
    say(line);
    free(line);
    free(hide(line));
    _exit(0);
}
