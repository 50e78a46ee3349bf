/* Audits itself on a thread with the smallest stack: prints what it found, and ends with 0 if it adds up. */
#include <crossfoot-audit.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct crossfoot_audit found;
static struct crossfoot_cause causes[64];
static int result;

static void *look(void *unused) {
    errno = 77;
    result = crossfoot_audit(&found, sizeof found, causes, sizeof causes / sizeof *causes);
    if (errno != 77) result = -1;
    return unused;
}

int main(void) {
    for (int i = 0; i < 10000; i++) memset(malloc(1000), 1, 1000);
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 16384);
    if (pthread_create(&thread, &attributes, look, NULL) || pthread_join(thread, NULL)) return 2;
    printf("result %d unexplained %lld moved %llu balanced %llu causes %llu\n", result, (long long)found.unexplained,
           (unsigned long long)found.moved, (unsigned long long)found.balanced, (unsigned long long)found.causes);
    unsigned long long sum = 0, live = 0;
    for (unsigned i = 0; i < found.causes && i < 64; i++) {
        sum += causes[i].resident;
        if (!strcmp(causes[i].name, "live/small")) live = causes[i].resident;
        printf("%s %llu of %llu\n", causes[i].name, (unsigned long long)causes[i].resident,
               (unsigned long long)causes[i].bytes);
    }
    unsigned long long outside = found.files + found.brk + found.stack + found.anonymous + found.other;
    if (result || found.unexplained || found.moved || !found.balanced) return 3;
    if (sum != found.resident || sum != found.explained || sum + outside != found.process_resident) return 4;
    if (live < 10000000 || live > 13000000) return 5;
    /* Less room than there is: the rest is not written. */
    struct {
        uint64_t resident, guard;
    } less = {0, 42};
    if (crossfoot_audit((struct crossfoot_audit *)&less, 8, NULL, 0) || !less.resident || less.guard != 42) return 6;
    return 0;
}
