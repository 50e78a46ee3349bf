/*
 * Isolated heaps of Crossfoot.
 *
 * A heap is an allocator beside the process's own, in one range of addresses, with statistics of its own. Its objects
 * share no page with anything else. When it is destroyed, all its memory goes back to Linux at once, including objects
 * that are still allocated.
 *
 * Sizes and alignments are in bytes. Any thread may use any heap at any time; a heap has one lock, which each call
 * takes. A signal handler must not use a heap: if it has interrupted a call on the same heap, the process ends by
 * SIGABRT after one line on standard error. After fork() the child has a copy of every heap, and may use it.
 *
 * An object belongs to the heap that it was allocated from. It must be freed there, neither by free() nor in another
 * heap. Such a mistake is detected: the process ends by SIGABRT after one line on standard error.
 */
#ifndef CROSSFOOT_HEAP_H
#define CROSSFOOT_HEAP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A heap, as an opaque type. */
typedef struct crossfoot_heap crossfoot_heap_t;

/*
 * Creates a heap. Its objects may take up to 64 GiB. Under a limit on address space (RLIMIT_AS) the bound is a
 * sixteenth of the limit, or less if less is left. Most of the address space needs no memory until it is used.
 *
 * Returns NULL with errno ENOMEM without memory or address space.
 */
crossfoot_heap_t *crossfoot_heap_new(void);

/*
 * Creates a heap as crossfoot_heap_new does, with a limit: its objects take at most `bytes` bytes of pages, rounded up
 * to 4 MiB. An allocation that does not fit fails. The heap's own records are not counted.
 */
crossfoot_heap_t *crossfoot_heap_new_limited(size_t bytes);

/*
 * Destroys a heap and frees everything in it. Neither the heap nor its objects may be used afterwards. Takes time in
 * proportion to the memory that was touched, not to the number of objects. Never fails. NULL is a no-op.
 */
void crossfoot_heap_destroy(crossfoot_heap_t *heap);

/*
 * Allocates `size` bytes, aligned to 16. A request of zero bytes gets an object with an address of its own.
 *
 * Returns NULL with errno ENOMEM without memory.
 */
void *crossfoot_heap_malloc(crossfoot_heap_t *heap, size_t size);

/*
 * Allocates count * size zero bytes, aligned to 16.
 *
 * Returns NULL with errno ENOMEM without memory, and if the product overflows.
 */
void *crossfoot_heap_calloc(crossfoot_heap_t *heap, size_t count, size_t size);

/*
 * Resizes an object of this heap, which may move. Keeps the content up to the smaller size. Allocates if `object` is
 * NULL. Frees the object if `size` is 0, and returns NULL with errno unchanged.
 *
 * Returns NULL with errno ENOMEM without memory; then the object is unchanged.
 */
void *crossfoot_heap_realloc(crossfoot_heap_t *heap, void *object, size_t size);

/*
 * Allocates `size` bytes, aligned to `align`, a power of two of at most 1 GiB.
 *
 * Returns NULL with errno EINVAL if `align` is no power of two, and with errno ENOMEM without memory or if `align` is
 * above 1 GiB.
 */
void *crossfoot_heap_aligned_alloc(crossfoot_heap_t *heap, size_t align, size_t size);

/* Frees an object of this heap. NULL is a no-op. */
void crossfoot_heap_free(crossfoot_heap_t *heap, void *object);

/* Returns the usable bytes of an object of this heap: at least its requested size. Returns 0 for NULL. */
size_t crossfoot_heap_usable_size(crossfoot_heap_t *heap, void *object);

#ifdef __cplusplus
}
#endif

#endif
