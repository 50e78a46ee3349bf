/* Threads by `clone` itself, with a block of thread-local storage and nothing else: the libc does not know of them, and
 * they end by the system call. They leave objects, and free what the main thread made. With the argument `retire` they
 * say to the allocator that they end, and the program prints whether it offers that. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 20, OBJECTS = 200, STACK = 256 * 1024 };

/* What the dynamic linker gives to glibc's own `pthread_create`. */
extern void *_dl_allocate_tls(void *memory) __attribute__((weak));
extern void _dl_deallocate_tls(void *block, _Bool all) __attribute__((weak));

static void (*retire)(void);
static void *given[OBJECTS], *left[OBJECTS];
/* The system clears it when the thread is gone. */
static int alive;

static int life(void *argument)
{
    for (int i = 0; i < OBJECTS; i++) {
        free(given[i]);
        left[i] = malloc((size_t)i * 37 + 1);
        if (left[i] == NULL)
            abort();
        memset(left[i], 3, (size_t)i * 37 + 1);
    }
    free(malloc(100000));
    if (retire != NULL)
        retire();
    syscall(SYS_exit, 0);
    return argument != NULL;
}

int main(int count, char **arguments)
{
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS
              | CLONE_CHILD_CLEARTID;
    if (_dl_allocate_tls == NULL)
        return 3;
    if (count > 1 && strcmp(arguments[1], "retire") == 0) {
        retire = (void (*)(void))dlsym(RTLD_DEFAULT, "crossfoot_retire_thread");
        printf("%d\n", retire != NULL);
        fflush(stdout);
    }
    for (int t = 0; t < THREADS; t++) {
        size_t *own, **block = _dl_allocate_tls(NULL);
        char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (block == NULL || stack == MAP_FAILED)
            return 1;
        /* The block's address, twice, and the two secrets that every thread's code looks for. */
        __asm__("mov %%fs:0, %0" : "=r"(own));
        block[0] = block[2] = (size_t *)block;
        block[5] = (size_t *)own[5];
        block[6] = (size_t *)own[6];
        for (int i = 0; i < OBJECTS; i++)
            given[i] = malloc((size_t)i * 41 + 1);
        alive = 1;
        if (clone(life, stack + STACK, flags, NULL, NULL, block, &alive) == -1)
            return 2;
        while (__atomic_load_n(&alive, __ATOMIC_ACQUIRE) != 0)
            syscall(SYS_futex, &alive, FUTEX_WAIT, 1, NULL, NULL, 0);
        for (int i = 0; i < OBJECTS; i++)
            free(left[i]);
        munmap(stack, STACK);
        _dl_deallocate_tls(block, 1);
    }
    return 0;
}
