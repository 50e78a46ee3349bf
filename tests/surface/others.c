// Names of jemalloc, the BSDs, macOS and Crossfoot, and C++'s operators, called as C can call them.

#include "case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZERO 0x40

// jemalloc's flags. The last two name a thread cache and an arena.
static const struct {
    const char *name;
    int flags;
    size_t align;
} flags[] = {{"0", 0, 16}, {"LG_ALIGN(3)", 3, 16}, {"LG_ALIGN(12)", 12, 4096}, {"LG_ALIGN(30)", 30, (size_t)1 << 30},
    {"LG_ALIGN(31)", 31, 0}, {"LG_ALIGN(63)", 63, 0}, {"ZERO", ZERO, 16}, {"ZERO|LG_ALIGN(12)", ZERO | 12, 4096},
    {"TCACHE_NONE", 1 << 8, 16}, {"ARENA(3)", 4 << 20, 16}, {0, 0, 0}};

static void cases_of_mallocx(void) {
    void *(*call)(size_t, int) = (void *(*)(size_t, int))function("mallocx");
    size_t (*real)(size_t, int) = (size_t(*)(size_t, int))function("nallocx");
    size_t (*size_of)(const void *, int) = (size_t(*)(const void *, int))function("sallocx");
    void (*end)(void *, int) = (void (*)(void *, int))function("dallocx");
    void (*end_sized)(void *, size_t, int) = (void (*)(void *, size_t, int))function("sdallocx");
    if (!call)
        return;
    EACH(size, sizes) {
        for (int i = 0; flags[i].name; i++) {
            begin("mallocx(%s,%s)", size->name, flags[i].name);
            void *p = call(size->value, flags[i].flags);
            ended();
            size_t has = p ? size_of(p, 0) : 0;
            // All that there is must be zero, not only what was asked for.
            say("%s", object(p, size->value, flags[i].align, flags[i].flags & ZERO ? has : 0));
            begin("nallocx(%s,%s)", size->name, flags[i].name);
            size_t foretold = real(size->value, flags[i].flags);
            ended();
            say("%s", foretold == has ? p ? "what mallocx gives" : "0" : "something else");
            if (!p)
                continue;
            begin("sallocx(%s,%s)", size->name, flags[i].name);
            has = size_of(p, flags[i].flags);
            ended();
            say("%s", has == usable(p) ? "what malloc_usable_size says" : "something else");
            begin("%s(%s,%s)", i % 2 ? "dallocx" : "sdallocx", size->name, flags[i].name);
            if (i % 2)
                end(p, flags[i].flags);
            else
                end_sized(p, size->value, flags[i].flags);
            ended();
            say("returns");
        }
    }
}

static void cases_of_rallocx(void) {
    void *(*call)(void *, size_t, int) = (void *(*)(void *, size_t, int))function("rallocx");
    size_t (*resize)(void *, size_t, size_t, int) = (size_t(*)(void *, size_t, size_t, int))function("xallocx");
    if (!call)
        return;
    EACH(old, kinds) {
        EACH(size, sizes) {
            for (int i = 0; flags[i].name; i++) {
                void *before = malloc(old->value);
                size_t had = usable(before), zero = 0, least = had < size->value ? had : size->value;
                paint(before, had);
                begin("rallocx(%s,%s,%s)", old->name, size->name, flags[i].name);
                void *p = call(before, size->value, flags[i].flags);
                ended();
                if (!p) {
                    say("null, old %s", painted(before, had) == had ? "kept" : "lost");
                    free(before);
                    continue;
                }
                int kept = painted(p, least) == least;
                for (size_t n = had; flags[i].flags & ZERO && n < usable(p); n++)
                    zero += ((char *)p)[n] != 0;
                say("%s, content %s%s", object(p, size->value, flags[i].align, 0), kept ? "kept" : "lost",
                    zero ? ", not zero behind" : "");
                free(p);
            }
        }
        void *p = malloc(old->value);
        size_t has = usable(p);
        EACH(size, sizes) {
            paint(p, has);
            begin("xallocx(%s,%s)", old->name, size->name);
            size_t n = resize(p, size->value, 0, 0);
            ended();
            say("%s, content %s", n == usable(p) && n == has ? "the size that it has" : "something else",
                painted(p, has) == has ? "kept" : "lost");
        }
        free(p);
    }
}

