/* `fork`, `fflush(NULL)` and a stream function that allocates, each in a thread of its own, until each got on so often:
   streams_fork beside TIMES. Or a child that starts a thread which opens a stream, of a process with one thread or with
   two: streams_fork alone, streams_fork two. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "watchdog.h"

static atomic_int forks, lines, flushes, stop;

static char path[64];

/* A file of one long line: the memory for it grows while the stream is locked. */
static void make_file(void)
{
    static char line[50000];
    int file = memfd_create("line", 0);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    if (file < 0 || write(file, line, sizeof line) != (ssize_t)sizeof line)
        _exit(10);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
}

static void *reader(void *argument)
{
    (void)argument;
    FILE *own = fopen(path, "r");
    if (!own)
        _exit(9);
    while (!stop) {
        char *line = 0;
        size_t size = 0;
        rewind(own);
        if (getline(&line, &size, own) < 0)
            _exit(4);
        free(line);
        lines++;
    }
    fclose(own);
    return 0;
}

static void *flusher(void *argument)
{
    (void)argument;
    while (!stop) {
        fflush(NULL);
        flushes++;
    }
    return 0;
}

static void *open_stream(void *argument)
{
    FILE *opened = fopen("/dev/null", "w");
    if (opened)
        fclose(opened);
    fflush(NULL);
    return argument;
}

static void *idle(void *argument)
{
    while (!stop)
        usleep(1000);
    return argument;
}

/* In a child, and in the parent after it: a new thread gets to the list of streams. */
static int streams_work(void)
{
    pthread_t thread;
    void *result = 0;
    return pthread_create(&thread, 0, open_stream, &stop) == 0 && pthread_join(thread, &result) == 0 && result == &stop;
}

static void child_opens(void)
{
    pid_t child = fork();
    if (child == 0) {
        watch(60);
        phase = "a thread of the child opens a stream";
        _exit(streams_work() ? 0 : 5);
    }
    watched = child;
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        _exit(6);
    watched = 0;
}

int main(int count, char **arguments)
{
    watch(100);
    if (count < 2)
        return 2;
    phase = arguments[1];
    pthread_t threads[2];
    if (strcmp(arguments[1], "beside") != 0) {
        int two = strcmp(arguments[1], "two") == 0;
        if (two && pthread_create(&threads[0], 0, idle, 0) != 0)
            return 3;
        for (int i = 0; i < 20; i++)
            child_opens();
        stop = 1;
        if (two)
            pthread_join(threads[0], 0);
        return streams_work() ? 0 : 7;
    }
    int times = atoi(arguments[2]);
    make_file();
    if (pthread_create(&threads[0], 0, reader, 0) != 0 || pthread_create(&threads[1], 0, flusher, 0) != 0)
        return 3;
    while (forks < times || lines < times || flushes < times) {
        phase = "fork beside streams";
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        phase = "the child's end";
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            return 8;
        forks++;
    }
    stop = 1;
    phase = "the threads' ends";
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], 0);
    printf("%d %d %d\n", forks, lines, flushes);
    return 0;
}
