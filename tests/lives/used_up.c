/* Uses up all address space with large objects, frees them, and takes small ones: the records of their spans come
 * from the free memory, since the system has none to give. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* How many MiB of objects of `size` bytes there is room for; they are linked and freed again. */
static long room(size_t size)
{
    void **head = NULL, **object;
    long bytes = 0;
    while ((object = malloc(size)) != NULL) {
        *object = head;
        head = object;
        bytes += (long)size;
    }
    while (head != NULL) {
        object = *head;
        free(head);
        head = object;
    }
    return bytes >> 20;
}

int main(void)
{
    struct rlimit limit = { 1L << 29, 1L << 29 };
    long large, medium, small;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 1;
    large = room(1 << 20);
    medium = room(40000);
    small = room(112);
    printf("%ld %ld %ld\n", large, medium, small);
    return 0;
}
