/* Opens plugins in a hard way. Arguments: what to do, and a library.
 * deep OPENER: the opener opens the plugin with RTLD_DEEPBIND; objects cross the border both ways.
 * bound OPENER: says whether a plugin that is opened so has the program's malloc.
 * missing OPENER: a library that is not there.
 * namespace PLUGIN: opens the plugin in a namespace of its own, where it has the libc's malloc.
 * alone OBJECT: opens the allocator in a namespace without a libc.
 * closed PLUGIN: a plugin with an allocator of its own is closed while threads that used it run; the process forks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void *(*Open)(int);
typedef void *(*New)(size_t);
typedef void (*Free)(void *);

static void *need(void *pointer, const char *what)
{
    if (pointer == NULL) {
        const char *why = dlerror();
        fprintf(stderr, "%s: %s\n", what, why != NULL ? why : "no error");
        exit(2);
    }
    return pointer;
}

static void cross(New make, Free release)
{
    void *objects[200];
    for (int i = 0; i < 200; i++)
        objects[i] = malloc(2000);
    for (int i = 0; i < 200; i++)
        release(objects[i]);
    for (int i = 0; i < 200; i++)
        free(make((size_t)i * 100));
}

static int (*work)(void);
static pthread_barrier_t barrier;

static void *life(void *unused)
{
    (void)unused;
    if (work() != 299)
        exit(3);
    pthread_barrier_wait(&barrier);
    /* The plugin is closed here. */
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void closed(const char *path)
{
    for (int round = 0; round < 20; round++) {
        void *plugin = need(dlopen(path, RTLD_NOW | RTLD_LOCAL | (round % 2 ? RTLD_DEEPBIND : 0)), path);
        pthread_t thread;
        *(void **)&work = need(dlsym(plugin, "plugin_work"), "plugin_work");
        pthread_barrier_init(&barrier, NULL, 2);
        if (pthread_create(&thread, NULL, life, NULL) != 0 || work() != 299)
            exit(3);
        pthread_barrier_wait(&barrier);
        dlclose(plugin);
        pthread_barrier_wait(&barrier);
        pthread_join(thread, NULL);
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            exit(4);
    }
}

int main(int count, char **arguments)
{
    const char *what = count > 2 ? arguments[1] : "", *path = count > 2 ? arguments[2] : "";
    if (strcmp(what, "closed") == 0) {
        closed(path);
    } else if (strcmp(what, "namespace") == 0 || strcmp(what, "alone") == 0) {
        int alone = what[0] == 'a';
        void *library = need(dlmopen(LM_ID_NEWLM, path, RTLD_NOW | (alone ? 0 : RTLD_DEEPBIND)), path);
        New make = (New)need(dlsym(library, alone ? "malloc" : "plugin_new"), "new");
        Free release = (Free)need(dlsym(library, alone ? "free" : "plugin_free"), "free");
        for (size_t i = 0; i < 3000; i++) {
            char *object = make(i * 7 + 1);
            memset(object, 1, i * 7 + 1);
            release(object);
        }
        if (!alone && ((void *(*)(void))need(dlsym(library, "plugin_malloc"), "malloc"))() == (void *)malloc)
            exit(5);
    } else {
        void *opener = need(dlopen(path, RTLD_NOW), path);
        Open open = (Open)need(dlsym(opener, "open_plain"), "open_plain");
        if (strcmp(what, "missing") == 0) {
            puts(open(1) == NULL && strstr(dlerror(), "plain.so") != NULL ? "not found" : "found");
            return 0;
        }
        void *plugin = need(open(1), "plain.so");
        void *bound = ((void *(*)(void))need(dlsym(plugin, "plugin_malloc"), "malloc"))();
        if (strcmp(what, "bound") == 0) {
            puts(bound == (void *)malloc ? "ours" : "its own");
            return 0;
        }
        cross((New)need(dlsym(plugin, "plugin_new"), "new"), (Free)need(dlsym(plugin, "plugin_free"), "free"));
    }
    puts("fine");
    return 0;
}
