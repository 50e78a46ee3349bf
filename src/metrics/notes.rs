//! What docs/metrics.md says beside the table: a note for every metric, and the identities. Nothing of it is in a program
//! that does not ask for it.

/// What must be true of every reading with a complete snapshot, as sums of metrics. `Σ` before a name: all numbers of a
/// vector, or all counts of a histogram; `∫`: the sum that a histogram has.
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
    (
        "/cache/idle:caches",
        "The next thread that allocates for the first time takes one of them. An idle cache owns no span.",
    ),
    (
        "/cache/inuse:caches",
        "As many as threads that have allocated and have not ended. After a fork, the caches of threads that the child does not have stay among them, and those of threads that did not say that they end.",
    ),
    (
        "/cache/made:caches",
        "As many as threads were alive together at some time. How many bytes vacant places in caches' spans have is not known apart from those of other spans: a thread says nothing when it takes an object.",
    ),
    (
        "/gc/heap/allocs-by-size:bytes",
        "A bound is the size of a class, so a group holds the objects of one class; the last one the large objects, above 32 KiB. The sum is in rounded sizes. Go's has no large objects apart, and leaves tiny ones out, of which there are none here.",
    ),
    (
        "/gc/heap/allocs:bytes",
        "In the sizes that objects really have, not those asked for: `crossfoot classes` lists them. A large object that grows in place adds the bytes it grows by, and no object. Allocations do not lag.",
    ),
    (
        "/gc/heap/allocs:objects",
        "A `realloc` that moves is an allocation and a free; one that stays in place is neither.",
    ),
    ("/gc/heap/frees-by-size:bytes", "As for allocations. The difference of the two is what is live, by size."),
    (
        "/gc/heap/frees:bytes",
        "An object that another thread freed is counted when it is home; until then it is in transit.",
    ),
    ("/gc/heap/frees:objects", "Lags, too: the frees of a span are posted when a slow path next looks at the span."),
    ("/gc/heap/objects:objects", "Everything allocated and not yet counted as freed."),
    (
        "/heap/chunks/taken:pages",
        "How well the heap is filled, chunk by chunk. A page is taken that is in a span, that a cache holds ready, up to 64 of each, or that is being given back. Every chunk is looked at, for 256 chunks at a time under the page heap's lock, so this is the one metric whose cost grows with the heap. Ask for it less often on a heap of many GiB. A chunk of the first group may have memory that was not given back yet.",
    ),
    (
        "/heap/free-by-size:objects",
        "Both objects that were freed and places that were never used. A class with many free places and few live objects is fragmented: a few objects keep whole spans.",
    ),
    ("/heap/in-transit-by-size:objects", "Of the live objects of the class."),
    (
        "/heap/in-transit:bytes",
        "In the sizes of their classes. They are part of `/memory/classes/heap/objects:bytes`; the rest of that is live.",
    ),
    (
        "/heap/in-transit:objects",
        "They come home in slow paths of the thread that owns their span, or when it ends. Many of them for long: their owner sleeps.",
    ),
    ("/heap/large/allocs:objects", "Objects above 32 KiB, which have whole pages of their own."),
    ("/heap/large/frees:objects", "Large objects are freed at once, by whoever frees them: none is ever in transit."),
    ("/heap/large/live:bytes", "In whole pages of 8 KiB."),
    ("/heap/large/live:objects", "The rest of the live objects is in `/heap/live-by-size:objects`."),
    (
        "/heap/live-by-size:objects",
        "A label is the size of the class: objects of more than the class below and at most so many bytes.",
    ),
    (
        "/heap/spans-by-size:bytes",
        "What the class takes from the page heap: live objects, free places, and what is too short for one more object at the end of each span.",
    ),
    ("/heap/spans:spans", "Spans of small objects, each large object, and spans in manual use."),
    (
        "/heap/unused-by-size:bytes",
        "Fragmentation in bytes: free places, and the ends of spans. Objects in transit are not in it.",
    ),
    (
        "/lock/contended-by-rank:acquisitions",
        "Ranks are in docs/locks.md; of `Central` there is a lock for each class, which are one figure. Only ranks that the process has a lock of are there.",
    ),
    ("/lock/contended:acquisitions", "How often a thread had to wait, for any lock of the allocator."),
    ("/lock/wait-by-rank:nanoseconds", "In real time: a thread that lost its CPU while it waited counts as waiting."),
    (
        "/lock/wait:nanoseconds",
        "In OpenMetrics it is in seconds, as Go's `/sync/mutex/wait/total:seconds`, which is of the program's locks.",
    ),
    ("/memory/classes/heap/free:bytes", "What `malloc_trim` gives back. Pages that a cache holds ready are in it."),
    ("/memory/classes/heap/objects:bytes", "What the program has, in rounded sizes."),
    (
        "/memory/classes/heap/released:bytes",
        "Address space of the heap that was given back, or never used: the heap grows by 4 MiB at a time.",
    ),
    ("/memory/classes/heap/stacks:bytes", "None before there are stacks of the allocator's own."),
    ("/memory/classes/heap/unused:bytes", "What rounding up to spans costs."),
    (
        "/memory/classes/metadata/ledger:bytes",
        "Shared memory of 64 KiB, from which `crossfoot stat` reads, and 4 KiB of control words. Few of its pages are ever touched.",
    ),
    ("/memory/classes/metadata/mcache/free:bytes", "The rest of the last piece of memory that was taken for caches."),
    (
        "/memory/classes/metadata/mcache/inuse:bytes",
        "The records themselves, not what threads hold ready in them, which is in `unused` and `free`. Much of a record is never touched.",
    ),
    ("/memory/classes/metadata/mspan/free:bytes", "Records of spans that are no more, for the next ones."),
    ("/memory/classes/metadata/mspan/inuse:bytes", "One for each span."),
    (
        "/memory/classes/metadata/other:bytes",
        "The page allocator's tables, as far as they were opened. The page map is in no account, since nearly all of it is never touched.",
    ),
    (
        "/memory/classes/total:bytes",
        "The sum of all accounts. It can fall: isolated heaps have accounts of their own, and records are given back.",
    ),
    (
        "/memory/peak/ready:bytes",
        "Exact: compared at every growth, not only when somebody reads. Bytes in use have no such peak, since threads take pages and objects without telling anybody.",
    ),
    (
        "/memory/peak/total:bytes",
        "Exact in the same way. Neither is set back; the child of a fork begins with its parent's.",
    ),
    (
        "/memory/ready:bytes",
        "Close to what the process has of physical memory for the heap; less where pages were never touched.",
    ),
    (
        "/os/age:nanoseconds",
        "Reading metrics never asks the system. These figures come from the last audit; before the first, they are absent.",
    ),
    ("/os/cgroup/current:bytes", "Absent outside of a control group with a memory controller."),
    ("/os/cgroup/limit:bytes", "Absent without a limit."),
    ("/os/huge:bytes", "`AnonHugePages`."),
    (
        "/os/lazily-freed:bytes",
        "`LazyFree`: Rss has it, and the system takes it when it needs memory. Crossfoot frees nothing lazily; a program may.",
    ),
    ("/os/mappings:mappings", "Linux allows 65,530 by default (`vm.max_map_count`)."),
    ("/os/pss:bytes", "`Pss`."),
    ("/os/rss:bytes", "Of the whole process: also its code, libraries and stacks."),
    ("/os/swapped:bytes", "`Swap`."),
    ("/process/id:pid", "So that figures can be told apart that come from several processes."),
    (
        "/stats/age:nanoseconds",
        "Above 0 only where another reader was stopped in the middle, or the system refused a fence, and the last complete snapshot was given instead. Who is handed a reading later sees how long ago it was taken.",
    ),
    ("/stats/stale:reads", "How often that happened, whoever asked."),
    (
        "/system-calls/failed:calls",
        "Some fail on purpose: before pages of a large object are moved, `mremap` is asked in a way that is to fail, and the answer says whether they can be.",
    ),
    (
        "/system-calls/made:calls",
        "Of the process, those of its isolated heaps too. A snapshot takes one `membarrier`. Not counted: what is read at the start, the clock, and writing a report. Absent for an isolated heap and where the home has no such calls.",
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
