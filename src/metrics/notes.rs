//! The notes and identities that docs/metrics.md has beside the table. A program that does not use them does not
//! contain them.

/// Identities that hold in every reading with a complete snapshot, as sums of metrics. `Σ` before a name: the sum of a
/// vector's numbers or of a histogram's counts. `∫`: the sum of a histogram's values.
pub const IDENTITIES: &[&str] = &[
    "/memory/classes/total:bytes = /memory/classes/heap/free:bytes + /memory/classes/heap/objects:bytes + /memory/classes/heap/released:bytes + /memory/classes/heap/stacks:bytes + /memory/classes/heap/unused:bytes + /memory/classes/metadata/ledger:bytes + /memory/classes/metadata/mcache/free:bytes + /memory/classes/metadata/mcache/inuse:bytes + /memory/classes/metadata/mspan/free:bytes + /memory/classes/metadata/mspan/inuse:bytes + /memory/classes/metadata/other:bytes",
    "/memory/classes/total:bytes = /memory/ready:bytes + /memory/classes/heap/released:bytes",
    "/gc/heap/allocs:objects = /gc/heap/frees:objects + /gc/heap/objects:objects",
    "/gc/heap/allocs:bytes = /gc/heap/frees:bytes + /memory/classes/heap/objects:bytes",
    "/gc/heap/allocs:objects = Σ/gc/heap/allocs-by-size:bytes",
    "/gc/heap/allocs:bytes = ∫/gc/heap/allocs-by-size:bytes",
    "/gc/heap/frees:objects = Σ/gc/heap/frees-by-size:bytes",
    "/gc/heap/frees:bytes = ∫/gc/heap/frees-by-size:bytes",
    "/gc/heap/objects:objects = Σ/heap/live-by-size:objects + /heap/large/live:objects",
    "/heap/large/allocs:objects = /heap/large/frees:objects + /heap/large/live:objects",
    "/heap/in-transit:objects = Σ/heap/in-transit-by-size:objects",
    "/memory/classes/heap/unused:bytes = Σ/heap/unused-by-size:bytes",
    "/memory/classes/heap/objects:bytes + /memory/classes/heap/unused:bytes = Σ/heap/spans-by-size:bytes + /heap/large/live:bytes",
    "/cache/made:caches = /cache/inuse:caches + /cache/idle:caches",
    "/lock/contended:acquisitions = Σ/lock/contended-by-rank:acquisitions",
    "/lock/wait:nanoseconds = Σ/lock/wait-by-rank:nanoseconds",
    "/gc/heap/objects:objects ≥ /heap/in-transit:objects",
    "/memory/classes/heap/objects:bytes ≥ /heap/in-transit:bytes",
    "/memory/peak/ready:bytes ≥ /memory/ready:bytes",
    "/memory/peak/total:bytes ≥ /memory/classes/total:bytes",
    "Σ/system-calls/made:calls ≥ Σ/system-calls/failed:calls",
];

