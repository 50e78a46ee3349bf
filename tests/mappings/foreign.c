// Frees addresses that are no objects, in children: below the heap, in it, above what it has grown to, anywhere. Each ends
// by a line and SIGABRT, and none by SIGSEGV: the page map is read only where it is. Then the heap grows, and once more.
// Prints where the heap begins, and the process's virtual size in MiB.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends_as_told(uintptr_t address) {
    pid_t child = fork();
    if (child == 0) {
        close(2);
        alarm(20);
        free((void *)address);
        _exit(0);
    }
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static int all_end(uintptr_t base) {
    static int here;
    const uintptr_t gib = (uintptr_t)1 << 30;
    const uintptr_t addresses[] = {
        16, 4096, 0x400000, gib, 4 * gib, base - 16, base - gib, base + 63 * (1 << 20), base + 100 * (1 << 20),
        base + gib - 16, base + gib, base + 2 * gib, base + 20 * gib, base + 16384 * gib - 16, base + 16384 * gib,
        (uintptr_t)&here & ~(uintptr_t)15, (uintptr_t)&gib & ~(uintptr_t)15, (uintptr_t)1 << 46, ~(uintptr_t)15, 1,
    };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        if (!ends_as_told(addresses[i])) {
            fprintf(stderr, "free(%#lx) of a heap at %#lx ended otherwise\n", addresses[i], base);
            return 0;
        }
    }
    return 1;
}

static long virtual_mebibytes(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (file) {
        if (fscanf(file, "%ld", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * sysconf(_SC_PAGESIZE) >> 20;
}

int main(void) {
    uintptr_t base = (uintptr_t)malloc(10) & ~(((uintptr_t)64 << 20) - 1);
    long before = virtual_mebibytes();
    if (!all_end(base)) {
        return 1;
    }
    // Three gibibytes, of which nothing is touched but the ends.
    static char *objects[48];
    for (int i = 0; i < 48; i++) {
        objects[i] = malloc((64 << 20) - 8192);
        if (!objects[i]) {
            return 2;
        }
        objects[i][0] = objects[i][(64 << 20) - 8193] = 1;
    }
    if (!all_end(base)) {
        return 3;
    }
    for (int i = 0; i < 48; i++) {
        free(objects[i]);
    }
    printf("%#lx %ld\n", base, before);
    return 0;
}
