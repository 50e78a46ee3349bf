/* A plugin, in three forms.
 * Plain: allocates and frees, for itself and for its host.
 * OPENER: a library in a folder of its own that opens `plain.so` by its RUNPATH, with RTLD_DEEPBIND.
 * Linked with the archive: a plugin with an allocator of its own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

#ifdef OPENER
void *open_plain(int deep)
{
    return dlopen("plain.so", RTLD_NOW | (deep ? RTLD_DEEPBIND : 0));
}
#else
void *plugin_new(size_t size)
{
    return malloc(size);
}

void plugin_free(void *object)
{
    free(object);
}

/* Which malloc this object was bound to. */
void *plugin_malloc(void)
{
    return (void *)malloc;
}

int plugin_work(void)
{
    int made = 0;
    for (int i = 1; i < 300; i++) {
        char *object = malloc((size_t)i * 50);
        if (object != NULL) {
            object[0] = 1;
            made++;
        }
        free(object);
    }
    return made;
}
#endif
