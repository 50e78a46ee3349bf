/* Crossfoot, a memory allocator whose books always balance: what it has beyond the headers of the C library.
 *
 * malloc, free and the other functions of <stdlib.h> and <malloc.h> need no declaration from here. Sizes are bytes.
 * No function changes errno when it succeeds; what some do when they fail stands beside them. Any object may be freed
 * by any function. See crossfoot(3), and docs/c-surface.md for every function that is exported.
 */

#ifndef CROSSFOOT_H
#define CROSSFOOT_H

#include <stddef.h>

/* Isolated heaps. */
#include "crossfoot-audit.h"
#include "crossfoot-heap.h"

/* Metrics. */
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

/* Crossfoot's own. */

/* The version, for instance "0.1.0". The text lives as long as the process. */
const char *crossfoot_version(void) CROSSFOOT_NOEXCEPT;

/* Checks every identity of the books. 1: all hold. 0: not, and each that fails is a line on standard error. Takes
 * locks of the allocator, and needs 40 KiB of stack; not for signal handlers. */
int crossfoot_balanced(void) CROSSFOOT_NOEXCEPT;

/* Gives the calling thread's cache back, with the free memory in it. Only for threads of which the C library does not
 * tell when they end, such as those of a raw clone: called last, since a thread that allocates or frees afterwards
 * gets another cache. Objects stay what they are. */
void crossfoot_retire_thread(void) CROSSFOOT_NOEXCEPT;

/* For Crossfoot's own use: says which of several allocators in the process `pid` writes the exit report. 1: the caller
 * does. 0: another one has claimed it. */
int crossfoot_claim_report(int pid) CROSSFOOT_NOEXCEPT;

/* C23, which C libraries may not declare yet. */

/* Frees an object of malloc, calloc or realloc that was asked for with `size`. */
void free_sized(void *p, size_t size) CROSSFOOT_NOEXCEPT;

/* Frees an object of aligned_alloc that was asked for with `alignment` and `size`. */
void free_aligned_sized(void *p, size_t alignment, size_t size) CROSSFOOT_NOEXCEPT;

/* macOS */

/* How many bytes the object has, all of which may be used; 0 for null. */
size_t malloc_size(const void *p) CROSSFOOT_NOEXCEPT;

/* How many bytes an object of `size` bytes would have; `size` where there can be none. */
size_t malloc_good_size(size_t size) CROSSFOOT_NOEXCEPT;

/* jemalloc. None of these changes errno. Flags that name a thread cache or an arena are accepted and make no
 * difference. */

#ifndef MALLOCX_LG_ALIGN
#define MALLOCX_LG_ALIGN(lg) ((int)(lg))
#define MALLOCX_ALIGN(alignment) ((int)__builtin_ctzl(alignment))
#define MALLOCX_ZERO ((int)0x40)
#endif

/* An object of `size` bytes; null without memory. */
void *mallocx(size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* The object at `p`, which must not be null, with `size` bytes; it may move. Null without memory, and it is as it
 * was. */
void *rallocx(void *p, size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* How many bytes the object at `p` has. Crossfoot never resizes it in place. */
size_t xallocx(void *p, size_t size, size_t extra, int flags) CROSSFOOT_NOEXCEPT;

/* How many bytes the object at `p` has. */
size_t sallocx(const void *p, int flags) CROSSFOOT_NOEXCEPT;

/* Frees. The second takes the size and the alignment that were asked for. */
void dallocx(void *p, int flags) CROSSFOOT_NOEXCEPT;
void sdallocx(void *p, size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* How many bytes an object of `size` bytes would have; 0 where there can be none. */
size_t nallocx(size_t size, int flags) CROSSFOOT_NOEXCEPT;

/* NetBSD */

/* Resizes the object at `*p`, where `p` is the address of a pointer that may be null, to `count * size` bytes, and
 * frees it where these are none. 0, or ENOMEM or EOVERFLOW, and `*p` is as it was; errno is left alone. */
int reallocarr(void *p, size_t count, size_t size) CROSSFOOT_NOEXCEPT;

/* OpenBSD */

/* Writes zeros over the first `size` bytes of the object, which must have them, and frees it. */
void freezero(void *p, size_t size) CROSSFOOT_NOEXCEPT;

/* Resizes an object of `old_count * size` bytes to `count * size` bytes. What comes is zero, what goes is overwritten.
 * Null without memory or where the new product overflows (errno ENOMEM), or where the old one is wrong (EINVAL); the
 * object is as it was. */
void *recallocarray(void *p, size_t old_count, size_t count, size_t size) CROSSFOOT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
