// A C program that calls C++'s `operator new` without a C++ runtime, so nothing can be thrown. It must end with one line.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(void) {
    void *(*new)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "_Znwm");
    if (!new || !new(100))
        return 1;
    puts("an object");
    fflush(stdout);
    new(SIZE_MAX / 4);
    return 2;
}
