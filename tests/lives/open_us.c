/* Opens the allocator itself in a program that has another, uses it by name, closes it, and goes on: threads that used
 * it end, and the process forks. Argument: the shared object. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *(*allocate)(size_t);
static void (*release)(void *);
static pthread_barrier_t barrier;

static int works(void)
{
    char *objects[100];
    for (int i = 0; i < 100; i++) {
        if ((objects[i] = allocate((size_t)i * i * 10 + 1)) == NULL)
            return 0;
        memset(objects[i], i, (size_t)i * i * 10 + 1);
    }
    for (int i = 0; i < 100; i++)
        release(objects[i]);
    return 1;
}

/* Begins before the allocator is there, and ends when it is closed. */
static void *life(void *argument)
{
    pthread_barrier_wait(&barrier);
    int *right = argument;
    *right = works();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return argument;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    int right = 0, status;
    char *ours = malloc(100);
    pthread_barrier_init(&barrier, NULL, 2);
    if (count < 2 || pthread_create(&thread, NULL, life, &right) != 0)
        return 1;
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    allocate = (void *(*)(size_t))dlsym(library, "malloc");
    release = (void (*)(void *))dlsym(library, "free");
    if (allocate == NULL || allocate == malloc)
        return 3;
    pthread_barrier_wait(&barrier);
    if (!works())
        return 4;
    pthread_barrier_wait(&barrier);
    if (dlclose(library) != 0)
        return 5;
    pthread_barrier_wait(&barrier);
    if (pthread_join(thread, NULL) != 0 || !right)
        return 6;
    pid_t pid = fork();
    if (pid == 0)
        exit(0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return 7;
    free(ours);
    return 0;
}
