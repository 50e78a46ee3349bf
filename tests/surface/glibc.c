// What C, POSIX, C23 and glibc define for allocating and freeing.

#include "case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Frees dirty memory of every kind, so that zeros must have been written.
static void litter(size_t size) {
    if (size > 1 << 21)
        return;
    void *p[8];
    for (int i = 0; i < 8; i++)
        if ((p[i] = malloc(size)))
            memset(p[i], 0xff, size);
    for (int i = 0; i < 8; i++)
        free(p[i]);
}

static void cases_of_malloc(const char *name, size_t align, size_t whole) {
    void *(*call)(size_t) = (void *(*)(size_t))function(name);
    if (!call)
        return;
    EACH(size, sizes) {
        begin("%s(%s)", name, size->name);
        void *p = call(size->value);
        ended();
        say_object(p, (size->value + whole - 1) / whole * whole, align, 0);
    }
}

static const struct number products[][2] = {{{"0", 0}, {"0", 0}}, {{"0", 0}, {"SIZE_MAX", SIZE_MAX}},
    {{"SIZE_MAX", SIZE_MAX}, {"0", 0}}, {{"3", 3}, {"5", 5}}, {{"100", 100}, {"400", 400}},
    {{"2", 2}, {"SIZE_MAX", SIZE_MAX}}, {{"SIZE_MAX", SIZE_MAX}, {"2", 2}},
    {{"2^32", (size_t)1 << 32}, {"2^32", (size_t)1 << 32}}, {{"SIZE_MAX/2+1", SIZE_MAX / 2 + 1}, {"2", 2}},
    {{"2^31", (size_t)1 << 31}, {"2^32", (size_t)1 << 32}}, {{"2^33", (size_t)1 << 33}, {"2^31-1", 0x7fffffff}},
    {{0, 0}, {0, 0}}};

static void cases_of_calloc(const char *name) {
    void *(*call)(size_t, size_t) = (void *(*)(size_t, size_t))function(name);
    EACH(size, sizes) {
        for (size_t count = 1; count <= 3; count += 2) {
            if (count > 1 && size->value > SIZE_MAX / 3)
                continue;
            litter(count * size->value);
            begin("%s(%zu,%s)", name, count, size->name);
            void *p = call(count, size->value);
            ended();
            say_object(p, count * size->value, 16, count * size->value);
        }
    }
    for (int i = 0; products[i][0].name; i++) {
        size_t bytes = products[i][0].value * products[i][1].value;
        litter(bytes);
        begin("%s(%s,%s)", name, products[i][0].name, products[i][1].name);
        void *p = call(products[i][0].value, products[i][1].value);
        ended();
        say_object(p, bytes, 16, p ? bytes : 0);
    }
}

// Ends a case of changing an object of `old` bytes at `before` to `size` bytes, which came to `p`.
static void say_moved(void *before, size_t old, void *p, size_t size) {
    if (p) {
        size_t least = old < size ? old : size;
        const char *kept = painted(p, least) == least ? "kept" : "lost";
        say("%s, content %s", object(p, size, 16, 0), kept);
        free(p);
    } else if (before && size) {
        say("null, old %s", painted(before, old) == old ? "kept" : "lost");
        free(before);
    } else {
        say("null");
    }
}

static void cases_of_realloc(const char *name) {
    void *(*call)(void *, size_t) = (void *(*)(void *, size_t))function(name);
    EACH(size, sizes) {
        begin("%s(null,%s)", name, size->name);
        void *p = call(NULL, size->value);
        ended();
        say_moved(NULL, 0, p, size->value);
    }
    EACH(old, kinds) {
        EACH(size, sizes) {
            void *before = malloc(old->value);
            paint(before, old->value);
            begin("%s(%s,%s)", name, old->name, size->name);
            void *p = call(before, size->value);
            ended();
            say_moved(before, old->value, p, size->value);
        }
        // Of an aligned object, the content is kept and the alignment need not be.
        void *before = NULL;
        if (posix_memalign(&before, 4096, old->value))
            exit(1);
        paint(before, old->value);
        begin("%s(aligned %s,200)", name, old->name);
        void *p = call(before, 200);
        ended();
        say_moved(before, old->value, p, 200);
    }
}

