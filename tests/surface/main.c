// The edge table: calls every function of the C surface with every edge of its arguments, and prints a line for each
// case. tests/process_surface.rs runs it on glibc's allocator and on Crossfoot, and compares.
//
// Every function is looked up at run time: a function that does not exist prints nothing.

#define _GNU_SOURCE
#include "case.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 4711
#define PTR_MAX ((size_t)PTRDIFF_MAX)

const struct number sizes[] = {
    {"0", 0}, {"1", 1}, {"15", 15}, {"16", 16}, {"17", 17}, {"127", 127}, {"128", 128}, {"129", 129}, {"144", 144},
    {"145", 145}, {"1023", 1023}, {"1K", 1024}, {"1K+1", 1025}, {"32K-1", 32767}, {"32K", 32768}, {"32K+1", 32769},
    {"128K-1", 131071}, {"128K", 131072}, {"128K+1", 131073}, {"1M", 1 << 20}, {"PTRDIFF_MAX-4K", PTR_MAX - 4096},
    {"PTRDIFF_MAX", PTR_MAX}, {"PTRDIFF_MAX+1", PTR_MAX + 1}, {"SIZE_MAX-4K", SIZE_MAX - 4096},
    {"SIZE_MAX", SIZE_MAX}, {0, 0}};

const struct number few[] = {{"0", 0}, {"1", 1}, {"100", 100}, {"32K+1", 32769}, {"PTRDIFF_MAX", PTR_MAX},
    {"PTRDIFF_MAX+1", PTR_MAX + 1}, {"SIZE_MAX", SIZE_MAX}, {0, 0}};

const struct number kinds[] = {{"1", 1}, {"100", 100}, {"1K", 1024}, {"32K", 32768}, {"32K+1", 32769},
    {"128K", 131072}, {"1M", 1 << 20}, {0, 0}};

const struct number aligns[] = {{"0", 0}, {"1", 1}, {"2", 2}, {"3", 3}, {"8", 8}, {"16", 16}, {"24", 24}, {"64", 64},
    {"4K", 4096}, {"64K", 65536}, {"2^30", (size_t)1 << 30}, {"2^30+1", ((size_t)1 << 30) + 1},
    {"2^31", (size_t)1 << 31}, {"SIZE_MAX/2+1", SIZE_MAX / 2 + 1}, {"SIZE_MAX/2+2", SIZE_MAX / 2 + 2},
    {"SIZE_MAX", SIZE_MAX}, {0, 0}};

static char key[128];
static int after;

void begin(const char *text, ...) {
    va_list arguments;
    va_start(arguments, text);
    vsnprintf(key, sizeof key, text, arguments);
    va_end(arguments);
    after = 0;
    errno = MARK;
}

void ended(void) { after = errno; }

static const char *errno_name(void) {
    static char text[16];
    switch (after) {
    case MARK: return "kept";
    case EINVAL: return "EINVAL";
    case ENOMEM: return "ENOMEM";
    case EOVERFLOW: return "EOVERFLOW";
    }
    snprintf(text, sizeof text, "%d", after);
    return text;
}

void say(const char *what, ...) {
    va_list arguments;
    va_start(arguments, what);
    printf("%s => ", key);
    vprintf(what, arguments);
    printf(", errno %s\n", errno_name());
    va_end(arguments);
    fflush(stdout);
}

void *function(const char *name) { return dlsym(RTLD_DEFAULT, name); }

size_t usable(void *p) {
    static size_t (*call)(void *);
    if (!call)
        call = (size_t(*)(void *))function("malloc_usable_size");
    return call(p);
}

const char *object(void *p, size_t size, size_t align, size_t zero) {
    static char text[96];
    if (!p)
        return "null";
    size_t has = usable(p), log = 4;
    while (log < 63 && (size_t)1 << log < align)
        log++;
    while (log > 0 && (uintptr_t)p & (((uintptr_t)1 << log) - 1))
        log--;
    size_t dirty = 0;
    for (size_t i = 0; i < zero; i++)
        dirty += ((unsigned char *)p)[i] != 0;
    snprintf(text, sizeof text, "object aligned 2^%zu%s%s", log, has >= size ? ", fits" : ", too small",
        zero ? dirty ? ", dirty" : ", zero" : "");
    // Usable sizes in glibc can be up to 2 GiB, too much to write.
    memset(p, 0xa5, has < 4 << 20 ? has : size);
    return text;
}

void say_object(void *p, size_t size, size_t align, size_t zero) {
    say("%s", object(p, size, align, zero));
    free(p);
}

static unsigned char pattern(size_t i) { return (unsigned char)(i * 7 + i / 251 + 1); }

void paint(void *p, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)p)[i] = pattern(i);
}

size_t painted(const void *p, size_t size) {
    size_t n = 0;
    while (n < size && ((const unsigned char *)p)[n] == pattern(n))
        n++;
    return n;
}

int main(void) {
    printf("glibc %s\n", gnu_get_libc_version());
    cases_of_glibc();
    cases_of_introspection();
    cases_of_others();
    cases_of_cxx();
    cases_of_heaps();
    puts("end");
    return 0;
}
