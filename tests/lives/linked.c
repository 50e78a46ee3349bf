/* A library that is linked with the allocator, and a program that is linked with the library alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *library(void);

#ifdef LIBRARY
const char *crossfoot_version(void);

const char *library(void)
{
    char *object = calloc(3000, 1), *moved = realloc(object, 90000);
    if (moved == NULL || moved[2999] != 0 || crossfoot_version() == NULL)
        return "wrong";
    memset(moved, 1, 90000);
    free(moved);
    return "fine";
}
#else
int main(void)
{
    puts(library());
    return 0;
}
#endif
