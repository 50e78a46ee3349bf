/*
 * Isolated heaps of Crossfoot.
 *
 * A heap is an allocator beside the process's own, in one range of addresses, with books of its own. Its objects share
 * no page with anything else. When it is destroyed, everything that it took from the system goes back at once, whatever
 * is still allocated in it.
 *
 * Sizes and alignments are in bytes. Any thread may use any heap at any time; calls on one heap wait for each other.
 * A signal handler may not use a heap: one that interrupts a call on it would wait for ever.
 * After fork() the child has a copy of every heap, and may use it whatever other threads were doing.
 *
 * An object belongs to the heap that it came from: it is freed there, and neither by free() nor in another heap. Such
 * a mistake is seen, and ends the process by SIGABRT after one line on standard error.
 */
#ifndef CROSSFOOT_HEAP_H
#define CROSSFOOT_HEAP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A heap. Never looked into. */
typedef struct crossfoot_heap crossfoot_heap_t;

/*
 * A new heap. Its objects may take up to 64 GiB; under a limit on address space (RLIMIT_AS), a sixteenth of that, and
 * less where no more is left. It takes address space, of which the most costs no memory before it is used.
 *
 * NULL with errno ENOMEM: no memory, or no address space.
 */
crossfoot_heap_t *crossfoot_heap_new(void);

/*
 * As crossfoot_heap_new, but its objects together take at most so many bytes of pages, rounded up to 4 MiB: an
 * allocation that does not fit is refused. What the heap needs for itself is not counted.
 */
crossfoot_heap_t *crossfoot_heap_new_limited(size_t bytes);

/*
 * Ends a heap and frees everything in it. Nobody may use the heap or anything in it any more. Takes time in proportion
 * to the memory that was touched, not to the number of objects. Fails never; NULL is no heap, and nothing happens.
 */
void crossfoot_heap_destroy(crossfoot_heap_t *heap);

/*
 * So many bytes, aligned to 16. Zero bytes are an object too, with an address of its own.
 *
 * NULL with errno ENOMEM: no memory.
 */
void *crossfoot_heap_malloc(crossfoot_heap_t *heap, size_t size);

/*
 * count * size bytes that are zero, aligned to 16.
 *
 * NULL with errno ENOMEM: no memory, or the product does not fit a size_t.
 */
void *crossfoot_heap_calloc(crossfoot_heap_t *heap, size_t count, size_t size);

/*
 * Changes the size of an object of this heap; it may move. Its content stays, as far as both sizes reach. Where object
 * is NULL, a new one. Where size is 0, the object is freed and the answer is NULL, with errno as it was.
 *
 * NULL with errno ENOMEM: no memory, and the object is as it was.
 */
void *crossfoot_heap_realloc(crossfoot_heap_t *heap, void *object, size_t size);

/*
 * So many bytes, aligned to align, a power of two of at most 1 GiB.
 *
 * NULL with errno EINVAL: align is no power of two. NULL with errno ENOMEM: no memory, or it is above 1 GiB.
 */
void *crossfoot_heap_aligned_alloc(crossfoot_heap_t *heap, size_t align, size_t size);

/* Frees an object of this heap. NULL is no object, and nothing happens. */
void crossfoot_heap_free(crossfoot_heap_t *heap, void *object);

/* How many bytes of an object of this heap may be used: at least as many as it was asked for with. NULL has 0. */
size_t crossfoot_heap_usable_size(crossfoot_heap_t *heap, void *object);

#ifdef __cplusplus
}
#endif

#endif
