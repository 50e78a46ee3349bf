//! The table of metrics.

use super::reading::{Reading, WORDS};
use crate::account::{Account, ClassTotals, Total};
use crate::ledger::{Format, layout};
use crate::size_class::{CLASSES, Class};
use crate::span::Span;

/// A row of the table.
pub struct Metric {
    /// Its name, `/path:unit`.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// Its value.
    pub value: fn(&Reading) -> i64,
}

/// Vacant places, and what each span has behind its last place.
fn unused_bytes(c: &ClassTotals, class: Class) -> i64 {
    let spans = c.span_bytes / class.span_pages().bytes() as i64;
    c.vacant * class.size() as i64 + spans * class.tail() as i64
}

macro_rules! metrics {
    ($($name:literal, $help:literal, $value:expr;)+) => {
        /// Every metric, sorted by name.
        pub const TABLE: &[Metric] = &[$(Metric { name: $name, help: $help, value: $value }),+];
    };
}

metrics! {
    "/cache/made:caches", "Caches made since the start; threads that come later adopt them.",
        |r| r.caches as i64;
    "/gc/heap/allocs:bytes", "Cumulative bytes of objects allocated, by the size of their class or in whole pages.",
        |r| r.class_sum(|c, class| c.allocs as i64 * class.size() as i64) + r.snapshot.total(Total::LargeAllocBytes);
    "/gc/heap/allocs:objects", "Cumulative number of objects allocated.",
        |r| r.class_sum(|c, _| c.allocs as i64) + r.snapshot.total(Total::LargeAllocs);
    "/gc/heap/frees:bytes", "Cumulative bytes of objects freed, those in transit not yet counted.",
        |r| r.class_sum(|c, class| (c.frees + c.received) as i64 * class.size() as i64) + r.snapshot.total(Total::LargeFreeBytes);
    "/gc/heap/frees:objects", "Cumulative number of objects freed, those in transit not yet counted.",
        |r| r.class_sum(|c, _| (c.frees + c.received) as i64) + r.snapshot.total(Total::LargeFrees);
    "/gc/heap/objects:objects", "Objects that are live or in transit.",
        |r| r.class_sum(|c, _| c.live()) + r.snapshot.total(Total::LargeAllocs) - r.snapshot.total(Total::LargeFrees);
    "/heap/in-transit:objects", "Objects freed by a thread that does not own their span, and not home yet.",
        |r| r.class_sum(|c, _| c.in_transit());
    "/heap/large/allocs:objects", "Cumulative number of large objects allocated.",
        |r| r.snapshot.total(Total::LargeAllocs);
    "/heap/spans:spans", "Spans of every kind.",
        |r| r.snapshot.total(Total::SpanInUse) / size_of::<Span>() as i64;
    "/lock/contended:acquisitions", "Acquisitions of a lock that another thread held.",
        |r| r.contended as i64;
    "/lock/wait:nanoseconds", "Time that threads waited for locks.",
        |r| r.waited as i64;
    "/memory/classes/heap/free:bytes", "Free pages that are backed by physical memory.",
        |r| r.account(Account::HeapFree);
    "/memory/classes/heap/objects:bytes", "Bytes of objects that are live or in transit.",
        |r| r.snapshot.live_bytes();
    "/memory/classes/heap/released:bytes", "Free pages whose physical memory is with the system.",
        |r| r.account(Account::HeapReleased);
    "/memory/classes/heap/stacks:bytes", "Pages of spans that are stacks.",
        |r| r.account(Account::InStacks);
    "/memory/classes/heap/unused:bytes", "Bytes of spans for objects that no object uses.",
        |r| r.class_sum(unused_bytes);
    "/memory/classes/metadata/ledger:bytes", "The ledger page, which other processes may read.",
        |r| r.account(Account::LedgerSys);
    "/memory/classes/metadata/mcache/free:bytes", "Memory obtained for caches and not used by one.",
        |r| r.snapshot.total(Total::CacheFree);
    "/memory/classes/metadata/mcache/inuse:bytes", "Memory of caches.",
        |r| r.snapshot.total(Total::CacheInUse);
    "/memory/classes/metadata/mspan/free:bytes", "Memory obtained for span records and not used by one.",
        |r| r.snapshot.total(Total::SpanFree);
    "/memory/classes/metadata/mspan/inuse:bytes", "Memory of span records.",
        |r| r.snapshot.total(Total::SpanInUse);
    "/memory/classes/metadata/other:bytes", "Memory of page bitmaps, summaries, work buffers and object bitmaps.",
        |r| r.account(Account::OtherSys) + r.account(Account::InWorkBufs) + r.account(Account::InBitmaps);
    "/memory/classes/os-stacks:bytes", "Stacks that are no spans.",
        |r| r.account(Account::StacksSys);
    "/memory/classes/other:bytes", "Buffers of the tracer.",
        |r| r.account(Account::TraceSys);
    "/memory/classes/profiling/buckets:bytes", "Buckets of the profiler.",
        |r| r.account(Account::ProfileBucketsSys);
    "/memory/classes/total:bytes", "Everything obtained from the system and not given back.",
        |r| r.snapshot.total(Total::TotalMapped);
    "/memory/ready:bytes", "Of the total, what is in state Ready: all but released pages.",
        |r| r.snapshot.total(Total::MappedReady);
    "/process/id:pid", "The process that the figures are of.",
        |r| r.pid as i64;
    "/stats/stale:reads", "Snapshots that were answered with an earlier one.",
        |r| r.stale as i64;
}

/// What the words of a reading mean, for those who read them in another process: which metrics there are, and the size
/// classes.
pub const FORMAT: Format =
    Format { words: WORDS, hash: hash_of_all(), process: core::mem::offset_of!(Reading, pid) / size_of::<u64>() };

const fn hash_of_all() -> u64 {
    let mut hash = layout::hash(layout::HASH_START, env!("CARGO_PKG_VERSION").as_bytes());
    let mut i = 0;
    while i < TABLE.len() {
        hash = layout::hash(hash, TABLE[i].name.as_bytes());
        i += 1;
    }
    i = 0;
    while i < CLASSES {
        hash = layout::hash(hash, &Class::from_index(i).size().to_le_bytes());
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn names_are_sorted_and_well_formed() {
        assert!(TABLE.windows(2).all(|w| w[0].name < w[1].name));
        for metric in TABLE {
            let (path, unit) = metric.name.split_once(':').unwrap();
            assert!(path.starts_with('/') && !unit.is_empty() && !unit.contains(':'), "{}", metric.name);
        }
    }
}