static void cases_of_good_size(void) {
    size_t (*call)(size_t) = (size_t(*)(size_t))function("malloc_good_size");
    if (!call)
        return;
    EACH(size, sizes) {
        void *p = malloc(size->value);
        begin("malloc_good_size(%s)", size->name);
        size_t n = call(size->value);
        ended();
        say("%s", p ? n == usable(p) ? "what malloc gives" : "something else" : n == size->value ? "as asked" : "wrong");
        free(p);
    }
}

static void cases_of_reallocarr(void) {
    int (*call)(void *, size_t, size_t) = (int (*)(void *, size_t, size_t))function("reallocarr");
    static const struct number counts[] = {{"0", 0}, {"3", 3}, {"SIZE_MAX/2+1", SIZE_MAX / 2 + 1}, {0, 0}};
    if (!call)
        return;
    EACH(count, counts) {
        EACH(size, few) {
            size_t bytes;
            int over = __builtin_mul_overflow(count->value, size->value, &bytes);
            for (int null = 0; null < 2; null++) {
                void *before = null ? NULL : malloc(100), *p = before;
                if (p)
                    paint(p, 100);
                begin("reallocarr(%s,%s,%s)", null ? "null" : "100", count->name, size->name);
                int result = call(&p, count->value, size->value);
                ended();
                size_t least = null ? 0 : result || over || bytes > 100 ? 100 : bytes;
                const char *kept = !p || painted(p, least) == least ? "kept" : "lost";
                if (result)
                    say("%d, %s, content %s", result, p == before ? "the same pointer" : "another pointer", kept);
                else
                    say("0, %s, content %s", object(p, bytes, 16, 0), kept);
                free(p);
            }
        }
    }
}

static void cases_of_openbsd(void) {
    void (*end)(void *, size_t) = (void (*)(void *, size_t))function("freezero");
    void *(*call)(void *, size_t, size_t, size_t) =
        (void *(*)(void *, size_t, size_t, size_t))function("recallocarray");
    if (!call || !end)
        return;
    begin("freezero(null,100)");
    end(NULL, 100);
    ended();
    say("returns");
    EACH(size, kinds) {
        // A neighbour that must stay as it is, and a part that is not asked for.
        char *p = malloc(size->value), *beside = malloc(size->value);
        memset(p, 1, size->value);
        paint(beside, size->value);
        begin("freezero(%s,%s)", size->name, size->name);
        end(p, size->value);
        ended();
        // Free memory stays readable here, and its owner uses the first words of it.
        size_t left = 0;
        for (size_t i = 16; i < size->value; i++)
            left += p[i] != 0;
        say("%s, neighbour %s", left ? "not erased" : "erased",
            painted(beside, size->value) == size->value ? "kept" : "lost");
        free(beside);
    }
    static const struct number counts[] = {{"0", 0}, {"1", 1}, {"10", 10}, {"5000", 5000},
        {"SIZE_MAX/100+1", SIZE_MAX / 100 + 1}, {0, 0}};
    EACH(old, counts) {
        EACH(count, counts) {
            int refused = old->value > 5000 || count->value > 5000;
            size_t had = refused || old->value > 5000 ? 100 : old->value * 100, wants = count->value * 100;
            void *before = malloc(had);
            paint(before, had);
            begin("recallocarray(%s,%s,100)", old->name, count->name);
            void *p = call(before, old->value, count->value, 100);
            ended();
            if (!p) {
                say("null, old %s", painted(before, had) == had ? "kept" : "lost");
                free(before);
                continue;
            }
            size_t least = had < wants ? had : wants, dirty = 0;
            int kept = painted(p, least) == least;
            for (size_t i = least; i < wants; i++)
                dirty += ((char *)p)[i] != 0;
            say("%s, content %s, %s", object(p, wants, 16, 0), kept ? "kept" : "lost", dirty ? "dirty" : "zero behind");
            free(p);
        }
        begin("recallocarray(null,%s,10,100)", old->name);
        void *p = call(NULL, old->value, 10, 100);
        ended();
        say_object(p, 1000, 16, 1000);
    }
    void *p = malloc(100);
    begin("recallocarray(100,5,100) of an object of 100");
    void *none = call(p, 5, 100, 100);
    ended();
    say("%s", object(none, 0, 16, 0));
    free(p);
}

