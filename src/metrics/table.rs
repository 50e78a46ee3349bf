//! The table of metrics.

use core::ffi::CStr;

use super::aggregates::Aggregate;
use super::labels::{BY_CALL, BY_RANK, BY_SIZE, CHUNK_PAGES, Labels, SIZES};
use super::reading::{OsFigures, Reading, WORDS};
use crate::account::{Account, ClassTotals, Total};
use crate::ledger::{Format, layout};
use crate::size_class::{CLASSES, Class};
use crate::span::Span;

/// What kind of value a metric has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// None: no metric has this name.
    Bad = 0,
    /// One number.
    Uint64 = 2,
    /// A number for each of its labels.
    Vector = 3,
    /// A distribution: how many there are up to each bound, and their sum.
    Histogram = 4,
}

/// How a value is computed: nothing but sums of what a reading holds.
enum Compute {
    /// A number.
    Number(fn(&Reading) -> i64),
    /// A number that the system may not have had.
    Maybe(fn(&Reading) -> u64),
    /// A number for each label.
    Vector(Labels, fn(&Reading, usize) -> i64),
    /// How many there are in each group, and the sum of all.
    Histogram(&'static [u64], fn(&Reading, usize) -> i64, fn(&Reading) -> i64),
}

/// A row of the table.
pub struct Metric {
    /// Its name, `/path:unit`.
    pub name: &'static str,
    /// Its name for C.
    pub c_name: &'static CStr,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// The same for C.
    pub c_help: &'static CStr,
    /// Whether it only grows, from the start of the process on.
    pub cumulative: bool,
    /// What is read for it.
    pub aggregate: Aggregate,
    compute: Compute,
}

impl Metric {
    /// The metric of this name.
    pub fn find(name: &[u8]) -> Option<&'static Metric> {
        TABLE.binary_search_by(|metric| metric.name.as_bytes().cmp(name)).ok().map(|i| &TABLE[i])
    }

    /// The unit: what stands behind the colon of its name.
    pub fn unit(&self) -> &'static str {
        self.name.split_once(':').map_or("", |(_, unit)| unit)
    }

    /// What kind of value it has.
    pub fn kind(&self) -> Kind {
        match self.compute {
            Compute::Number(_) | Compute::Maybe(_) => Kind::Uint64,
            Compute::Vector(..) => Kind::Vector,
            Compute::Histogram(..) => Kind::Histogram,
        }
    }

    /// How many elements its value has: the labels of a vector, the groups of a histogram, else 1.
    pub fn len(&self) -> usize {
        match &self.compute {
            Compute::Number(_) | Compute::Maybe(_) => 1,
            Compute::Vector(labels, _) => labels.len(),
            Compute::Histogram(bounds, ..) => bounds.len() + 1,
        }
    }

    /// Never: a value has elements.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What the elements of a vector are told apart by.
    pub fn labels(&self) -> Option<&Labels> {
        match &self.compute {
            Compute::Vector(labels, _) => Some(labels),
            _ => None,
        }
    }

    /// The largest value in each group of a histogram but the last, which has all above.
    pub fn bounds(&self) -> Option<&'static [u64]> {
        match self.compute {
            Compute::Histogram(bounds, ..) => Some(bounds),
            _ => None,
        }
    }

    /// The number, or the sum of a histogram. `None`: the reading does not have it, or it is a vector.
    ///
    /// Below zero only where the books are wrong.
    pub fn number(&self, reading: &Reading) -> Option<i64> {
        if !reading.has(self.aggregate) {
            return None;
        }
        match self.compute {
            Compute::Number(number) => Some(number(reading)),
            Compute::Maybe(number) => Some(number(reading)).filter(|&n| n != OsFigures::UNKNOWN).map(|n| n as i64),
            Compute::Vector(..) => None,
            Compute::Histogram(_, _, sum) => Some(sum(reading)),
        }
    }

    /// An element of a vector, or how many there are in a group of a histogram. As for [`Metric::number`].
    pub fn element(&self, reading: &Reading, i: usize) -> Option<i64> {
        if !reading.has(self.aggregate) || i >= self.len() {
            return None;
        }
        match self.compute {
            Compute::Vector(_, element) | Compute::Histogram(_, element, _) => Some(element(reading, i)),
            Compute::Number(_) | Compute::Maybe(_) => None,
        }
    }

    /// Whether the reading has its value.
    pub fn is_known(&self, reading: &Reading) -> bool {
        match self.kind() {
            Kind::Vector => reading.has(self.aggregate),
            _ => self.number(reading).is_some(),
        }
    }
}

