// Names of jemalloc, the BSDs, macOS and Crossfoot, and C++'s operators, called as C can call them.

#include "case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
                size_t had = usable(before), zero = 0;
                paint(before, had);
                begin("rallocx(%s,%s,%s)", old->name, size->name, flags[i].name);
                void *p = call(before, size->value, flags[i].flags);
                ended();
                if (!p) {
                    say("null, old %s", painted(before, had) == had ? "kept" : "lost");
                    free(before);
                    continue;
                }
                /* As far as both may be used: MALLOCX_ZERO leaves that as it was. */
                size_t least = had < usable(p) ? had : usable(p);
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
    int (*claim)(int) = (int (*)(int))function("crossfoot_claim_report");
    if (!version || !balanced || !retire || !claim)
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
    // The number of no process: this one's report stays to be claimed.
    begin("crossfoot_claim_report(-5) twice");
    int first = claim(-5), second = claim(-5);
    ended();
    say("%d, %d", first, second);
}

// As `crossfoot-metrics.h` declares them; the table has no header of ours.
struct metric {
    const char *name, *unit, *help;
    int kind, cumulative;
    size_t length;
    const uint64_t *bounds;
};

struct sample {
    const char *name;
    uint64_t *values;
    size_t capacity;
    int kind;
    uint64_t value;
    size_t length;
};

static void cases_of_metrics(void) {
    size_t (*count)(void) = (size_t (*)(void))function("crossfoot_metrics_count");
    int (*describe)(size_t, struct metric *) = (int (*)(size_t, struct metric *))function("crossfoot_metric_describe");
    size_t (*label)(size_t, size_t, char *, size_t) =
        (size_t (*)(size_t, size_t, char *, size_t))function("crossfoot_metric_label");
    int (*read)(struct sample *, size_t) = (int (*)(struct sample *, size_t))function("crossfoot_metrics_read");
    int (*snapshot)(uint64_t *, size_t) = (int (*)(uint64_t *, size_t))function("crossfoot_snapshot_read");
    if (!count || !describe || !label || !read || !snapshot)
        return;
    begin("crossfoot_metrics_count()");
    size_t all = count();
    ended();
    say("%s", all > 50 ? "more than 50" : "few");
    struct metric metric = {0};
    begin("crossfoot_metric_describe(count)");
    int found = describe(all, &metric);
    ended();
    say("%d, %s", found, metric.name ? "written" : "nothing written");
    size_t by_size = all, histogram = all;
    begin("crossfoot_metric_describe(each)");
    int right = 1;
    for (size_t i = 0; i < all; i++) {
        right &= describe(i, &metric) == 0 && metric.name[0] == '/' && strcmp(strchr(metric.name, ':') + 1, metric.unit) == 0;
        right &= strlen(metric.help) > 10 && (metric.kind == 4) == (metric.bounds != NULL) && (metric.length > 1) == (metric.kind > 2);
        if (strcmp(metric.name, "/heap/live-by-size:objects") == 0)
            by_size = i;
        if (strcmp(metric.name, "/gc/heap/allocs-by-size:bytes") == 0)
            histogram = i;
    }
    ended();
    say("%s", right ? "sound" : "wrong");
    static const struct {
        const char *name;
        size_t element, size;
    } labels[] = {{"0,100", 0, 100}, {"0,10", 0, 10}, {"0,1", 0, 1}, {"0,0", 0, 0}, {"71,100", 71, 100}, {"72,100", 72, 100}};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        char text[100];
        memset(text, 'x', sizeof text);
        begin("crossfoot_metric_label(by size,%s)", labels[i].name);
        size_t length = label(by_size, labels[i].element, text, labels[i].size);
        ended();
        say("%zu '%.*s'%s", length, labels[i].size ? (int)strlen(text) : 0, text, text[labels[i].size] == 'x' || labels[i].size == 100 ? "" : ", behind it too");
    }
    char nothing[4] = "abc";
    begin("crossfoot_metric_label(of no vector,0,4)");
    size_t length = label(histogram, 0, nothing, 4) + label(all, 0, nothing, 4);
    ended();
    say("%zu '%s'", length, nothing);
    free(malloc(10));
    uint64_t values[100];
    memset(values, 0xff, sizeof values);
    struct sample samples[] = {
        {"/no/such:metric", NULL, 0, 7, 7, 7},         {"", NULL, 0, 7, 7, 7},
        {"/process/id:pid", NULL, 0, 7, 7, 7},         {"/heap/live-by-size:objects", NULL, 0, 7, 7, 7},
        {"/heap/live-by-size:objects", values, 10, 7, 7, 7}, {"/gc/heap/allocs-by-size:bytes", values + 20, 73, 7, 7, 7},
        {"/os/rss:bytes", NULL, 0, 7, 7, 7},
    };
    size_t n = sizeof samples / sizeof *samples;
    begin("crossfoot_metrics_read(samples)");
    int answer = read(samples, n);
    ended();
    char text[300] = "";
    for (size_t i = 0; i < n; i++)
        sprintf(text + strlen(text), "%s%d/%zu", i ? " " : "", samples[i].kind, samples[i].length);
    say("%d: %s, pid %s, room %s", answer, text, samples[2].value == (uint64_t)getpid() ? "right" : "wrong",
        values[9] != UINT64_MAX && values[10] == UINT64_MAX && values[92] != UINT64_MAX && values[93] == UINT64_MAX ? "kept" : "not kept");
    begin("crossfoot_metrics_read(null,0)");
    answer = read(NULL, 0);
    ended();
    say("%d", answer);
    uint64_t words[20];
    memset(words, 0xff, sizeof words);
    begin("crossfoot_snapshot_read(out,0 to 128)");
    int none = snapshot(words, 0), kept = words[0] == UINT64_MAX;
    int one = snapshot(words, 8), first = words[0] != UINT64_MAX && words[1] == UINT64_MAX;
    int whole = snapshot(words, 120), later = snapshot(words, 128);
    ended();
    uint64_t sum = 0;
    for (int i = 2; i < 8; i++)
        sum += words[i];
    say("%d %d %d %d, %s, %s", none, one, whole, later, kept && first && words[15] == 0 && words[16] == UINT64_MAX ? "in its place" : "elsewhere",
        sum == words[0] && words[10] - words[12] == words[8] ? "adds up" : "does not add up");
    memset(words, 0xff, sizeof words);
    int (*audit)(uint64_t *, size_t, void *, size_t) =
        (int (*)(uint64_t *, size_t, void *, size_t))function("crossfoot_audit");
    begin("crossfoot_audit(out,8,NULL,0)");
    int audited = audit(words, 8, NULL, 0);
    ended();
    say("%d, %s", audited, words[0] > 0 && words[0] != UINT64_MAX && words[1] == UINT64_MAX ? "in its place" : "elsewhere");
}

void cases_of_others(void) {
    cases_of_mallocx();
    cases_of_rallocx();
    cases_of_good_size();
    cases_of_reallocarr();
    cases_of_openbsd();
    cases_of_crossfoot();
    cases_of_metrics();
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
