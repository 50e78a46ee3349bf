// Leaves itself the given number of KiB of address space before its first allocation. Prints how many of 100 small objects
// and one of 100,000 bytes were null.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char text[64] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    if (argc != 2 || file < 0 || read(file, text, sizeof text - 1) <= 0) {
        return 2;
    }
    close(file);
    rlim_t bytes = (rlim_t)atol(text) * sysconf(_SC_PAGESIZE) + ((rlim_t)atol(argv[1]) << 10);
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit)) {
        return 3;
    }
    int nulls = 0;
    for (int i = 0; i < 101; i++) {
        size_t size = i < 100 ? 8 + (size_t)i * 10 : 100000;
        char *object = malloc(size);
        nulls += !object;
        if (object) {
            memset(object, 1, size);
        }
    }
    char answer[16];
    return write(1, answer, snprintf(answer, sizeof answer, "%d", nulls)) <= 0;
}
