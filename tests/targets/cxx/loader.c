// A C program that loads C++ late: the object and its C++ library are no part of what was linked. Prints what the
// object's `attempt` returns.

#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
    void *object = count > 1 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*attempt)(void) = object ? (int (*)(void))dlsym(object, "attempt") : NULL;
    if (!attempt) {
        puts(dlerror());
        return 1;
    }
    printf("%s\n", attempt() == 2 ? "bad_alloc" : "nothing");
    return 0;
}
