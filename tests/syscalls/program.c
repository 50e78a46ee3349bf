// Uses every function of an allocator, phase by phase. Before each phase it closes an unused descriptor; a tracer reads
// the phase from its number. With the argument "filter" it first installs a filter that kills the process at any system
// call but those with the numbers that follow; with "alone" after its first allocation, with "before" before it executes
// itself.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept[4000];

static void phase(int number) {
    syscall(SYS_close, -1000 - number);
}

static void *thread(void *unused) {
    for (int i = 0; i < 2000; i++) kept[2000] = malloc(100), free(kept[2000]);
    for (int i = 0; i < 500; i++) kept[3000 + i] = malloc(1 + 7 * i);
    for (int i = 0; i < 1000; i++) free(kept[i]), kept[i] = NULL;
    return unused;
}

static void filter(int count, char **numbers) {
    static struct sock_filter code[300];
    int n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count && n < 290; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(numbers[i]), 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(9);
}

int main(int count, char **arguments) {
    int filtered = count > 1 && strcmp(arguments[1], "filter") == 0;
    int alone = count > 1 && strcmp(arguments[1], "alone") == 0;
    if (filtered) filter(count - 2, arguments + 2);
    if (count > 1 && strcmp(arguments[1], "before") == 0) {
        filter(count - 2, arguments + 2);
        arguments[1] = (char *)"filtered";
        execv("/proc/self/exe", arguments);
        return 5;
    }
    filtered |= count > 1 && strcmp(arguments[1], "filtered") == 0;
    if (alone) {
        // The filter comes after the first allocation, as in a sandbox that a program enters.
        kept[0] = malloc(10);
        filter(count - 2, arguments + 2);
    }
    phase(1);
    kept[0] = malloc(24);
    phase(2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2000; i++) free(kept[i]), kept[i] = calloc(1, 1 + 7 * i);
        for (int i = 0; i < 30; i++) kept[2000 + i] = malloc(1 << 20), memset(kept[2000 + i], 1, 1 << 20);
        for (int i = 0; i < 30; i++) free(kept[2000 + i]);
    }
    kept[2000] = malloc(3 << 20);
    kept[2001] = malloc(1 << 20);
    memset(kept[2000], 1, 3 << 20);
    for (int i = 1; i < 12; i++) kept[2000] = realloc(kept[2000], (size_t)i * (9 << 20));
    kept[2000] = realloc(kept[2000], 1000);
    kept[2002] = aligned_alloc(1 << 21, 1 << 21);
    for (int i = 2000; i < 2003; i++) free(kept[i]);
    phase(3);
    malloc_trim(0);
    if (!filtered && !alone) {
        phase(4);
        for (int i = 0; i < 4; i++) {
            pthread_t id;
            if (pthread_create(&id, NULL, thread, NULL) != 0) return 3;
            pthread_join(id, NULL);
        }
        phase(5);
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 2000; i++) free(kept[i]), kept[i] = malloc(1 + 7 * i);
            // Its end is an exit like any other.
            phase(7);
            _exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0) return 4;
    }
    phase(6);
    struct mallinfo2 info = mallinfo2();
    phase(7);
    return info.uordblks == 0;
}