/// The text of a string for C.
const fn text(c: &'static CStr) -> &'static str {
    match c.to_str() {
        Ok(text) => text,
        Err(_) => panic!("a name is ASCII"),
    }
}

const fn c(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(c) => c,
        Err(_) => panic!("a name has no null"),
    }
}

macro_rules! metrics {
    (@cumulative counter) => { true };
    (@cumulative gauge) => { false };
    ($($name:literal, $aggregate:ident $shape:ident, $help:literal, $compute:expr;)+) => {
        /// Every metric, sorted by name.
        pub static TABLE: &[Metric] = &[$({
            const NAME: &CStr = c(concat!($name, "\0"));
            const HELP: &CStr = c(concat!($help, "\0"));
            Metric {
                name: text(NAME),
                c_name: NAME,
                help: text(HELP),
                c_help: HELP,
                cumulative: metrics!(@cumulative $shape),
                aggregate: Aggregate::$aggregate,
                compute: $compute,
            }
        }),+];
    };
}

use Compute::{Histogram, Maybe, Number, Vector};

metrics! {
    "/cache/idle:caches", Caches gauge, "Caches that belong to no thread now.",
        Number(|r| r.idle as i64);
    "/cache/inuse:caches", Caches gauge, "Caches that belong to a thread.",
        Number(|r| r.caches as i64 - r.idle as i64);
    "/cache/made:caches", Caches counter, "Caches made since the start; threads that come later adopt them.",
        Number(|r| r.caches as i64);
    "/gc/heap/allocs-by-size:bytes", Books counter, "Objects allocated, by the size of their class or in whole pages.",
        Histogram(&SIZES, |r, i| if i < CLASSES { r.class(i).0.allocs as i64 } else { r.snapshot.total(Total::LargeAllocs) }, alloc_bytes);
    "/gc/heap/allocs:bytes", Books counter, "Cumulative bytes of objects allocated, by the size of their class or in whole pages.",
        Number(alloc_bytes);
    "/gc/heap/allocs:objects", Books counter, "Cumulative number of objects allocated.",
        Number(|r| r.class_sum(|c, _| c.allocs as i64) + r.snapshot.total(Total::LargeAllocs));
    "/gc/heap/frees-by-size:bytes", Books counter, "Objects freed, by the size of their class or in whole pages, those in transit not yet counted.",
        Histogram(&SIZES, |r, i| if i < CLASSES { freed(&r.class(i).0) } else { r.snapshot.total(Total::LargeFrees) }, free_bytes);
    "/gc/heap/frees:bytes", Books counter, "Cumulative bytes of objects freed, those in transit not yet counted.",
        Number(free_bytes);
    "/gc/heap/frees:objects", Books counter, "Cumulative number of objects freed, those in transit not yet counted.",
        Number(|r| r.class_sum(|c, _| freed(c)) + r.snapshot.total(Total::LargeFrees));
    "/gc/heap/objects:objects", Books gauge, "Objects that are live or in transit.",
        Number(|r| r.class_sum(|c, _| c.live()) + large_objects(r));
    "/heap/chunks/taken:pages", Chunks gauge, "Chunks of 4 MiB of the heap by how many of their 512 pages are taken.",
        Histogram(&CHUNK_PAGES, |r, i| r.chunks.counts[i] as i64, |r| r.chunks.taken as i64);
    "/heap/free-by-size:objects", Books gauge, "Places for objects, in spans of each class, that no object has.",
        Vector(BY_SIZE, |r, i| r.class(i).0.vacant);
    "/heap/in-transit-by-size:objects", Books gauge, "Objects of each class freed by a thread that does not own their span, and not home yet.",
        Vector(BY_SIZE, |r, i| r.class(i).0.in_transit());
    "/heap/in-transit:objects", Books gauge, "Objects freed by a thread that does not own their span, and not home yet.",
        Number(|r| r.class_sum(|c, _| c.in_transit()));
    "/heap/large/allocs:objects", Books counter, "Cumulative number of large objects allocated.",
        Number(|r| r.snapshot.total(Total::LargeAllocs));
    "/heap/large/frees:objects", Books counter, "Cumulative number of large objects freed.",
        Number(|r| r.snapshot.total(Total::LargeFrees));
    "/heap/large/live:bytes", Books gauge, "Bytes of large objects, in whole pages.",
        Number(|r| r.snapshot.large_bytes());
    "/heap/large/live:objects", Books gauge, "Large objects that are live.",
        Number(large_objects);
    "/heap/live-by-size:objects", Books gauge, "Objects of each class that are live or in transit.",
        Vector(BY_SIZE, |r, i| r.class(i).0.live());
    "/heap/spans-by-size:bytes", Books gauge, "Bytes of the spans of each class.",
        Vector(BY_SIZE, |r, i| r.class(i).0.span_bytes);
    "/heap/spans:spans", Books gauge, "Spans of every kind.",
        Number(|r| r.snapshot.total(Total::SpanInUse) / size_of::<Span>() as i64);
    "/heap/unused-by-size:bytes", Books gauge, "Bytes of the spans of each class that no object uses.",
        Vector(BY_SIZE, |r, i| { let (c, class) = r.class(i); unused_bytes(&c, class) });
    "/lock/contended-by-rank:acquisitions", Locks counter, "Acquisitions of a lock of each rank that another thread held.",
        Vector(BY_RANK, |r, i| r.locks[i].contended as i64);
    "/lock/contended:acquisitions", Locks counter, "Acquisitions of a lock that another thread held.",
        Number(|r| r.locks.iter().map(|waits| waits.contended as i64).sum());
    "/lock/wait-by-rank:nanoseconds", Locks counter, "Time that threads waited for locks of each rank.",
        Vector(BY_RANK, |r, i| r.locks[i].nanos as i64);
    "/lock/wait:nanoseconds", Locks counter, "Time that threads waited for locks.",
        Number(|r| r.locks.iter().map(|waits| waits.nanos as i64).sum());
    "/memory/classes/heap/free:bytes", Books gauge, "Free pages that are backed by physical memory.",
        Number(|r| r.account(Account::HeapFree));
    "/memory/classes/heap/objects:bytes", Books gauge, "Bytes of objects that are live or in transit.",
        Number(|r| r.snapshot.live_bytes());
    "/memory/classes/heap/released:bytes", Books gauge, "Free pages whose physical memory is with the system.",
        Number(|r| r.account(Account::HeapReleased));
    "/memory/classes/heap/stacks:bytes", Books gauge, "Pages of spans that are stacks.",
        Number(|r| r.account(Account::InStacks));
    "/memory/classes/heap/unused:bytes", Books gauge, "Bytes of spans for objects that no object uses.",
        Number(|r| r.class_sum(unused_bytes));
    "/memory/classes/metadata/ledger:bytes", Books gauge, "The ledger page, which other processes may read.",
        Number(|r| r.account(Account::LedgerSys));
    "/memory/classes/metadata/mcache/free:bytes", Books gauge, "Memory obtained for caches and not used by one.",
        Number(|r| r.snapshot.total(Total::CacheFree));
    "/memory/classes/metadata/mcache/inuse:bytes", Books gauge, "Memory of caches.",
        Number(|r| r.snapshot.total(Total::CacheInUse));
    "/memory/classes/metadata/mspan/free:bytes", Books gauge, "Memory obtained for span records and not used by one.",
        Number(|r| r.snapshot.total(Total::SpanFree));
    "/memory/classes/metadata/mspan/inuse:bytes", Books gauge, "Memory of span records.",
        Number(|r| r.snapshot.total(Total::SpanInUse));
    "/memory/classes/metadata/other:bytes", Books gauge, "Memory of page bitmaps, summaries, work buffers and object bitmaps.",
        Number(|r| r.account(Account::OtherSys) + r.account(Account::InWorkBufs) + r.account(Account::InBitmaps));
    "/memory/classes/os-stacks:bytes", Books gauge, "Stacks that are no spans.",
        Number(|r| r.account(Account::StacksSys));
    "/memory/classes/other:bytes", Books gauge, "Buffers of the tracer.",
        Number(|r| r.account(Account::TraceSys));
    "/memory/classes/profiling/buckets:bytes", Books gauge, "Buckets of the profiler.",
        Number(|r| r.account(Account::ProfileBucketsSys));
    "/memory/classes/total:bytes", Books gauge, "Everything obtained from the system and not given back.",
        Number(|r| r.snapshot.total(Total::TotalMapped));
    "/memory/peak/ready:bytes", Peaks gauge, "The most that /memory/ready:bytes ever was.",
        Number(|r| r.peaks.ready as i64);
    "/memory/peak/total:bytes", Peaks gauge, "The most that /memory/classes/total:bytes ever was.",
        Number(|r| r.peaks.total as i64);
    "/memory/ready:bytes", Books gauge, "Of the total, what is in state Ready: all but released pages.",
        Number(|r| r.snapshot.total(Total::MappedReady));
    "/os/age:nanoseconds", System gauge, "How long ago an audit read the other figures of the system.",
        Number(|r| r.age(r.os.taken_at));
    "/os/cgroup/current:bytes", System gauge, "Memory charged to the control group of the process.",
        Maybe(|r| r.os.cgroup_current);
    "/os/cgroup/limit:bytes", System gauge, "The tightest memory limit of the control group and those above it.",
        Maybe(|r| r.os.cgroup_limit);
    "/os/huge:bytes", System gauge, "Anonymous memory of the process in huge pages.",
        Maybe(|r| r.os.huge);
    "/os/lazily-freed:bytes", System gauge, "Memory of the process that the system may take without asking.",
        Maybe(|r| r.os.lazily_freed);
    "/os/mappings:mappings", System gauge, "Mappings of the process.",
        Maybe(|r| r.os.mappings);
    "/os/pss:bytes", System gauge, "Physical memory of the process, shared pages divided by how many share them.",
        Maybe(|r| r.os.pss);
    "/os/rss:bytes", System gauge, "Physical memory of the process.",
        Maybe(|r| r.os.rss);
    "/os/swapped:bytes", System gauge, "Memory of the process in swap.",
        Maybe(|r| r.os.swapped);
    "/process/id:pid", Process gauge, "The process that the figures are of.",
        Number(|r| r.pid as i64);
    "/stats/age:nanoseconds", Books gauge, "How old the snapshot is that the figures are of: 0, but for a stale one.",
        Number(|r| r.age(r.taken_at));
    "/stats/stale:reads", Books counter, "Snapshots that were answered with an earlier one.",
        Number(|r| r.stale as i64);
    "/system-calls/failed:calls", Calls counter, "Of the system calls made, those that failed.",
        Vector(BY_CALL, |r, i| r.calls[i].failed as i64);
    "/system-calls/made:calls", Calls counter, "System calls that the allocator made for memory, for a fence of all threads, and while it waited.",
        Vector(BY_CALL, |r, i| r.calls[i].made as i64);
}

