/* Crossfoot, a memory allocator whose books always balance: its metrics.
 *
 * docs/metrics.md explains each metric. Any thread may call these functions at any time, but no signal handler. They
 * allocate nothing, do not change errno, and need 2 KiB of stack. A reader waits for no thread that allocates. Readers
 * wait for each other.
 */

#ifndef CROSSFOOT_METRICS_H
#define CROSSFOOT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#if __cplusplus >= 201103L
#define CROSSFOOT_METRICS_NOEXCEPT noexcept
#else
#define CROSSFOOT_METRICS_NOEXCEPT throw()
#endif
extern "C" {
#else
#define CROSSFOOT_METRICS_NOEXCEPT
#endif

/* The kind of a metric's value, and of the value in a sample. */
enum crossfoot_kind {
    /* No metric has the name. */
    CROSSFOOT_BAD = 0,
    /* In samples only: the value is not known. */
    CROSSFOOT_ABSENT = 1,
    /* One number. */
    CROSSFOOT_UINT64 = 2,
    /* One number for each label. */
    CROSSFOOT_VECTOR = 3,
    /* One count for each interval between bounds, and the sum of the values. */
    CROSSFOOT_HISTOGRAM = 4
};

/* The state of the figures that a function returned. */
enum crossfoot_answer {
    /* No figures: nothing was allocated yet, or no snapshot could be taken. */
    CROSSFOOT_NOTHING = 0,
    /* Figures of the last complete snapshot, because another reader was stopped or Linux refused a fence. */
    CROSSFOOT_STALE = 1,
    /* Current figures. */
    CROSSFOOT_COMPLETE = 2
};

/* A metric. All texts and arrays live as long as the process. */
struct crossfoot_metric {
    /* The name, "/path:unit", and the unit alone. */
    const char *name;
    const char *unit;
    /* A sentence that explains it. */
    const char *help;
    /* An enum crossfoot_kind. */
    int kind;
    /* 1 if it only grows from the start of the process on, else 0. */
    int cumulative;
    /* The number of numbers in the value: 1, the labels of a vector, the intervals of a histogram. */
    size_t length;
    /* For a histogram, the length - 1 upper bounds of its intervals: the last interval has none. Otherwise null. */
    const uint64_t *bounds;
};

/* A request for a metric's value, and the value. */
struct crossfoot_sample {
    /* In: the metric's name. */
    const char *name;
    /* In, for a vector or a histogram: an array for its numbers, and the array's length. */
    uint64_t *values;
    size_t capacity;
    /* Out: an enum crossfoot_kind. */
    int kind;
    /* Out: the number, or a histogram's sum. Otherwise 0. */
    uint64_t value;
    /* Out: the number of numbers in the value. At most `capacity` of them were written. */
    size_t length;
};

/* The main figures, all from one snapshot. They are bytes, unless the name says otherwise.
 *
 * total = objects + unused + free + released + stacks + metadata
 * alloc_objects - free_objects = live_objects
 */
struct crossfoot_snapshot {
    /* The bytes obtained from Linux and not given back, and those of them that are not released. */
    uint64_t total;
    uint64_t ready;
    /* Live objects; memory of spans that no live object uses; free pages with memory, and without. */
    uint64_t objects;
    uint64_t unused;
    uint64_t free;
    uint64_t released;
    /* Stacks; the allocator's own records. */
    uint64_t stacks;
    uint64_t metadata;
    /* The number of live objects, and of those that are in transit to the owner of their span. */
    uint64_t live_objects;
    uint64_t objects_in_transit;
    /* Since the start of the process. */
    uint64_t alloc_objects;
    uint64_t alloc_bytes;
    uint64_t free_objects;
    uint64_t free_bytes;
    /* The age of the snapshot. 0 unless it is stale. */
    uint64_t age_nanoseconds;
};

/* Returns the number of metrics. */
size_t crossfoot_metrics_count(void) CROSSFOOT_METRICS_NOEXCEPT;

/* Describes a metric, given by its index in the list of all metrics, which is sorted by name. Returns 0. Returns -1
 * without writing anything if there is no such metric. */
int crossfoot_metric_describe(size_t metric, struct crossfoot_metric *out) CROSSFOOT_METRICS_NOEXCEPT;

/* Writes the label of an element of a vector, as "size=\"64\"", with its null byte to the `size` bytes at `out`. A
 * label that does not fit is cut. Returns its whole length without the null byte, and 0 if there is no such element. */
size_t crossfoot_metric_label(size_t metric, size_t element, char *out, size_t size) CROSSFOOT_METRICS_NOEXCEPT;

/* Reads `count` samples by their names, all from one snapshot. Computes nothing else. Returns an enum
 * crossfoot_answer. */
int crossfoot_metrics_read(struct crossfoot_sample *samples, size_t count) CROSSFOOT_METRICS_NOEXCEPT;

/* Reads the main figures. `size` is sizeof *out: fields beyond it are not written. Returns an enum crossfoot_answer. */
int crossfoot_snapshot_read(struct crossfoot_snapshot *out, size_t size) CROSSFOOT_METRICS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
