// Grows a large object that has to move, where Linux refuses the calls that move memory:
//   filter   mmap and mremap are refused by a filter of system calls;
//   limit    the limit on address space lies below what is mapped: mremap unmaps its target and then fails;
//   maps     the process has as many mappings as it may have.
// Either answer is right, as long as the content is whole: another place, or null with ENOMEM.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { SIZE = 8 << 20, MORE = 4 << 20 };

static int refuse_calls(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int lower_limit(void) {
    struct rlimit limit = {1 << 20, 1 << 20};
    return setrlimit(RLIMIT_AS, &limit);
}

// Every second page gets other rights, until there may be no mapping more.
static int use_up_mappings(void) {
    for (;;) {
        char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages, 4096, PROT_NONE)) {
            return errno != ENOMEM;
        }
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    // A hole that is large enough, the object, and one behind it, so that it cannot grow where it is.
    char *hole = malloc(SIZE + 2 * MORE);
    char *old = malloc(SIZE), *behind = malloc(MORE);
    if (!hole || !old || !behind) {
        return 2;
    }
    memset(hole, 1, SIZE + 2 * MORE);
    memset(old, 7, SIZE);
    memset(behind, 3, MORE);
    free(hole);
    if (!strcmp(how, "filter") ? refuse_calls() : !strcmp(how, "limit") ? lower_limit() : use_up_mappings()) {
        perror(how);
        return 77;
    }
    errno = 0;
    char *grown = realloc(old, SIZE + MORE);
    int error = errno;
    char *object = grown ? grown : old;
    for (size_t i = 0; i < SIZE; i++) {
        if (object[i] != 7) {
            return 3;
        }
    }
    if (grown) {
        memset(grown, 9, SIZE + MORE);
    } else if (error != ENOMEM) {
        return 4;
    }
    // What is free now is memory.
    for (int i = 0; i < 100; i++) {
        char *more = malloc(100000);
        if (more) {
            memset(more, i, 100000);
        }
        free(more);
    }
    for (int i = 0; i < MORE; i++) {
        if (behind[i] != 3) {
            return 5;
        }
    }
    printf("%s\n", grown == old ? "there" : grown ? "moved" : "null");
    free(object);
    free(behind);
    return 0;
}
