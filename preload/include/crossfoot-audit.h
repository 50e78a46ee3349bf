/* Crossfoot, a memory allocator whose books always balance: the cause of each resident byte of this process.
 *
 * Any thread may call this at any time, but no signal handler. The function reads files under /proc/thread-self,
 * allocates nothing, does not change errno, and takes time in proportion to the heap. `crossfoot audit PID` does the
 * same for another process.
 */

#ifndef CROSSFOOT_AUDIT_H
#define CROSSFOOT_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#if __cplusplus >= 201103L
#define CROSSFOOT_AUDIT_NOEXCEPT noexcept
#else
#define CROSSFOOT_AUDIT_NOEXCEPT throw()
#endif
extern "C" {
#else
#define CROSSFOOT_AUDIT_NOEXCEPT
#endif

/* A cause of bytes in the allocator's mappings. The text lives as long as the process. */
struct crossfoot_cause {
    const char *name;
    /* The bytes of address space, and the resident ones of them. */
    uint64_t bytes;
    uint64_t resident;
};

/* The result of an audit. Fields are bytes, except `looks`, `mappings`, `balanced` and `causes`. */
struct crossfoot_audit {
    /* The resident bytes of the allocator's mappings as Linux counts them, the sum of all causes, and the difference:
     * unexplained = resident - explained. */
    uint64_t resident;
    uint64_t explained;
    int64_t unexplained;
    /* The bytes that the process at least changed during the audit, and the number of passes. If `moved` is 0,
     * `unexplained` is 0 too. Linux before 6.7 is an exception: it does not tell apart pages that were read and never
     * written, which make `unexplained` negative. */
    uint64_t moved;
    uint64_t looks;
    /* Resident bytes that are not the allocator's. */
    uint64_t files;
    uint64_t brk;
    uint64_t stack;
    uint64_t anonymous;
    uint64_t other;
    /* The whole process: resident bytes, the same with shared pages divided by their users, bytes in huge pages, freed
     * lazily, and in swap; the number of mappings. */
    uint64_t process_resident;
    uint64_t process_proportional;
    uint64_t huge_pages;
    uint64_t lazily_freed;
    uint64_t swapped;
    uint64_t mappings;
    /* The bytes charged to the control group, and the lowest limit of it and of the groups above it. UINT64_MAX if
     * there is none. */
    uint64_t cgroup_current;
    uint64_t cgroup_limit;
    /* 1 if the accounts agree with a walk over every page, else 0. */
    uint64_t balanced;
    /* The number of causes. */
    uint64_t causes;
};

/* Audits this process. `size` is sizeof *out: fields beyond it are not written, and fields that this version of the
 * library does not know are zero. Writes up to `capacity` causes to `causes`. Returns 0, or an error number without
 * writing anything: ENOSYS if the process has no stats page, ENOENT if there is no /proc. */
int crossfoot_audit(struct crossfoot_audit *out, size_t size, struct crossfoot_cause *causes,
                    size_t capacity) CROSSFOOT_AUDIT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