static void cases_of_reallocarray(const char *name) {
    void *(*call)(void *, size_t, size_t) = (void *(*)(void *, size_t, size_t))function(name);
    for (int i = 0; call && products[i][0].name; i++) {
        size_t count = products[i][0].value, size = products[i][1].value, bytes;
        int over = __builtin_mul_overflow(count, size, &bytes);
        EACH(old, kinds) {
            void *before = malloc(old->value);
            paint(before, old->value);
            begin("%s(%s,%s,%s)", name, old->name, products[i][0].name, products[i][1].name);
            void *p = call(before, count, size);
            ended();
            say_moved(before, old->value, p, over ? SIZE_MAX : bytes);
        }
        begin("%s(null,%s,%s)", name, products[i][0].name, products[i][1].name);
        void *p = call(NULL, count, size);
        ended();
        say_moved(NULL, 0, p, bytes);
    }
}

static void cases_of_alignment(const char *name) {
    void *(*call)(size_t, size_t) = (void *(*)(size_t, size_t))function(name);
    EACH(align, aligns) {
        EACH(size, few) {
            begin("%s(%s,%s)", name, align->name, size->name);
            void *p = call(align->value, size->value);
            ended();
            say_object(p, size->value, align->value, 0);
        }
    }
}

static void cases_of_posix_memalign(void) {
    int (*call)(void **, size_t, size_t) = (int (*)(void **, size_t, size_t))function("posix_memalign");
    EACH(align, aligns) {
        EACH(size, few) {
            void *mark = &mark, *p = mark;
            begin("posix_memalign(%s,%s)", align->name, size->name);
            int result = call(&p, align->value, size->value);
            ended();
            if (p == mark) {
                say("%d, nothing written", result);
            } else {
                say("%d, %s", result, object(p, size->value, align->value, 0));
                free(p);
            }
        }
    }
}

// Every kind of object that there is to be freed.
static void cases_of_free(const char *name, int arguments) {
    void *call = function(name);
    if (!call)
        return;
    EACH(size, kinds) {
        EACH(align, aligns) {
            int aligned = align->value >= 64 && align->value <= 65536;
            if (align->value && !(aligned && arguments != 2))
                continue;
            void *p = aligned ? aligned_alloc(align->value, size->value) : malloc(size->value);
            memset(p, 1, size->value);
            begin("%s(%s aligned to %s)", name, size->name, align->name);
            if (arguments == 1)
                ((void (*)(void *))call)(p);
            else if (arguments == 2)
                ((void (*)(void *, size_t))call)(p, size->value);
            else
                ((void (*)(void *, size_t, size_t))call)(p, align->value, size->value);
            ended();
            say("returns");
        }
    }
    begin("%s(null)", name);
    if (arguments == 1)
        ((void (*)(void *))call)(NULL);
    else if (arguments == 2)
        ((void (*)(void *, size_t))call)(NULL, 0);
    else
        ((void (*)(void *, size_t, size_t))call)(NULL, 16, 0);
    ended();
    say("returns");
}

static void cases_of_usable_size(const char *name) {
    size_t (*call)(void *) = (size_t(*)(void *))function(name);
    if (!call)
        return;
    begin("%s(null)", name);
    size_t n = call(NULL);
    ended();
    say("%zu", n);
    EACH(size, sizes) {
        void *p = size->value <= 1 << 20 ? malloc(size->value) : NULL;
        if (!p)
            continue;
        begin("%s(%s)", name, size->name);
        n = call(p);
        ended();
        // It can be written, and stays what it was.
        memset(p, 1, n);
        say("%s, %s", n >= size->value ? "fits" : "too small", call(p) == n ? "the same again" : "another");
        free(p);
    }
}

void cases_of_glibc(void) {
    cases_of_malloc("malloc", 16, 1);
    cases_of_malloc("__libc_malloc", 16, 1);
    cases_of_malloc("valloc", 4096, 1);
    cases_of_malloc("__libc_valloc", 4096, 1);
    cases_of_malloc("pvalloc", 4096, 4096);
    cases_of_malloc("__libc_pvalloc", 4096, 4096);
    cases_of_calloc("calloc");
    cases_of_calloc("__libc_calloc");
    cases_of_realloc("realloc");
    cases_of_realloc("__libc_realloc");
    cases_of_reallocarray("reallocarray");
    cases_of_alignment("memalign");
    cases_of_alignment("__libc_memalign");
    cases_of_alignment("aligned_alloc");
    cases_of_posix_memalign();
    cases_of_free("free", 1);
    cases_of_free("__libc_free", 1);
    cases_of_free("cfree", 1);
    cases_of_free("free_sized", 2);
    cases_of_free("free_aligned_sized", 3);
    cases_of_usable_size("malloc_usable_size");
    cases_of_usable_size("malloc_size");
}
