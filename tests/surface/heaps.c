// Crossfoot's isolated heaps: objects of each kind in a heap of their own, and requests that no heap could serve.

#include "case.h"

#include <errno.h>
#include <stdlib.h>

static size_t (*size_of)(const void *, const void *);
static void (*end)(void *, void *);

// Describes an object of `heap`, and frees it.
static void say_mine(void *heap, void *p, size_t size, size_t align, int zero) {
    if (!p) {
        say("null");
        return;
    }
    size_t dirty = 0;
    for (size_t i = 0; zero && i < size; i++)
        dirty += ((unsigned char *)p)[i] != 0;
    int fits = size_of(heap, p) >= size, aligned = ((uintptr_t)p & (align - 1)) == 0;
    paint(p, size);
    say("object%s%s%s", aligned ? " aligned" : " misaligned", fits ? ", fits" : ", too small",
        zero ? dirty ? ", dirty" : ", zero" : "");
    end(heap, p);
}

void cases_of_heaps(void) {
    void *(*new)(void) = (void *(*)(void))function("crossfoot_heap_new");
    void *(*limited)(size_t) = (void *(*)(size_t))function("crossfoot_heap_new_limited");
    void *(*call)(void *, size_t) = (void *(*)(void *, size_t))function("crossfoot_heap_malloc");
    void *(*zeroed)(void *, size_t, size_t) = (void *(*)(void *, size_t, size_t))function("crossfoot_heap_calloc");
    void *(*resize)(void *, void *, size_t) = (void *(*)(void *, void *, size_t))function("crossfoot_heap_realloc");
    void *(*aligned)(void *, size_t, size_t) =
        (void *(*)(void *, size_t, size_t))function("crossfoot_heap_aligned_alloc");
    void (*destroy)(void *) = (void (*)(void *))function("crossfoot_heap_destroy");
    size_of = (size_t(*)(const void *, const void *))function("crossfoot_heap_usable_size");
    end = (void (*)(void *, void *))function("crossfoot_heap_free");
    if (!new)
        return;
    begin("crossfoot_heap_new()");
    void *heap = new();
    ended();
    say("%s", heap ? "a heap" : "null");
    EACH(limit, few) {
        begin("crossfoot_heap_new_limited(%s)", limit->name);
        void *small = limited(limit->value);
        ended();
        say("%s", small ? "a heap" : "null");
        begin("crossfoot_heap_destroy(%s)", limit->name);
        destroy(small);
        ended();
        say("returns");
    }
    EACH(size, sizes) {
        begin("crossfoot_heap_malloc(%s)", size->name);
        void *p = call(heap, size->value);
        ended();
        say_mine(heap, p, size->value, 16, 0);
    }
    EACH(count, few) {
        EACH(size, few) {
            begin("crossfoot_heap_calloc(%s,%s)", count->name, size->name);
            void *p = zeroed(heap, count->value, size->value);
            ended();
            say_mine(heap, p, count->value * size->value, 16, 1);
        }
    }
    EACH(align, aligns) {
        EACH(size, few) {
            begin("crossfoot_heap_aligned_alloc(%s,%s)", align->name, size->name);
            void *p = aligned(heap, align->value, size->value);
            ended();
            say_mine(heap, p, size->value, align->value ? align->value : 1, 0);
        }
    }
    EACH(old, kinds) {
        EACH(size, sizes) {
            void *before = call(heap, old->value);
            size_t least = old->value < size->value ? old->value : size->value;
            paint(before, old->value);
            begin("crossfoot_heap_realloc(%s,%s)", old->name, size->name);
            void *p = resize(heap, before, size->value);
            ended();
            if (!p && size->value) {
                say("null, old %s", painted(before, old->value) == old->value ? "kept" : "lost");
                end(heap, before);
                continue;
            }
            if (p && painted(p, least) != least) {
                say("content lost");
                continue;
            }
            say_mine(heap, p, size->value, 16, 0);
        }
    }
    EACH(size, kinds) {
        void *p = call(heap, size->value);
        begin("crossfoot_heap_usable_size(%s)", size->name);
        size_t has = size_of(heap, p);
        ended();
        say("%s", has >= size->value ? "fits" : "too small");
        begin("crossfoot_heap_free(%s)", size->name);
        end(heap, p);
        ended();
        say("returns");
    }
    begin("crossfoot_heap_usable_size(null)");
    size_t none = size_of(heap, NULL);
    ended();
    say("%zu", none);
    begin("crossfoot_heap_free(null)");
    end(heap, NULL);
    ended();
    say("returns");
    begin("crossfoot_heap_realloc(null,100)");
    void *p = resize(heap, NULL, 100);
    ended();
    say_mine(heap, p, 100, 16, 0);
    begin("crossfoot_heap_destroy(heap)");
    destroy(heap);
    ended();
    say("returns");
    begin("crossfoot_heap_destroy(null)");
    destroy(NULL);
    ended();
    say("returns");
}