/// What the words of a reading mean, for those who read them in another process: which metrics there are, and the size
/// classes.
pub const FORMAT: Format = Format { words: WORDS, hash: hash_of_all() };

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

/// Objects of a class freed and home.
fn freed(c: &ClassTotals) -> i64 {
    c.frees.wrapping_add(c.received) as i64
}

fn alloc_bytes(r: &Reading) -> i64 {
    r.class_sum(|c, class| c.allocs as i64 * class.size() as i64) + r.snapshot.total(Total::LargeAllocBytes)
}

fn free_bytes(r: &Reading) -> i64 {
    r.class_sum(|c, class| freed(c) * class.size() as i64) + r.snapshot.total(Total::LargeFreeBytes)
}

fn large_objects(r: &Reading) -> i64 {
    r.snapshot.total(Total::LargeAllocs) - r.snapshot.total(Total::LargeFrees)
}

/// Vacant places, and what each span has behind its last place.
fn unused_bytes(c: &ClassTotals, class: Class) -> i64 {
    let spans = c.span_bytes / class.span_pages().bytes() as i64;
    c.vacant * class.size() as i64 + spans * class.tail() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_well_formed() {
        assert!(TABLE.windows(2).all(|w| w[0].name < w[1].name));
        for metric in TABLE {
            let (path, unit) = metric.name.split_once(':').unwrap();
            assert!(path.starts_with('/') && !unit.is_empty() && !unit.contains(':'), "{}", metric.name);
            assert!(metric.name.bytes().all(|b| b.is_ascii_lowercase() || b"/-:".contains(&b)), "{}", metric.name);
            // It stands in OpenMetrics and JSON as it is.
            assert!(!metric.help.contains(['\\', '"', '\n']) && metric.help.ends_with('.'), "{}", metric.name);
            assert_eq!(metric.unit(), unit);
            assert!(core::ptr::eq(Metric::find(metric.name.as_bytes()).unwrap(), metric));
        }
        for name in ["", "/", "/gc/heap/allocs", "/gc/heap/allocs:objectss", "/zzz:bytes"] {
            assert!(Metric::find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn an_empty_reading_knows_nothing_and_nothing_panics() {
        let mut reading = Reading::new();
        for metric in TABLE {
            assert!(!metric.is_known(&reading) && metric.element(&reading, 0).is_none(), "{}", metric.name);
        }
        // Books that are all wrong, and every element one too far.
        reading.words_mut().fill(u64::MAX);
        for metric in TABLE.iter().filter(|metric| metric.kind() != Kind::Uint64) {
            assert!(metric.element(&reading, metric.len()).is_none() && metric.element(&reading, 0).is_some());
        }
        let of_system = Metric::find(b"/os/rss:bytes").unwrap();
        assert!(of_system.number(&reading).is_none(), "what the system did not have is not known");
    }
}
