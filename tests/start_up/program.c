// Does what its argument says, then prints how many KiB of memory of its own it has: pages that hold what no file has.
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile kept[1024];

// A thread with 100 objects of sizes from 8 to 800 bytes.
static void *mixed(void *first) {
    void *volatile *at = first;
    for (int i = 0; i < 100; i++) {
        at[i] = malloc(8 + 8 * i);
        memset(at[i], 1, 8 + 8 * i);
    }
    return NULL;
}

// No function of the libc that allocates.
static void print_anonymous(void) {
    static char text[8192];
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(file, text, sizeof text - 1);
    const char *line = length > 0 ? strstr(text, "\nAnonymous:") : NULL;
    if (line == NULL) _exit(3);
    line += strlen("\nAnonymous:");
    line += strspn(line, " ");
    if (write(1, line, strspn(line, "0123456789")) <= 0) _exit(4);
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    if (strcmp(what, "objects") == 0) {
        kept[0] = malloc(24);
        kept[1] = malloc(1000);
        memset(kept[0], 1, 24);
        memset(kept[1], 1, 1000);
    } else if (strcmp(what, "threads") == 0) {
        // One after the other: they have one cache between them.
        pthread_t thread;
        for (int i = 0; i < 8; i++) {
            if (pthread_create(&thread, NULL, mixed, (void *)&kept[100 * i]) != 0) return 1;
            if (pthread_join(thread, NULL) != 0) return 2;
        }
    }
    print_anonymous();
    return 0;
}
