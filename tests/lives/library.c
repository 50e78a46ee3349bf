/* A library that allocates in its constructor and frees in its destructor. NAME says which one it is. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *small, *large;

__attribute__((constructor)) static void begin(void)
{
    small = malloc(100);
    large = calloc(1, 70000);
    if (small == NULL || large == NULL || large[69999] != 0)
        abort();
    memcpy(small, NAME "\n", sizeof NAME + 1);
    large = realloc(large, 200000);
}

__attribute__((destructor)) static void end(void)
{
    void *object = malloc(3000);
    free(large);
    if (getenv("LIVES_TELL") != NULL)
        (void)!write(1, small, sizeof NAME);
    free(small);
    free(object);
}

/* For programs that are linked to it. */
int NAMED(void)
{
    return small != NULL;
}
