/* Crossfoot, a memory allocator whose books always balance: why each byte of this process is in memory.
 *
 * Any thread may call this at any time, but no signal handler. It reads files under /proc/thread-self, allocates
 * nothing, does not change errno, and takes time in proportion to the heap. `crossfoot audit PID` does the same for
 * another process.
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

/* Why bytes of the allocator's mappings are there. The texts live as long as the process. */
struct crossfoot_cause {
    const char *name;
    /* Bytes of address space, and of those, how many are in memory. */
    uint64_t bytes;
    uint64_t resident;
};

/* What an audit found. Bytes, but for `mappings`, `looks` and `causes`. */
struct crossfoot_audit {
    /* In memory of the allocator's mappings, says the system; the sum of all causes; and the difference. */
    uint64_t resident;
    uint64_t explained;
    int64_t unexplained;
    /* How far the process moved at least while it was looked at, and how often that was. With 0, nothing is unexplained, except
     * where the system cannot say which pages are its page of zeros (Linux before 6.7): they make it negative. */
    uint64_t moved;
    uint64_t looks;
    /* In memory, and not the allocator's. */
    uint64_t files;
    uint64_t brk;
    uint64_t stack;
    uint64_t anonymous;
    uint64_t other;
    /* The process: in memory, the same with shared pages divided, in huge pages, freed lazily, in swap; mappings. */
    uint64_t process_resident;
    uint64_t process_proportional;
    uint64_t huge_pages;
    uint64_t lazily_freed;
    uint64_t swapped;
    uint64_t mappings;
    /* Charged to the control group, and the tightest limit of it and those above; UINT64_MAX: there is none. */
    uint64_t cgroup_current;
    uint64_t cgroup_limit;
    /* 1: the accounts agree with a walk over every page. */
    uint64_t balanced;
    /* How many causes there are. */
    uint64_t causes;
};

/* Audits this process. `size` is sizeof *out: what a program was not compiled for is not written, and what this version
 * does not know is zero. Up to `capacity` causes are written to `causes`. 0, or an error number, and then nothing is
 * written: ENOSYS where the process has no ledger page, ENOENT where there
 * is no /proc. */
int crossfoot_audit(struct crossfoot_audit *out, size_t size, struct crossfoot_cause *causes,
                    size_t capacity) CROSSFOOT_AUDIT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
