/* Handlers of `atexit`, constructors and destructors that allocate and free, linked to two libraries that do the same,
 * and threads that go on allocating while the process exits. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int one(void), two(void);
static void *kept;

static void *churn(void *argument)
{
    void *objects[50] = { 0 };
    for (unsigned i = 0;; i++) {
        free(objects[i * 7 % 50]);
        objects[i * 7 % 50] = malloc(i * 193 % 40000);
    }
    return argument;
}

static void at_the_end(void)
{
    free(kept);
    kept = malloc(40000);
    free(malloc(10));
}

__attribute__((constructor)) static void begin(void)
{
    kept = malloc(300);
}

__attribute__((destructor)) static void end(void)
{
    free(kept);
    free(malloc(500));
    (void)!write(1, "main\n", 5);
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 40; i++)
        if (atexit(at_the_end) != 0)
            return 1;
    for (int i = 0; i < 3; i++)
        if (pthread_create(&thread, NULL, churn, NULL) != 0)
            return 2;
    usleep(2000);
    return one() && two() ? 0 : 3;
}
