/* Threads that allocate and free in the destructors of their keys, in every round that POSIX promises. One key is made
 * before the allocator makes its own, one after. Argument: in how many of the four rounds they allocate. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 100, ROUNDS = 4 };

static pthread_key_t before, after;
static int rounds;

/* What one destructor has in its hands. */
struct bag { pthread_key_t key; int round; void *small, *large; };

static void destroy(void *argument)
{
    struct bag *bag = argument;
    free(bag->small);
    free(bag->large);
    bag->small = bag->large = NULL;
    bag->round++;
    if (bag->round <= rounds) {
        bag->small = malloc(100);
        bag->large = malloc(50000);
        if (bag->small == NULL || bag->large == NULL)
            abort();
    }
    if (bag->round < ROUNDS) {
        pthread_setspecific(bag->key, bag);
        return;
    }
    free(bag->small);
    free(bag->large);
    free(bag);
}

/* The first code of the process, before anything allocates. */
__attribute__((constructor(101))) static void make_first_key(void)
{
    pthread_key_create(&before, destroy);
}

static void *life(void *argument)
{
    pthread_key_t keys[] = { before, after };
    for (int i = 0; i < 2; i++) {
        struct bag *bag = calloc(1, sizeof *bag);
        if (bag == NULL)
            abort();
        bag->key = keys[i];
        bag->small = malloc(24);
        bag->large = malloc(100000);
        pthread_setspecific(keys[i], bag);
    }
    return argument;
}

int main(int count, char **arguments)
{
    rounds = count > 1 ? atoi(arguments[1]) : 3;
    free(malloc(1));
    pthread_key_create(&after, destroy);
    if (after != before + 2) {
        fprintf(stderr, "keys %u and %u: the allocator's is not between them\n", before, after);
        return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, life, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 2;
    }
    return 0;
}
