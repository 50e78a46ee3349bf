/* Crossfoot, a memory allocator whose books always balance: functions that the C library's headers do not declare.
 *
 * malloc, free and the other functions of <stdlib.h> and <malloc.h> are declared there. Sizes are in bytes. A function
 * that succeeds leaves errno unchanged; some set it when they fail. Any function that frees takes any object, except
 * objects of isolated heaps. See crossfoot(3). docs/c-surface.md lists every exported function.
 */

#ifndef CROSSFOOT_H
#define CROSSFOOT_H

#include <stddef.h>

/* The audit of resident memory, isolated heaps, metrics. */
#include "crossfoot-audit.h"
#include "crossfoot-heap.h"
#include "crossfoot-metrics.h"

#ifdef __cplusplus
#if __cplusplus >= 201103L
#define CROSSFOOT_NOEXCEPT noexcept
#else
#define CROSSFOOT_NOEXCEPT throw()
#endif
extern "C" {
#else
#define CROSSFOOT_NOEXCEPT
#endif

/* Crossfoot */

/* Returns the version, for instance "0.1.0". The text lives as long as the process. */
const char *crossfoot_version(void) CROSSFOOT_NOEXCEPT;

/* Checks every identity of the statistics. Returns 1 if all hold. Otherwise returns 0, and prints a line to standard
 * error for each that fails. Takes locks of the allocator: not for signal handlers. */
int crossfoot_balanced(void) CROSSFOOT_NOEXCEPT;

/* Retires the calling thread's cache, with the free memory in it. Only for threads that exit unnoticed by the C
 * library, such as those of a raw clone. Must be the thread's last call: if it allocates or frees afterwards, it gets
 * another cache. Objects stay allocated. */
void crossfoot_retire_thread(void) CROSSFOOT_NOEXCEPT;

/* Claims the exit report of the process `pid`. For Crossfoot's own use, if a process has several Crossfoot allocators.
 * Returns 1, or 0 if another one has claimed it. */
int crossfoot_claim_report(int pid) CROSSFOOT_NOEXCEPT;

/* C23. C libraries may not declare these yet. */

/* Frees an object of malloc, calloc or realloc that was allocated with `size`. */
void free_sized(void *p, size_t size) CROSSFOOT_NOEXCEPT;

/* Frees an object of aligned_alloc that was allocated with `alignment` and `size`. */
void free_aligned_sized(void *p, size_t alignment, size_t size) CROSSFOOT_NOEXCEPT;

/* macOS */

/* Returns the number of usable bytes of the object, and 0 for null. */
size_t malloc_size(const void *p) CROSSFOOT_NOEXCEPT;

/* Returns the number of usable bytes that an object of `size` bytes would have. Returns `size` if no object can have
 * that size. */
size_t malloc_good_size(size_t size) CROSSFOOT_NOEXCEPT;

/* jemalloc. None of these changes errno. Flags that choose a thread cache or an arena are accepted without effect. */

#ifndef MALLOCX_LG_ALIGN
#define MALLOCX_LG_ALIGN(lg) ((int)(lg))
#define MALLOCX_ALIGN(alignment) ((int)__builtin_ctzl(alignment))
#define MALLOCX_ZERO ((int)0x40)
#endif

/* Allocates `size` bytes. Returns null without memory. */
void *mallocx(size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* Resizes the object at `p`, which must not be null, to `size` bytes. It may move. Returns null without memory; then
 * the object is unchanged. */
void *rallocx(void *p, size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* Returns the number of usable bytes of the object at `p`. Crossfoot never resizes it in place. */
size_t xallocx(void *p, size_t size, size_t extra, int flags) CROSSFOOT_NOEXCEPT;

/* Returns the number of usable bytes of the object at `p`. */
size_t sallocx(const void *p, int flags) CROSSFOOT_NOEXCEPT;

/* Free an object. The second takes the requested size and alignment. */
void dallocx(void *p, int flags) CROSSFOOT_NOEXCEPT;
void sdallocx(void *p, size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* Returns the number of usable bytes that an object of `size` bytes would have. Returns 0 if no object can have that
 * size. */
size_t nallocx(size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* NetBSD */

/* Resizes the object at `*p`, where `p` is the address of a pointer that may be null, to `count * size` bytes. Frees
 * it if the product is 0. Returns 0, or ENOMEM or EOVERFLOW; then `*p` is unchanged. Leaves errno unchanged. */
int reallocarr(void *p, size_t count, size_t size) CROSSFOOT_NOEXCEPT;

/* OpenBSD */

/* Zeroes the first `size` bytes of the object, which must have that many, and frees it. */
void freezero(void *p, size_t size) CROSSFOOT_NOEXCEPT;

/* Resizes an object of `old_count * size` bytes to `count * size` bytes. New bytes are zero, and the freed object is
 * zeroed. Returns null with errno ENOMEM without memory or if the new product overflows, and with errno EINVAL if the
 * old product overflows or exceeds the object. Then the object is unchanged. */
void *recallocarray(void *p, size_t old_count, size_t count, size_t size) CROSSFOOT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
