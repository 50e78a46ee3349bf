/* A library with an indirect function, whose resolver allocates; with MAIN, a program that calls it. */
#include <stdio.h>
#include <stdlib.h>

#ifdef MAIN
const char *pick(void);

int main(void)
{
    free(malloc(10));
    puts(pick());
    return 0;
}
#else
static const char *one(void)
{
    return "one";
}

static const char *two(void)
{
    return "two";
}

static void *resolve(void)
{
    void *first = malloc(64), *second = calloc(3, 50);
    int right = first != NULL && second != NULL && (first = realloc(first, 5000)) != NULL;
    free(first);
    free(second);
    return right ? (void *)one : (void *)two;
}

const char *pick(void) __attribute__((ifunc("resolve")));
#endif
