/* Other ways to create a child: `vfork` and `exec`, `posix_spawn` with file actions, `system`, `popen`, and the system
 * call `clone`, which runs no handlers of fork. Prints the results. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "watchdog.h"

enum { PATIENCE = 60 };

extern char **environ;
static pthread_barrier_t barrier;

static int ended_with(pid_t pid)
{
    int status;
    watched = pid;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    watched = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void work(void)
{
    void *kept[40];
    for (int i = 0; i < 40; i++)
        if ((kept[i] = malloc((size_t)i * i * 50)) == NULL)
            abort();
    for (int i = 0; i < 40; i++)
        free(kept[i]);
}

static int by_vfork(void)
{
    char *words[] = { "true", NULL };
    pid_t pid = vfork();
    if (pid == 0) {
        execvp(words[0], words);
        _exit(127);
    }
    return ended_with(pid);
}

static int by_spawn(void)
{
    char *words[] = { "echo", "spawned", NULL }, text[16] = "";
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t pid;
    if (pipe(ends) != 0 || posix_spawn_file_actions_init(&actions) != 0
        || posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0
        || posix_spawn_file_actions_addclose(&actions, ends[0]) != 0
        || posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0
        || posix_spawnp(&pid, words[0], &actions, NULL, words, environ) != 0)
        return -1;
    close(ends[1]);
    if (read(ends[0], text, sizeof text - 1) != 8 || strcmp(text, "spawned\n") != 0)
        return -2;
    close(ends[0]);
    posix_spawn_file_actions_destroy(&actions);
    return ended_with(pid);
}

static int by_popen(void)
{
    char text[16] = "";
    FILE *stream = popen("echo opened", "r");
    if (stream == NULL || fgets(text, sizeof text, stream) == NULL || strcmp(text, "opened\n") != 0)
        return -1;
    return pclose(stream);
}

static void *first_allocation(void *argument)
{
    work();
    return argument;
}

/* The kernel's fork and nothing else: no handler runs, here or in the child. */
static int by_clone(void)
{
    void *given = malloc(700);
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        pthread_t thread;
        watch(PATIENCE);
        work();
        free(given);
        if (pthread_create(&thread, NULL, first_allocation, NULL) != 0 || pthread_join(thread, NULL) != 0)
            _exit(4);
        exit(0);
    }
    free(given);
    return ended_with(pid);
}

/* Has a cache with objects in it, and is outside the allocator while the others clone. */
static void *rest(void *argument)
{
    void *kept = malloc(200);
    free(malloc(2000));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    free(kept);
    return argument;
}

int main(void)
{
    pthread_t threads[4];
    watch(PATIENCE);
    work();
    phase = "vfork";
    printf("vfork %d\n", by_vfork());
    phase = "posix_spawn";
    printf("posix_spawn %d\n", by_spawn());
    phase = "system";
    printf("system %d\n", WEXITSTATUS(system("exit 3")));
    phase = "popen";
    printf("popen %d\n", by_popen());
    phase = "clone, one thread";
    fflush(stdout);
    printf("clone %d\n", by_clone());
    phase = "clone, threads that rest";
    pthread_barrier_init(&barrier, NULL, 5);
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, rest, NULL) != 0)
            return 1;
    pthread_barrier_wait(&barrier);
    fflush(stdout);
    printf("clone beside others %d\n", by_clone());
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
