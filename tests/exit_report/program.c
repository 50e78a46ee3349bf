// Does what its arguments say, one after the other. Each test of tests/process_exit_report.rs is a list of them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what) {
    dprintf(2, "program: %s: %s\n", what, strerror(errno));
    syscall(SYS_exit_group, 99);
}

// Objects that stay, so that their number is in a report.
static void allocate(int count) {
    for (int i = 0; i < count; i++) {
        char *volatile p = malloc(24 + i % 100);
        if (!p) fail("malloc");
        p[0] = 1;
    }
}

// A report of an earlier process with this one's number, as a container leaves it.
static void stale(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) fail(path);
    for (int i = 0; i < 2000; i++) fprintf(file, "                   1  /stale:objects\n");
    fprintf(file, "%20d  /process/id:pid\n\"/process/id:pid\": %d,\n", getpid(), getpid());
    if (fclose(file)) fail(path);
}

static void *end_from_a_thread(void *status) {
    allocate(10);
    _exit(atoi(status));
}

static void say_quick(void) { dprintf(1, "quick\n"); }

// Leaves the libc an error to free at its next dlsym, as a look at users does for want of a library.
static void leave_an_error(void) {
    if (dlopen("/nowhere/nothing.so", RTLD_NOW)) fail("dlopen");
}

static volatile sig_atomic_t handler_status, by_exit, readings;
static void end_from_a_handler(int number) {
    (void)number;
    if (by_exit) exit(handler_status);
    _exit(handler_status);
}

static int on_a_small_stack;
// Gives handlers a stack that is too small for a reading, and ends where it ends.
static void small_stack(void) {
    size_t page = 4096, size = (sysconf(_SC_MINSIGSTKSZ) + 3 * page + page - 1) / page * page;
    char *base = mmap(0, page + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = base + page, .ss_size = size};
    if (base == MAP_FAILED || mprotect(base + page, size, PROT_READ | PROT_WRITE)) fail("mmap");
    if (sigaltstack(&stack, 0)) fail("sigaltstack");
    on_a_small_stack = SA_ONSTACK;
}

// Ends in a handler that a timer sends while this thread does nothing but allocate and free, or read statistics.
static void end_in_a_handler(const char *status) {
    static void *volatile kept[512];
    struct itimerval timer = {{0, 0}, {0, 1000 + getpid() % 3000}};
    struct sigaction action = {.sa_handler = end_from_a_handler, .sa_flags = on_a_small_stack};
    handler_status = atoi(status);
    kept[0] = malloc(100);
    if (sigaction(SIGALRM, &action, 0) || setitimer(ITIMER_REAL, &timer, 0)) fail("setitimer");
    for (unsigned x = 1;;) {
        if (readings) {
            mallinfo2();
            continue;
        }
        x = x * 1103515245 + 12345;
        int i = (x >> 8) & 511;
        free(kept[i]);
        kept[i] = malloc(1 + ((x >> 12) & ((x >> 28) ? 2047 : 131071)));
    }
}

static void end_a_vfork_child(void) {
    int status;
    pid_t child = vfork();
    if (child < 0) fail("vfork");
    if (child == 0) _exit(127);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 127) fail("vfork's child");
}

static void spawn_nothing(void) {
    pid_t child;
    char *arguments[] = {"nothing", 0};
    int refused = posix_spawn(&child, "/nowhere/nothing", 0, 0, arguments, environ);
    if (refused != ENOENT) fail("posix_spawn");
}

static void fork_and_end(int raw) {
    int status;
    pid_t child = raw ? syscall(SYS_fork) : fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        allocate(3);
        _exit(5);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 5) fail("fork's child");
}

static pthread_barrier_t idle;

static void *wait_for_ever(void *unused)
{
    (void)unused;
    free(malloc(100));
    pthread_barrier_wait(&idle);
    for (;;)
        pause();
}

/* Threads that have allocated, and wait from then on. */
static void idle_threads(void)
{
    pthread_barrier_init(&idle, NULL, 5);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, wait_for_ever, NULL))
            fail("pthread_create");
    }
    pthread_barrier_wait(&idle);
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *next = i + 1 < count ? words[i + 1] : "";
        if (!strcmp(word, "allocate")) allocate(atoi(next)), i++;
        else if (!strcmp(word, "stale")) stale(next), i++;
        else if (!strcmp(word, "print")) printf("%s\n", next), i++;
        else if (!strcmp(word, "chdir")) { if (chdir(next)) fail("chdir"); i++; }
        else if (!strcmp(word, "chroot")) { if (chroot(next) || chdir("/")) fail("chroot"); i++; }
        else if (!strcmp(word, "setuid")) { if (setuid(atoi(next))) fail("setuid"); i++; }
        else if (!strcmp(word, "unlink")) { if (unlink(next)) fail("unlink"); i++; }
        else if (!strcmp(word, "close")) { if (close_range(atoi(next), ~0u, 0)) fail("close_range"); i++; }
        else if (!strcmp(word, "close-streams")) { if (fclose(stdout) || fclose(stderr)) fail("fclose"); }
        else if (!strcmp(word, "file-size")) {
            struct rlimit limit = {atoi(next), atoi(next)};
            if (setrlimit(RLIMIT_FSIZE, &limit)) fail("setrlimit");
            i++;
        }
        else if (!strcmp(word, "vfork")) end_a_vfork_child();
        else if (!strcmp(word, "spawn")) spawn_nothing();
        else if (!strcmp(word, "fork")) fork_and_end(0);
        else if (!strcmp(word, "raw-fork")) fork_and_end(1);
        else if (!strcmp(word, "idle-threads")) idle_threads();
        else if (!strcmp(word, "thread")) {
            pthread_t thread;
            if (pthread_create(&thread, 0, end_from_a_thread, words[i + 1])) fail("pthread_create");
            pthread_join(thread, 0);
        }
        else if (!strcmp(word, "dlerror")) leave_an_error();
        else if (!strcmp(word, "small-stack")) small_stack();
        else if (!strcmp(word, "by-exit")) by_exit = 1;
        else if (!strcmp(word, "readings")) readings = 1;
        else if (!strcmp(word, "handler")) end_in_a_handler(next);
        else if (!strcmp(word, "at-quick-exit")) { if (at_quick_exit(say_quick)) fail("at_quick_exit"); }
        else if (!strcmp(word, "exit")) exit(atoi(next));
        else if (!strcmp(word, "_exit")) _exit(atoi(next));
        else if (!strcmp(word, "_Exit")) _Exit(atoi(next));
        else if (!strcmp(word, "quick_exit")) quick_exit(atoi(next));
        else if (!strcmp(word, "kill")) kill(getpid(), atoi(next)), i++;
        else if (!strcmp(word, "raw-exit")) syscall(SYS_exit_group, atoi(next));
        else fail(word);
    }
    return 7;
}
