/* What the programs of this folder share. Each does one thing that a program must not do, or one that it may. */
#ifndef MISUSE_H
#define MISUSE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prints an address for the table to name, and hides from the compiler where it is from. Allocates nothing. */
static void *say(const volatile void *p)
{
    char line[32];
    int n = snprintf(line, sizeof line, "%#lx\n", (unsigned long)(uintptr_t)p);
    if (write(1, line, (size_t)n) != n)
        _exit(99);
    void *volatile hidden = (void *)(uintptr_t)p;
    return hidden;
}

/* As `say`, without printing. */
static void *hide(const volatile void *p)
{
    void *volatile hidden = (void *)(uintptr_t)p;
    return hidden;
}

/* Runs `f` in a thread that ends before this returns. */
static void in_thread(void *(*f)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, f, argument) != 0 || pthread_join(thread, NULL) != 0)
        _exit(98);
}

static void *free_it(void *p)
{
    free(p);
    return NULL;
}

static void *free_it_twice(void *p)
{
    free(p);
    free(hide(p));
    return NULL;
}

/* Allocates so many objects of a size that whatever waits in a list comes up. */
static void use_up(size_t size)
{
    for (int i = 0; i < 5000; i++)
        hide(malloc(size));
}

/* Not every program uses everything. */
static void unused(void) __attribute__((unused));
static void unused(void)
{
    (void)say, (void)hide, (void)in_thread, (void)free_it, (void)free_it_twice, (void)use_up, (void)unused;
}

#endif
