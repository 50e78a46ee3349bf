/* Crossfoot, a memory allocator whose books always balance: its metrics.
 *
 * docs/metrics.md explains every one. Any thread may call these functions at any time, but no signal handler. They
 * allocate nothing, do not change errno, and need 2 KiB of stack. Who reads waits for no thread that allocates; for
 * another reader of metrics as long as that one reads.
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

/* What kind of value a metric has, and a sample got. */
enum crossfoot_kind {
    /* No metric has the name. */
    CROSSFOOT_BAD = 0,
    /* Samples only: the value is not known. */
    CROSSFOOT_ABSENT = 1,
    /* One number. */
    CROSSFOOT_UINT64 = 2,
    /* A number for each label. */
    CROSSFOOT_VECTOR = 3,
    /* How many there are up to each bound, and their sum. */
    CROSSFOOT_HISTOGRAM = 4
};

/* What an answer holds. */
enum crossfoot_answer {
    /* There are no figures: nothing was allocated yet, or no snapshot could be taken. */
    CROSSFOOT_NOTHING = 0,
    /* Figures from an earlier snapshot, because another reader was stopped. */
    CROSSFOOT_STALE = 1,
    /* Figures of now. */
    CROSSFOOT_COMPLETE = 2
};

/* A metric. All texts and arrays live as long as the process. */
struct crossfoot_metric {
    /* "/path:unit", and the unit alone. */
    const char *name;
    const char *unit;
    /* What it says, in a sentence. */
    const char *help;
    /* An enum crossfoot_kind. */
    int kind;
    /* 1: it only grows, from the start of the process on. */
    int cumulative;
    /* How many numbers the value has: 1, the labels of a vector, the groups of a histogram. */
    size_t length;
    /* Histograms: the most of each group but the last, length - 1 of them. Otherwise null. */
    const uint64_t *bounds;
};

/* What is asked for, and what comes. */
struct crossfoot_sample {
    /* In: the metric's name. */
    const char *name;
    /* In, for a vector or a histogram: where its numbers go, and for how many there is room. */
    uint64_t *values;
    size_t capacity;
    /* Out: an enum crossfoot_kind. */
    int kind;
    /* Out: the number, or the sum of a histogram; otherwise 0. */
    uint64_t value;
    /* Out: how many numbers there are. Those for which there is room were written. */
    size_t length;
};

/* The main figures, all from one snapshot. Bytes, unless the name says otherwise.
 *
 * total = objects + unused + free + released + stacks + metadata
 * alloc_objects - free_objects = live_objects
 */
struct crossfoot_snapshot {
    /* Everything obtained from the system and not given back, and of that what is not released. */
    uint64_t total;
    uint64_t ready;
    /* Objects; memory of spans for objects that no object uses; free pages with memory, and without. */
    uint64_t objects;
    uint64_t unused;
    uint64_t free;
    uint64_t released;
    /* Stacks; the allocator's own records. */
    uint64_t stacks;
    uint64_t metadata;
    /* How many objects there are, and of those how many are on their way home. */
    uint64_t live_objects;
    uint64_t objects_in_transit;
    /* Since the start of the process. */
    uint64_t alloc_objects;
    uint64_t alloc_bytes;
    uint64_t free_objects;
    uint64_t free_bytes;
    /* How old the snapshot is, in nanoseconds; 0, but for a stale one. */
    uint64_t age_nanoseconds;
};

/* How many metrics there are. */
size_t crossfoot_metrics_count(void) CROSSFOOT_METRICS_NOEXCEPT;

/* Describes a metric, by its place in the sorted list of all. 0; -1 where there is none, and then nothing is
 * written. */
int crossfoot_metric_describe(size_t metric, struct crossfoot_metric *out) CROSSFOOT_METRICS_NOEXCEPT;

/* The label of an element of a vector, as "size=\"64\"", written to `out`, which has room for `size` bytes, with its
 * null. Returns its length, also where it did not fit and was cut; 0 where there is none. */
size_t crossfoot_metric_label(size_t metric, size_t element, char *out, size_t size) CROSSFOOT_METRICS_NOEXCEPT;

/* Reads `count` samples by their names, all from one snapshot, and nothing that none of them asks for. Returns an enum
 * crossfoot_answer. */
int crossfoot_metrics_read(struct crossfoot_sample *samples, size_t count) CROSSFOOT_METRICS_NOEXCEPT;

/* Reads the main figures. `size` is sizeof *out: what a program was not compiled for is not written. Returns an enum
 * crossfoot_answer. */
int crossfoot_snapshot_read(struct crossfoot_snapshot *out, size_t size) CROSSFOOT_METRICS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
