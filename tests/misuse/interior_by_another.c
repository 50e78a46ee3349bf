/* Another thread frees an address inside an object. */
#include "misuse.h"

int main(void)
{
    in_thread(free_it, say((char *)malloc(100) + 16));
    _exit(0);
}
