/* Compares the allocator's functions of memory with the libc's: every size to 300, and random ones to 5,000, at random
 * places, overlapping or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *crossfoot_memmove(void *, const void *, size_t);
void *crossfoot_memset(void *, int, size_t);
int crossfoot_memcmp(const void *, const void *, size_t);
size_t crossfoot_strlen(const char *);

enum { BYTES = 12000 };
static unsigned char theirs[BYTES], ours[BYTES];

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void fail(const char *what, size_t size, size_t from, size_t to)
{
    printf("%s: %zu bytes from %zu to %zu\n", what, size, from, to);
    exit(1);
}

static void one(size_t size, size_t from, size_t to)
{
    for (int i = 0; i < 64; i++)
        theirs[rand() % BYTES] = (unsigned char)rand();
    memcpy(ours, theirs, BYTES);
    memmove(theirs + to, theirs + from, size);
    if (crossfoot_memmove(ours + to, ours + from, size) != ours + to || memcmp(ours, theirs, BYTES) != 0)
        fail("memmove", size, from, to);
    memset(theirs + to, (int)from | 0x100, size);
    if (crossfoot_memset(ours + to, (int)from | 0x100, size) != ours + to || memcmp(ours, theirs, BYTES) != 0)
        fail("memset", size, from, to);
    if (crossfoot_memcmp(ours + from, theirs + from, size) != 0)
        fail("memcmp of equals", size, from, from);
    if (size > 0)
        ours[from + (size_t)rand() % size] ^= (unsigned char)(1 << (rand() % 8));
    if (sign(memcmp(ours + from, theirs + from, size)) != sign(crossfoot_memcmp(ours + from, theirs + from, size)))
        fail("memcmp", size, from, from);
    memset(theirs + to, 'x', size);
    theirs[to + size] = 0;
    if (crossfoot_strlen((char *)theirs + to) != size)
        fail("strlen", size, to, to);
}

int main(void)
{
    srand(1);
    for (size_t size = 0; size <= 300; size++)
        for (int i = 0; i < 40; i++)
            one(size, (size_t)(rand() % 400), (size_t)(rand() % 400));
    for (int i = 0; i < 5000; i++)
        one((size_t)(rand() % 5000), (size_t)(rand() % 6000), (size_t)(rand() % 6000));
    puts("fine");
    return 0;
}
