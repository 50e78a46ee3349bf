/* Reads its own metrics. `calls`: works, and prints how many system calls the allocator made, and how many failed. `all`
 * and `one`: reads every metric, or one that needs a snapshot, a hundred times, so that instructions can be counted. */
#include <crossfoot.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 200, ROOM = 100, TIMES = 100 };

static struct crossfoot_sample samples[MOST];
static uint64_t values[MOST][ROOM];

static void calls(void) {
    char *p = NULL;
    for (size_t size = 1 << 20; size <= 64 << 20; size *= 2) {
        p = realloc(p, size);
        free(memset(malloc(size), 1, size));
    }
    free(p);
    malloc_trim(0);
    struct crossfoot_sample of[] = {{"/system-calls/made:calls", values[0], ROOM, 0, 0, 0},
                                    {"/system-calls/failed:calls", values[1], ROOM, 0, 0, 0}};
    struct crossfoot_snapshot books;
    crossfoot_snapshot_read(&books, sizeof books);
    crossfoot_metrics_read(of, 2);
    struct crossfoot_metric metric;
    for (size_t m = 0; crossfoot_metric_describe(m, &metric) == 0; m++)
        for (size_t i = 0; strcmp(metric.name, of[0].name) == 0 && i < of[0].length; i++) {
            char label[40];
            crossfoot_metric_label(m, i, label, sizeof label);
            printf("%s %d %d\n", label, (int)values[0][i], (int)values[1][i]);
        }
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    if (strcmp(what, "calls") == 0) {
        calls();
        return 0;
    }
    for (int i = 0; i < 3000; i++)
        if (!malloc(i % 300 * 100))
            return 1;
    size_t n = 0;
    struct crossfoot_metric metric;
    for (size_t m = 0; m < MOST && crossfoot_metric_describe(m, &metric) == 0; m++)
        if (strcmp(what, "all") == 0 || strcmp(metric.name, "/memory/ready:bytes") == 0)
            samples[n++] = (struct crossfoot_sample){metric.name, values[m], ROOM, 0, 0, 0};
    for (int i = 0; i < TIMES; i++)
        if (crossfoot_metrics_read(samples, n) != CROSSFOOT_COMPLETE)
            return 1;
    printf("%d\n", (int)n);
    return 0;
}
