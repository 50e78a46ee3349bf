/* What crossfoot-heap.h promises, call by call. Prints `sound`, or what is not so. */
#include <crossfoot-heap.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUIRE(what)                                                                                                  \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            printf("line %d: %s\n", __LINE__, #what);                                                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The compiler must not know what these are. */
static volatile size_t HUGE_SIZE = SIZE_MAX / 2, ZERO = 0;

static void calls(void) {
    crossfoot_heap_t *heap = crossfoot_heap_new();
    REQUIRE(heap != NULL);
    unsigned char *p = crossfoot_heap_malloc(heap, 100);
    REQUIRE(p != NULL && (uintptr_t)p % 16 == 0 && crossfoot_heap_usable_size(heap, p) >= 100);
    memset(p, 7, 100);
    p = crossfoot_heap_realloc(heap, p, 200000);
    REQUIRE(p != NULL && p[0] == 7 && p[99] == 7);
    errno = 0;
    REQUIRE(crossfoot_heap_realloc(heap, p, HUGE_SIZE) == NULL && errno == ENOMEM && p[99] == 7);
    errno = 0;
    REQUIRE(crossfoot_heap_realloc(heap, p, ZERO) == NULL && errno == 0);
    p = crossfoot_heap_realloc(heap, NULL, 24);
    REQUIRE(p != NULL);
    crossfoot_heap_free(heap, p);
    REQUIRE(crossfoot_heap_malloc(heap, ZERO) != crossfoot_heap_malloc(heap, ZERO));

    unsigned char *zero = crossfoot_heap_calloc(heap, 3000, 7);
    REQUIRE(zero != NULL);
    for (size_t i = 0; i < 21000; i++)
        REQUIRE(zero[i] == 0);
    errno = 0;
    REQUIRE(crossfoot_heap_calloc(heap, HUGE_SIZE, 3) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(crossfoot_heap_malloc(heap, HUGE_SIZE) == NULL && errno == ENOMEM);

    REQUIRE((uintptr_t)crossfoot_heap_aligned_alloc(heap, 1 << 20, 5) % (1 << 20) == 0);
    errno = 0;
    REQUIRE(crossfoot_heap_aligned_alloc(heap, 24, 100) == NULL && errno == EINVAL);
    errno = 0;
    REQUIRE(crossfoot_heap_aligned_alloc(heap, (size_t)1 << 31, 100) == NULL && errno == ENOMEM);

    crossfoot_heap_free(heap, NULL);
    REQUIRE(crossfoot_heap_usable_size(heap, NULL) == 0);
    crossfoot_heap_destroy(heap);
    crossfoot_heap_destroy(NULL);

    errno = 0;
    REQUIRE(crossfoot_heap_new_limited(HUGE_SIZE) == NULL && errno == ENOMEM);
    heap = crossfoot_heap_new_limited(1);
    REQUIRE(heap != NULL && crossfoot_heap_malloc(heap, 2 << 20) != NULL);
    errno = 0;
    REQUIRE(crossfoot_heap_malloc(heap, 4 << 20) == NULL && errno == ENOMEM);
    crossfoot_heap_destroy(heap);
}

/* How a child ends that runs `act`, and what it says on standard error. */
static int ending(void (*act)(void *), void *argument, char *said, size_t room) {
    int ends[2], status;
    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(10);
        act(argument);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length < room - 1 && (got = read(ends[0], said + length, room - 1 - length)) > 0;)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

static crossfoot_heap_t *mine, *other;

static void free_in_mine(void *object) { crossfoot_heap_free(mine, object); }
static void free_in_process(void *object) { free(object); }

static void misuse(void) {
    const char *unknown = "not an address of this allocator, or already freed";
    char said[256], line[256];
    mine = crossfoot_heap_new();
    other = crossfoot_heap_new();
    REQUIRE(mine != NULL && other != NULL);
    void *of_process = malloc(100), *of_other = crossfoot_heap_malloc(other, 100);
    void *of_mine = crossfoot_heap_malloc(mine, 100);
    struct {
        void (*act)(void *);
        void *object;
    } rows[] = {{free_in_mine, of_process}, {free_in_mine, of_other}, {free_in_process, of_mine}};
    for (int i = 0; i < 3; i++) {
        int status = ending(rows[i].act, rows[i].object, said, sizeof said);
        REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        snprintf(line, sizeof line, "crossfoot: free(%p): %s\n", rows[i].object, unknown);
        if (strcmp(said, line) != 0) {
            printf("row %d: %s", i, said);
            exit(1);
        }
    }
    free(of_process);
    crossfoot_heap_destroy(mine);
    crossfoot_heap_destroy(other);
}

static crossfoot_heap_t *shared;
static volatile int stop;

/* Works in a heap and in the process, and makes heaps. */
static void *work(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    while (!stop) {
        void *objects[64];
        for (int i = 0; i < 64; i++)
            objects[i] = crossfoot_heap_malloc(shared, (size_t)(rand_r(&seed) % 9000));
        free(malloc((size_t)(rand_r(&seed) % 90000)));
        for (int i = 0; i < 64; i++)
            crossfoot_heap_free(shared, objects[i]);
        crossfoot_heap_destroy(crossfoot_heap_new());
    }
    return NULL;
}

static void child(void *unused) {
    (void)unused;
    for (size_t size = 16; size < 1 << 20; size *= 2) {
        void *p = crossfoot_heap_malloc(shared, size), *q = malloc(size);
        if (p == NULL || q == NULL)
            _exit(1);
        crossfoot_heap_free(shared, p);
        free(q);
    }
    crossfoot_heap_t *own = crossfoot_heap_new();
    if (own == NULL || crossfoot_heap_malloc(own, 100) == NULL)
        _exit(2);
    crossfoot_heap_destroy(own);
    crossfoot_heap_destroy(shared);
}

static void forks(void) {
    pthread_t threads[3];
    char said[256];
    shared = crossfoot_heap_new();
    REQUIRE(shared != NULL);
    for (uintptr_t i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    for (int round = 0; round < 60; round++) {
        int status = ending(child, NULL, said, sizeof said);
        if (status != 0) {
            printf("round %d: status %x %s\n", round, (unsigned)status, said);
            exit(1);
        }
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    crossfoot_heap_destroy(shared);
}

int main(void) {
    calls();
    misuse();
    forks();
    puts("sound");
    return 0;
}