/// A note for every metric, in the order of the table.
pub const NOTES: &[(&str, &str)] = &[
    ("/cache/idle:caches", "A new thread takes one of them at its first allocation. An idle cache owns no span."),
    (
        "/cache/inuse:caches",
        "The number of threads that have allocated and not exited. It includes the caches of threads whose exit the allocator did not see, and in the child of a fork those of threads that the child does not have.",
    ),
    (
        "/cache/made:caches",
        "The maximum number of threads that were alive at the same time. The vacant slots in spans of caches are not known separately from those in other spans: a thread that takes an object records nothing but a count.",
    ),
    (
        "/gc/heap/allocs-by-size:bytes",
        "A bound is the size of a class, so a group has the objects of one class; the last group has the large objects, above 32 KiB. The sum is in rounded sizes. Go's metric has no group for large objects, and excludes tiny objects, which do not exist here.",
    ),
    (
        "/gc/heap/allocs:bytes",
        "In rounded sizes, not in those asked for: `crossfoot classes` lists them. A large object that grows in place adds the bytes of its growth, and no object. Every allocation is counted at once.",
    ),
    (
        "/gc/heap/allocs:objects",
        "A `realloc` that moves is an allocation and a free; one that stays in place is neither.",
    ),
    ("/gc/heap/frees-by-size:bytes", "As for allocations. The difference of the two is the live objects, by size."),
    (
        "/gc/heap/frees:bytes",
        "An object freed by another thread is counted when it returns to its span; until then it is in transit.",
    ),
    ("/gc/heap/frees:objects", "Counted late: the frees of a span are posted when a slow path next visits the span."),
    ("/gc/heap/objects:objects", "Everything allocated and not yet counted as freed."),
    (
        "/heap/chunks/taken:pages",
        "The distribution of used pages over the chunks of the heap. A page is taken if it is in a span, if it is a local page of a cache (each has up to 64), or while it is given back. Every chunk is visited, 256 at a time under the page heap's lock, so the cost of this metric, and of no other, grows with the heap. Read it less often on a heap of many GiB. A chunk of the first group may have memory that was not given back yet.",
    ),
    (
        "/heap/free-by-size:objects",
        "Slots of freed objects, and slots never used. A class with many free slots and few live objects is fragmented: a few objects keep whole spans.",
    ),
    ("/heap/in-transit-by-size:objects", "A part of the live objects of the class."),
    (
        "/heap/in-transit:bytes",
        "In the sizes of their classes. They are a part of `/memory/classes/heap/objects:bytes`; the rest of it is live.",
    ),
    (
        "/heap/in-transit:objects",
        "The thread that owns their span receives them in its slow paths, or when it exits. If the number stays high, owners sleep.",
    ),
    ("/heap/large/allocs:objects", "Objects above 32 KiB, which have whole pages of their own."),
    ("/heap/large/frees:objects", "A large object is freed at once by any thread: none is ever in transit."),
    ("/heap/large/live:bytes", "In whole pages of 8 KiB."),
    ("/heap/large/live:objects", "The rest of the live objects is in `/heap/live-by-size:objects`."),
    ("/heap/live-by-size:objects", "A label is the size of the class: the maximum size of its objects."),
    (
        "/heap/spans-by-size:bytes",
        "The memory that the class has from the page heap: live objects, free slots, and the end of each span, where no object fits.",
    ),
    ("/heap/spans:spans", "Spans of small objects, each large object, and spans in manual use."),
    (
        "/heap/unused-by-size:bytes",
        "Fragmentation in bytes: free slots, and the ends of spans. Excludes objects in transit.",
    ),
    (
        "/lock/contended-by-rank:acquisitions",
        "docs/locks.md lists the ranks. `Central` has a lock for each class, all in one figure. Ranks without a lock in the process are left out.",
    ),
    ("/lock/contended:acquisitions", "The number of times that a thread had to wait for any lock of the allocator."),
    ("/lock/wait-by-rank:nanoseconds", "In real time: a thread that is preempted while it waits counts as waiting."),
    (
        "/lock/wait:nanoseconds",
        "In seconds in OpenMetrics. Go's `/sync/mutex/wait/total:seconds` is about the program's locks instead.",
    ),
    (
        "/memory/classes/heap/free:bytes",
        "`malloc_trim` gives these pages back, except the local pages of other threads' caches.",
    ),
    ("/memory/classes/heap/objects:bytes", "The program's objects, in rounded sizes."),
    ("/memory/classes/heap/released:bytes", "This is address space only. The heap grows by 4 MiB at a time."),
    ("/memory/classes/heap/stacks:bytes", "Only stacks made by the allocator itself."),
    ("/memory/classes/heap/unused:bytes", "The cost of rounding up to spans: free slots, and the ends of spans."),
    (
        "/memory/classes/metadata/ledger:bytes",
        "Shared memory of 64 KiB, which `crossfoot stat` reads, and 4 KiB of control words. Most of it is never touched. The name is that of an earlier version, in which the page was called the ledger page.",
    ),
    ("/memory/classes/metadata/mcache/free:bytes", "The rest of the last mapping obtained for caches."),
    (
        "/memory/classes/metadata/mcache/inuse:bytes",
        "The caches' own records. The free objects and pages that they hold are in `unused` and `free`. Much of a record is never touched.",
    ),
    ("/memory/classes/metadata/mspan/free:bytes", "Records of former spans, for the next ones."),
    ("/memory/classes/metadata/mspan/inuse:bytes", "One for each span."),
    (
        "/memory/classes/metadata/other:bytes",
        "The page allocator's tables, as far as they are committed. The page map is in no account, because nearly all of it is never touched.",
    ),
    (
        "/memory/classes/total:bytes",
        "The sum of all accounts. It can decrease, as memory of records is given back. Isolated heaps are not included: they have accounts of their own.",
    ),
    (
        "/memory/peak/ready:bytes",
        "Exact: updated at every growth. Bytes in use have no peak, because threads take local pages and objects without a shared counter.",
    ),
    (
        "/memory/peak/total:bytes",
        "Exact in the same way. Neither peak is ever reset. The child of a fork starts with its parent's.",
    ),
    ("/memory/ready:bytes", "Close to the physical memory of the heap, which is less if pages were never touched."),
    (
        "/os/age:nanoseconds",
        "Reading metrics does not read them from the OS. They are from the last audit, and absent before the first.",
    ),
    ("/os/cgroup/current:bytes", "Absent without a control group with a memory controller."),
    ("/os/cgroup/limit:bytes", "Absent without a limit."),
    ("/os/huge:bytes", "`AnonHugePages`."),
    (
        "/os/lazily-freed:bytes",
        "`LazyFree`. It is part of Rss until Linux needs the memory. Crossfoot frees nothing lazily; a program may.",
    ),
    ("/os/mappings:mappings", "Linux allows 65,530 by default (`vm.max_map_count`)."),
    ("/os/pss:bytes", "`Pss`."),
    ("/os/rss:bytes", "`Rss` of the whole process, with its code, libraries and stacks."),
    ("/os/swapped:bytes", "`Swap`."),
    ("/process/id:pid", "Distinguishes the figures of several processes."),
    (
        "/stats/age:nanoseconds",
        "Above 0 if another reader was stopped in the middle or the OS refused a fence, and the last complete snapshot was returned instead. In a reading copied from another process, the time since it was taken.",
    ),
    ("/stats/stale:reads", "The number of those cases, over all readers."),
    (
        "/system-calls/failed:calls",
        "Some failures are intended: before the pages of a large object are moved, an `mremap` that must fail shows by its error whether they can be moved.",
    ),
    (
        "/system-calls/made:calls",
        "Those of the whole process, including its isolated heaps. A snapshot makes one `membarrier`. Not counted: files read at the start, the clock, and writing a report. Absent for an isolated heap, and in an environment without these calls.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::TABLE;
    use super::*;

    #[test]
    fn every_metric_has_its_note() {
        let (names, notes): (std::vec::Vec<_>, std::vec::Vec<_>) =
            (TABLE.iter().map(|metric| metric.name()).collect(), NOTES.iter().map(|&(name, _)| name).collect());
        assert_eq!(names, notes);
        assert!(NOTES.iter().all(|(_, note)| note.ends_with('.') && !note.contains('|')));
    }
}
