// What glibc defines for asking and telling the allocator.

#include "case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// glibc's structures, which older headers do not have both of.
struct info {
    int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
struct info2 {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

static struct info2 read_info(const char *name) {
    if (!strcmp(name, "mallinfo2"))
        return ((struct info2(*)(void))function(name))();
    struct info i = ((struct info(*)(void))function(name))();
    struct info2 wide = {i.arena, i.ordblks, i.smblks, i.hblks, i.hblkhd, i.usmblks, i.fsmblks, i.uordblks,
        i.fordblks, i.keepcost};
    return wide;
}

static const char *holds(int right) { return right ? "holds" : "does not hold"; }

static void cases_of_mallinfo(const char *name) {
    if (!function(name))
        return;
    enum { OBJECTS = 5000, SIZE = 104, LARGE = 64 << 20 };
    static void *small[OBJECTS];
    struct info2 first = read_info(name);
    for (int i = 0; i < OBJECTS; i++)
        small[i] = malloc(SIZE);
    void *large = malloc(LARGE);
    begin("%s()", name);
    struct info2 full = read_info(name);
    ended();
    say("arena = uordblks + fordblks %s", holds(full.arena == full.uordblks + full.fordblks));
    begin("%s() after 5000 small objects", name);
    ended();
    say("uordblks grows by them %s",
        holds(full.uordblks - first.uordblks >= OBJECTS * SIZE && full.uordblks - first.uordblks < OBJECTS * SIZE * 2));
    begin("%s() after a large object", name);
    ended();
    say("hblks grows by %zu, hblkhd by its bytes %s", full.hblks - first.hblks,
        holds(full.hblkhd - first.hblkhd >= LARGE && full.hblkhd - first.hblkhd < LARGE + 65536));
    for (int i = 0; i < OBJECTS; i++)
        free(small[i]);
    free(large);
    struct info2 last = read_info(name);
    begin("%s() after their end", name);
    ended();
    say("uordblks and hblkhd shrink again %s",
        holds(last.hblkhd == first.hblkhd && last.uordblks < first.uordblks + OBJECTS * SIZE / 10));
    begin("%s() always", name);
    ended();
    say("usmblks %zu, keepcost <= fordblks %s", last.usmblks, holds(last.keepcost <= last.fordblks));
}

static void cases_of_malloc_info(void) {
    int (*call)(int, FILE *) = (int (*)(int, FILE *))function("malloc_info");
    for (int options = -1; options <= 2; options++) {
        char text[65536];
        FILE *file = tmpfile();
        if (!file)
            exit(1);
        begin("malloc_info(%d,file)", options);
        int result = call(options, file);
        ended();
        rewind(file);
        size_t n = fread(text, 1, sizeof text - 1, file);
        text[n] = 0;
        fclose(file);
        if (!n) {
            say("%d, nothing written", result);
            continue;
        }
        int whole = !strncmp(text, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n", 44) && n > 10 &&
            !strcmp(text + n - 10, "</malloc>\n");
        // Which elements there are, in their order, sizes aside.
        say("%d, written %s, total:%d system:%d aspace:%d", result, whole ? "whole" : "not whole",
            strstr(text, "<total type=\"fast\"") && strstr(text, "<total type=\"rest\"") &&
                strstr(text, "<total type=\"mmap\""),
            strstr(text, "<system type=\"current\"") && strstr(text, "<system type=\"max\""),
            strstr(text, "<aspace type=\"total\"") && strstr(text, "<aspace type=\"mprotect\""));
    }
}

// Calls a function with standard error in a file, whose text it returns.
static const char *on_stderr(void (*call)(void)) {
    static char text[4096];
    FILE *file = tmpfile();
    int before = dup(2);
    if (!file || before < 0)
        exit(1);
    dup2(fileno(file), 2);
    call();
    ended();
    dup2(before, 2);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void cases_of_malloc_stats(void) {
    void (*call)(void) = (void (*)(void))function("malloc_stats");
    void *large = malloc(4 << 20);
    begin("malloc_stats()");
    const char *text = on_stderr(call);
    // The words without the numbers.
    static char words[4096];
    size_t n = 0;
    for (const char *c = text; *c && n + 1 < sizeof words; c++)
        if ((*c < '0' || *c > '9' || !n || words[n - 1] == 'a') && !(*c == ' ' && n && words[n - 1] == ' '))
            words[n++] = *c == '\n' ? '|' : *c;
    words[n] = 0;
    say("%s", words);
    free(large);
}

static void cases_of_malloc_trim(void) {
    int (*call)(size_t) = (int (*)(size_t))function("malloc_trim");
    enum { OBJECTS = 64 };
    void *p[OBJECTS];
    for (int i = 0; i < OBJECTS; i++)
        memset(p[i] = malloc(100000), 1, 100000);
    for (int i = 0; i < OBJECTS; i++)
        free(p[i]);
    begin("malloc_trim(0) with free memory");
    int result = call(0);
    ended();
    say("%d", result);
    // What went back is there for the next object, and reads as zero where that is promised.
    begin("malloc_trim(0), then calloc");
    ended();
    say_object(calloc(1, 6000000), 6000000, 16, 6000000);
}

static void cases_of_mallopt(void) {
    int (*call)(int, int) = (int (*)(int, int))function("mallopt");
    static const struct {
        const char *name;
        int parameter, value;
    } options[] = {{"M_MXFAST,0", 1, 0}, {"M_MXFAST,160", 1, 160}, {"M_MXFAST,161", 1, 161}, {"M_MXFAST,-1", 1, -1},
        {"M_NLBLKS,1", 2, 1}, {"M_GRAIN,1", 3, 1}, {"M_KEEP,1", 4, 1}, {"M_TRIM_THRESHOLD,131072", -1, 131072},
        {"M_TRIM_THRESHOLD,-1", -1, -1}, {"M_TOP_PAD,0", -2, 0}, {"M_MMAP_THRESHOLD,131072", -3, 131072},
        {"M_MMAP_THRESHOLD,2^25", -3, 1 << 25}, {"M_MMAP_THRESHOLD,2^25+1", -3, (1 << 25) + 1},
        {"M_MMAP_THRESHOLD,-1", -3, -1}, {"M_MMAP_MAX,65536", -4, 65536}, {"M_CHECK_ACTION,3", -5, 3},
        {"M_PERTURB,0", -6, 0}, {"M_PERTURB,85", -6, 85}, {"M_ARENA_TEST,8", -7, 8}, {"M_ARENA_TEST,0", -7, 0},
        {"M_ARENA_MAX,1", -8, 1}, {"0,1", 0, 1}, {"5,1", 5, 1}, {"-9,1", -9, 1}, {"1000,1", 1000, 1}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        begin("mallopt(%s)", options[i].name);
        int result = call(options[i].parameter, options[i].value);
        ended();
        say("%d", result);
    }
}

// A child ends, because the function does not return.
static void cases_of_exit(void) {
    const char *names[] = {"_exit", "_Exit"};
    for (int i = 0; i < 2; i++) {
        void (*call)(int) = (void (*)(int))function(names[i]);
        begin("%s(300) in a child", names[i]);
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            call(300);
        waitpid(child, &status, 0);
        ended();
        say("exited %d, status %d", WIFEXITED(status), WEXITSTATUS(status));
    }
}

static void cases_of_dlopen(void) {
    // RTLD_LAZY, RTLD_NOW, and both with RTLD_DEEPBIND.
    static const int modes[] = {1, 2, 9, 10};
    void *(*call)(const char *, int) = (void *(*)(const char *, int))function("dlopen");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        begin("dlopen(null,%d)", modes[i]);
        void *program = call(NULL, modes[i]);
        ended();
        say("%s", program ? "a handle" : "null");
        begin("dlopen(missing,%d)", modes[i]);
        void *missing = call("libmissing-of-the-edge-table.so", modes[i]);
        ended();
        say("%s", missing ? "a handle" : "null");
    }
}

void cases_of_introspection(void) {
    cases_of_dlopen();
    cases_of_exit();
    cases_of_mallinfo("mallinfo");
    cases_of_mallinfo("mallinfo2");
    cases_of_mallinfo("__libc_mallinfo");
    cases_of_malloc_info();
    cases_of_malloc_stats();
    cases_of_malloc_trim();
    // Last: glibc's allocator works otherwise afterwards.
    cases_of_mallopt();
}
