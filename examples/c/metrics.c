/*
 * Reads the use of the program's memory while it runs: single metrics by name, and the main figures.
 *
 *     cargo build --release
 *     cc -Ipreload/include examples/c/metrics.c target/release/libcrossfoot.a -o metrics
 */
#include <crossfoot.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 20000 };

/* Prints the size class with the most live objects. */
static void most_live(const uint64_t *live, const struct crossfoot_metric *metric, size_t index) {
    size_t best = 0;
    uint64_t most = 0;
    for (size_t i = 0; i < metric->length; i++)
        if (live[i] > most) {
            most = live[i];
            best = i;
        }
    char label[40];
    crossfoot_metric_label(index, best, label, sizeof label);
    printf("most live objects: %s, at least %d: %s\n", label, NAMES, most >= NAMES ? "yes" : "no");
}

int main(void) {
    char **names = malloc(NAMES * sizeof *names);
    if (names == NULL)
        return 1;
    for (int i = 0; i < NAMES; i++) {
        names[i] = malloc(60);
        if (names[i] == NULL)
            return 1;
        snprintf(names[i], 60, "name number %d", i);
    }

    uint64_t live[200];
    struct crossfoot_sample samples[] = {
        {.name = "/gc/heap/allocs:objects"},
        {.name = "/heap/live-by-size:objects", .values = live, .capacity = sizeof live / sizeof *live},
        {.name = "/no/such:metric"},
    };
    int answer = crossfoot_metrics_read(samples, 3);
    printf("complete: %s\n", answer == CROSSFOOT_COMPLETE ? "yes" : "no");
    printf("at least %d objects were allocated: %s\n", NAMES, samples[0].value >= NAMES ? "yes" : "no");
    printf("a name that no metric has: %s\n", samples[2].kind == CROSSFOOT_BAD ? "bad" : "found");

    struct crossfoot_metric metric;
    for (size_t i = 0; crossfoot_metric_describe(i, &metric) == 0; i++)
        if (strcmp(metric.name, samples[1].name) == 0) {
            printf("%s, in %s: %s\n", metric.name, metric.unit, metric.help);
            most_live(live, &metric, i);
        }

    struct crossfoot_snapshot books;
    if (crossfoot_snapshot_read(&books, sizeof books) != CROSSFOOT_COMPLETE)
        return 1;
    uint64_t sum =
        books.objects + books.unused + books.free + books.released + books.stacks + books.metadata;
    printf("%" PRIu64 " bytes are not accounted for\n", books.total - sum);
    for (int i = 0; i < NAMES; i++)
        free(names[i]);
    free(names);
    printf("the books %s\n", crossfoot_balanced() ? "balance" : "do not balance");
    return 0;
}
