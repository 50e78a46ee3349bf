/* One thread uses up all address space, another frees everything, and the first one allocates again: what
 * the other thread freed is reclaimed before an allocation fails. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct node { struct node *next; char rest[2992]; };
static struct node *all;

/* Raised by the main thread, and then by the reaper. */
static pthread_barrier_t full;

static void *reaper(void *argument)
{
    pthread_barrier_wait(&full);
    while (all != NULL) {
        struct node *next = all->next;
        free(all);
        all = next;
    }
    return argument;
}

int main(void)
{
    struct rlimit limit = { 1L << 30, 1L << 30 };
    pthread_t thread;
    long filled = 0, again = 0;
    struct node *node;
    /* The reaper begins first: later there is no room for its stack. */
    if (setrlimit(RLIMIT_AS, &limit) != 0 || pthread_barrier_init(&full, NULL, 2) != 0
        || pthread_create(&thread, NULL, reaper, NULL) != 0)
        return 1;
    while ((node = malloc(sizeof *node)) != NULL) {
        node->next = all;
        all = node;
        filled++;
    }
    pthread_barrier_wait(&full);
    if (pthread_join(thread, NULL) != 0)
        return 2;
    while (again < filled && malloc(sizeof *node) != NULL)
        again++;
    printf("%ld %ld\n", filled, again);
    return 0;
}