static void cases_of_crossfoot(void) {
    const char *(*version)(void) = (const char *(*)(void))function("crossfoot_version");
    int (*balanced)(void) = (int (*)(void))function("crossfoot_balanced");
    void (*retire)(void) = (void (*)(void))function("crossfoot_retire_thread");
    if (!version || !balanced || !retire)
        return;
    begin("crossfoot_version()");
    const char *text = version();
    ended();
    say("%s", text);
    char *p = malloc(1000);
    paint(p, 1000);
    begin("crossfoot_retire_thread()");
    retire();
    retire();
    ended();
    say("returns, objects %s", painted(p, 1000) == 1000 ? "kept" : "lost");
    free(p);
    begin("malloc(10) after crossfoot_retire_thread()");
    p = malloc(10);
    ended();
    say_object(p, 10, 16, 0);
    begin("crossfoot_balanced()");
    int right = balanced();
    ended();
    say("%d", right);
}

void cases_of_others(void) {
    cases_of_mallocx();
    cases_of_rallocx();
    cases_of_good_size();
    cases_of_reallocarr();
    cases_of_openbsd();
    cases_of_crossfoot();
}

// Each operator `new` with the forms of `delete` that fit it. Without memory only those that do not throw: a C program
// cannot catch.
void cases_of_cxx(void) {
    static const struct {
        const char *name;
        int aligned, nothrow;
        const char *ends[3];
    } operators[] = {
        {"_Znwm", 0, 0, {"_ZdlPv", "_ZdlPvm", "_ZdlPvRKSt9nothrow_t"}},
        {"_Znam", 0, 0, {"_ZdaPv", "_ZdaPvm", "_ZdaPvRKSt9nothrow_t"}},
        {"_ZnwmRKSt9nothrow_t", 0, 1, {"_ZdlPv", "_ZdlPvm", "_ZdlPvRKSt9nothrow_t"}},
        {"_ZnamRKSt9nothrow_t", 0, 1, {"_ZdaPv", "_ZdaPvm", "_ZdaPvRKSt9nothrow_t"}},
        {"_ZnwmSt11align_val_t", 1, 0,
            {"_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t"}},
        {"_ZnamSt11align_val_t", 1, 0,
            {"_ZdaPvSt11align_val_t", "_ZdaPvmSt11align_val_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t"}},
        {"_ZnwmSt11align_val_tRKSt9nothrow_t", 1, 1,
            {"_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t"}},
        {"_ZnamSt11align_val_tRKSt9nothrow_t", 1, 1,
            {"_ZdaPvSt11align_val_t", "_ZdaPvmSt11align_val_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t"}}};
    static const size_t alignments[] = {8, 64, 4096, 65536};
    char nothrow = 0;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        void *new = function(operators[i].name);
        for (const struct number *size = sizes; new && size->name; size++) {
            for (int form = 0; form < 4; form++) {
                if ((!operators[i].nothrow && size->value > 1 << 20) || (!operators[i].aligned && form == 3))
                    continue;
                size_t align = operators[i].aligned ? alignments[form] : 16;
                begin("%s(%s,%zu)", operators[i].name, size->name, align);
                // The last argument is the alignment or what marks the form; what is too many does no harm.
                void *p = operators[i].aligned
                    ? ((void *(*)(size_t, size_t, void *))new)(size->value, align, &nothrow)
                    : ((void *(*)(size_t, void *))new)(size->value, &nothrow);
                ended();
                say("%s", object(p, size->value, align, 0));
                const char *name = operators[i].ends[form % 3];
                void *delete = function(name);
                begin("%s(%s of %s)", name, p ? size->name : "null", operators[i].name);
                if (strstr(name, "PvmSt"))
                    ((void (*)(void *, size_t, size_t))delete)(p, size->value, align);
                else if (strstr(name, "Pvm"))
                    ((void (*)(void *, size_t))delete)(p, size->value);
                else if (operators[i].aligned)
                    ((void (*)(void *, size_t, void *))delete)(p, align, &nothrow);
                else
                    ((void (*)(void *, void *))delete)(p, &nothrow);
                ended();
                say("returns");
            }
        }
    }
}
