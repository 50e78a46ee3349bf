// Locks its memory without the right to lock as much as it likes. Arguments: the limit in MiB, and `before` or `after`: whether
// that comes before the first allocation. Prints how the calls of mlockall and the requests for memory ended.
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    if (!strcmp(argv[2], "after")) {
        free(malloc(10));
    }
    rlim_t bytes = (rlim_t)atol(argv[1]) << 20;
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) || (geteuid() == 0 && (setgid(65534) || setuid(65534)))) {
        return 77;
    }
    int current = mlockall(MCL_CURRENT), future = mlockall(MCL_FUTURE);
    int nulls = 0;
    char *medium = malloc(100000), *large = malloc(3 << 20);
    nulls += !medium + !large;
    if (medium && large) {
        memset(medium, 1, 100000);
        memset(large, 1, 3 << 20);
    }
    for (int i = 0; i < 200; i++) {
        char *small = malloc(1000);
        nulls += !small;
        if (small) {
            memset(small, 1, 1000);
        }
    }
    printf("%d %d %d\n", current, future, nulls);
    return 0;
}
