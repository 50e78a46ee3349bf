/* Opens a library and closes it again, again and again, and its constructor and destructor run each time. Arguments:
 * the library, and how often. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    if (count < 3)
        return 1;
    for (int i = atoi(arguments[2]); i > 0; i--) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        int (*one)(void) = library == NULL ? NULL : (int (*)(void))dlsym(library, "one");
        if (one == NULL || !one()) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        if (dlclose(library) != 0)
            return 3;
        if (dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) != NULL)
            return 4;
    }
    return 0;
}
