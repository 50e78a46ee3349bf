/* Frees memory from mmap. */
#include "misuse.h"
#include <sys/mman.h>

int main(void)
{
    free(say(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    _exit(0);
}
