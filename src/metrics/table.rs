//! The table of metrics.
//!
//! No row contains an address: the texts are in one array, and the computation of a row is selected by its number. So
//! the table is in a read-only part of the file, which processes share, and loading the object relocates nothing in it.

use core::ffi::CStr;

use super::aggregates::Aggregate;
use super::labels::{CHUNK_PAGES, Labels, SIZES, plain};
use super::reading::{OsFigures, Reading, freed, unused_bytes};
use crate::size_class::{CLASSES, Class};
use crate::span::Span;
use crate::stats::{Account, ClassTotals, Total};
use crate::stats_page::layout;

/// The kind of a metric's value. (The numbers are those of the C API.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// No metric has this name.
    Bad = 0,
    /// A number.
    Uint64 = 2,
    /// A number for each label.
    Vector = 3,
    /// A distribution: a count for each bound, and the sum.
    Histogram = 4,
}

/// The form of a value.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Number,
    Vector(Labels),
    Histogram(Bounds),
}

/// The bounds of a histogram.
#[derive(Clone, Copy, Debug)]
enum Bounds {
    Sizes,
    ChunkPages,
}

impl Bounds {
    fn get(self) -> &'static [u64] {
        match self {
            Bounds::Sizes => &SIZES,
            Bounds::ChunkPages => &CHUNK_PAGES,
        }
    }
}

/// The position of a text in [`TEXT`], without its final null.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u16,
    len: u16,
}

impl Piece {
    /// Returns the text with its final null.
    fn bytes(self) -> &'static [u8] {
        let (at, len) = (usize::from(self.at), usize::from(self.len));
        TEXT.get(at..at + len + 1).unwrap_or(b"\0")
    }

    fn text(self) -> &'static str {
        let (_null, bytes) = self.bytes().split_last().unwrap_or((&0, &[]));
        // SAFETY: a piece is one of the texts that the compiler got as strings; only `PIECES` makes pieces. Checking
        // them again would take most of the time of a lookup by name.
        unsafe { core::str::from_utf8_unchecked(bytes) }
    }

    fn c(self) -> &'static CStr {
        CStr::from_bytes_with_nul(self.bytes()).unwrap_or_default()
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Metric {
    name: Piece,
    help: Piece,
    id: Id,
    shape: Shape,
    /// Whether the value only grows, from the start of the process.
    pub cumulative: bool,
    /// The source of its figures.
    pub aggregate: Aggregate,
}

impl Metric {
    /// Returns the metric with this name.
    pub fn find(name: &[u8]) -> Option<&'static Metric> {
        TABLE.binary_search_by(|metric| metric.name().as_bytes().cmp(name)).ok().and_then(|i| TABLE.get(i))
    }

    /// Returns its name, `/path:unit`.
    pub fn name(&self) -> &'static str {
        self.name.text()
    }

    /// Continues a hash with its name.
    pub(super) const fn hash_name(&self, mut hash: u64) -> u64 {
        let mut i = 0;
        while i < self.name.len as usize {
            hash = layout::hash(hash, &[TEXT[self.name.at as usize + i]]);
            i += 1;
        }
        hash
    }

    /// Returns its name for C.
    pub fn c_name(&self) -> &'static CStr {
        self.name.c()
    }

    /// Returns its description, a sentence.
    pub fn help(&self) -> &'static str {
        self.help.text()
    }

    /// Returns its description for C.
    pub fn c_help(&self) -> &'static CStr {
        self.help.c()
    }

    /// Returns the unit: the part of the name after the colon.
    pub fn unit(&self) -> &'static str {
        self.name().split_once(':').map_or("", |(_, unit)| unit)
    }

    /// Returns the kind of its value.
    pub fn kind(&self) -> Kind {
        match self.shape {
            Shape::Number => Kind::Uint64,
            Shape::Vector(_) => Kind::Vector,
            Shape::Histogram(_) => Kind::Histogram,
        }
    }

    /// Returns the number of elements of its value: the labels of a vector, the groups of a histogram, or 1.
    pub fn len(&self) -> usize {
        match self.shape {
            Shape::Number => 1,
            Shape::Vector(labels) => labels.len(),
            Shape::Histogram(bounds) => bounds.get().len() + 1,
        }
    }

    /// Returns `false`: a value has elements.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the labels of a vector.
    pub fn labels(&self) -> Option<Labels> {
        match self.shape {
            Shape::Vector(labels) => Some(labels),
            _ => None,
        }
    }

    /// Returns the upper bound of each group of a histogram except the last, which has none.
    pub fn bounds(&self) -> Option<&'static [u64]> {
        match self.shape {
            Shape::Histogram(bounds) => Some(bounds.get()),
            _ => None,
        }
    }

    /// Returns whether the reading has its value.
    pub fn is_known(&self, reading: &Reading) -> bool {
        reading.has(self.aggregate) && (self.kind() == Kind::Vector || number(self.id, reading).is_some())
    }

    /// Returns the number, or the sum of a histogram. Returns `None` for a vector, or if the reading does not have it.
    /// Negative only if the accounts are wrong.
    pub fn number(&self, reading: &Reading) -> Option<i64> {
        if reading.has(self.aggregate) { number(self.id, reading) } else { None }
    }

    /// Writes the elements of a vector or the counts of a histogram to `out`, as far as it reaches. Returns `false` and
    /// writes nothing if the reading does not have them or the metric is a number.
    pub fn elements(&self, reading: &Reading, out: &mut [u64]) -> bool {
        let known = self.kind() != Kind::Uint64 && reading.has(self.aggregate);
        let reach = out.len().min(self.len());
        if let Some(out) = out.get_mut(..reach).filter(|_| known) {
            elements(self.id, reading, out);
        }
        known
    }
}

/// Writes a figure of each class to `out`, as far as it reaches.
fn by_class(r: &Reading, out: &mut [u64], f: impl Fn(&ClassTotals, Class) -> i64) {
    r.snapshot.classes().zip(out).for_each(|((class, c), out)| *out = plain(f(&c, class)));
}

macro_rules! shape_of {
    (number $($rest:tt)*) => {
        Shape::Number
    };
    (maybe $($rest:tt)*) => {
        Shape::Number
    };
    (vector $labels:ident $($rest:tt)*) => {
        Shape::Vector(Labels::$labels)
    };
    (histogram $bounds:ident $($rest:tt)*) => {
        Shape::Histogram(Bounds::$bounds)
    };
}

macro_rules! number_of {
    ($from:ident, number |$r:ident| $value:expr) => {{
        let $r = $from;
        Some($value)
    }};
    // A figure that the OS may not have had.
    ($from:ident, maybe |$r:ident| $value:expr) => {{
        let $r = $from;
        Some($value).filter(|&n| n != OsFigures::UNKNOWN).map(|n| n as i64)
    }};
    ($from:ident, vector $($rest:tt)*) => {
        None
    };
    ($from:ident, histogram $bounds:ident, |$r:ident| $sum:expr, $($rest:tt)*) => {{
        let $r = $from;
        Some($sum)
    }};
}

macro_rules! elements_of {
    ($from:ident, $out:ident, number $($rest:tt)*) => { {} };
    ($from:ident, $out:ident, maybe $($rest:tt)*) => { {} };
    ($from:ident, $out:ident, vector $labels:ident $($rest:tt)*) => { elements_of!($from, $out, $($rest)*) };
    ($from:ident, $out:ident, histogram $bounds:ident, |$r:ident| $sum:expr, $($rest:tt)*) => {
        elements_of!($from, $out, $($rest)*)
    };
    ($from:ident, $out:ident, each |$r:ident, $i:ident| $value:expr) => {{
        let $r = $from;
        $out.iter_mut().enumerate().for_each(|($i, out)| *out = plain($value))
    }};
    ($from:ident, $out:ident, by_size |$c:ident, $class:ident| $value:expr) => {
        by_class($from, $out, |$c, $class| $value)
    };
    // The last element is that of large objects.
    ($from:ident, $out:ident, by_size |$c:ident, $class:ident| $value:expr, large |$r:ident| $large:expr) => {{
        let $r = $from;
        by_class($r, $out, |$c, $class| $value);
        if let Some(last) = $out.get_mut(CLASSES) {
            *last = plain($large);
        }
    }};
}

macro_rules! metrics {
    (@cumulative counter) => { true };
    (@cumulative gauge) => { false };
    ($($id:ident $name:literal, $aggregate:ident $growth:ident, $help:literal, { $($compute:tt)* })+) => {
        /// The number of a row.
        #[derive(Clone, Copy, Debug)]
        #[repr(u8)]
        enum Id {
            $($id,)+
        }

        /// The number of metrics.
        const COUNT: usize = [$($name),+].len();

        /// Every name and every description, each with a final null.
        const TEXTS: [&str; 2 * COUNT] = [$(concat!($name, "\0"), concat!($help, "\0")),+];

        /// All metrics, sorted by name.
        pub static TABLE: [Metric; COUNT] = [$(Metric {
            name: PIECES[2 * Id::$id as usize],
            help: PIECES[2 * Id::$id as usize + 1],
            id: Id::$id,
            shape: shape_of!($($compute)*),
            cumulative: metrics!(@cumulative $growth),
            aggregate: Aggregate::$aggregate,
        }),+];

        /// Computes the number of a metric.
        fn number(id: Id, reading: &Reading) -> Option<i64> {
            match id {
                $(Id::$id => number_of!(reading, $($compute)*),)+
            }
        }

        /// Computes the elements of a metric that has some, as far as `out` reaches.
        fn elements(id: Id, reading: &Reading, out: &mut [u64]) {
            match id {
                $(Id::$id => elements_of!(reading, out, $($compute)*),)+
            }
        }
    };
}

/// The position of each text.
const PIECES: [Piece; 2 * COUNT] = {
    let mut pieces = [Piece { at: 0, len: 0 }; 2 * COUNT];
    let (mut at, mut i) = (0, 0);
    while i < TEXTS.len() {
        pieces[i] = Piece { at: at as u16, len: TEXTS[i].len() as u16 - 1 };
        at += TEXTS[i].len();
        i += 1;
    }
    assert!(at <= u16::MAX as usize, "a text is found by 16 bits");
    pieces
};

/// The length of all texts in bytes.
const LENGTH: usize = {
    let last = PIECES[PIECES.len() - 1];
    last.at as usize + last.len as usize + 1
};

/// All texts, one after the other.
static TEXT: [u8; LENGTH] = {
    let mut text = [0; LENGTH];
    let (mut at, mut i) = (0, 0);
    while i < TEXTS.len() {
        let mut byte = 0;
        while byte < TEXTS[i].len() {
            text[at] = TEXTS[i].as_bytes()[byte];
            at += 1;
            byte += 1;
        }
        i += 1;
    }
    text
};

metrics! {
    CacheIdleCaches "/cache/idle:caches", Caches gauge, "Caches without a thread.",
        { number |r| r.idle as i64 }
    CacheInuseCaches "/cache/inuse:caches", Caches gauge, "Caches of a thread.",
        { number |r| r.caches as i64 - r.idle as i64 }
    CacheMadeCaches "/cache/made:caches", Caches counter, "Caches made since the start. A new thread takes an idle one first.",
        { number |r| r.caches as i64 }
    GcHeapAllocsBySizeBytes "/gc/heap/allocs-by-size:bytes", ConsistentStats counter, "Objects allocated, by the size of their class; large ones in whole pages.",
        { histogram Sizes, |r| r.small.alloc_bytes + r.snapshot.total(Total::LargeAllocBytes), by_size |c, _class| c.allocs as i64, large |r| r.snapshot.total(Total::LargeAllocs) }
    GcHeapAllocsBytes "/gc/heap/allocs:bytes", ConsistentStats counter, "Cumulative bytes of objects allocated, in the sizes of their classes; large ones in whole pages.",
        { number |r| r.small.alloc_bytes + r.snapshot.total(Total::LargeAllocBytes) }
    GcHeapAllocsObjects "/gc/heap/allocs:objects", ConsistentStats counter, "Cumulative number of objects allocated.",
        { number |r| r.small.allocs + r.snapshot.total(Total::LargeAllocs) }
    GcHeapFreesBySizeBytes "/gc/heap/frees-by-size:bytes", ConsistentStats counter, "Objects freed, by the size of their class; large ones in whole pages. Excludes objects in transit.",
        { histogram Sizes, |r| r.small.free_bytes + r.snapshot.total(Total::LargeFreeBytes), by_size |c, _class| freed(c), large |r| r.snapshot.total(Total::LargeFrees) }
    GcHeapFreesBytes "/gc/heap/frees:bytes", ConsistentStats counter, "Cumulative bytes of objects freed. Excludes objects in transit.",
        { number |r| r.small.free_bytes + r.snapshot.total(Total::LargeFreeBytes) }
    GcHeapFreesObjects "/gc/heap/frees:objects", ConsistentStats counter, "Cumulative number of objects freed. Excludes objects in transit.",
        { number |r| r.small.frees + r.snapshot.total(Total::LargeFrees) }
    GcHeapObjectsObjects "/gc/heap/objects:objects", ConsistentStats gauge, "Objects that are live or in transit.",
        { number |r| r.small.live + large_objects(r) }
    HeapChunksTakenPages "/heap/chunks/taken:pages", Chunks gauge, "Chunks of 4 MiB of the heap, by the number of their 512 pages that are taken.",
        { histogram ChunkPages, |r| r.chunks.taken as i64, each |r, i| r.chunks.counts[i] as i64 }
    HeapFreeBySizeObjects "/heap/free-by-size:objects", ConsistentStats gauge, "Free slots for objects in the spans of each class.",
        { vector Size by_size |c, _class| c.vacant }
    HeapInTransitBySizeObjects "/heap/in-transit-by-size:objects", ConsistentStats gauge, "Objects of each class freed by another thread and not yet returned to their span.",
        { vector Size by_size |c, _class| c.in_transit() }
    HeapInTransitBytes "/heap/in-transit:bytes", ConsistentStats gauge, "Bytes of objects freed by another thread and not yet returned to their span.",
        { number |r| r.small.in_transit_bytes }
    HeapInTransitObjects "/heap/in-transit:objects", ConsistentStats gauge, "Objects freed by another thread and not yet returned to their span.",
        { number |r| r.small.in_transit }
    HeapLargeAllocsObjects "/heap/large/allocs:objects", ConsistentStats counter, "Cumulative number of large objects allocated.",
        { number |r| r.snapshot.total(Total::LargeAllocs) }
    HeapLargeFreesObjects "/heap/large/frees:objects", ConsistentStats counter, "Cumulative number of large objects freed.",
        { number |r| r.snapshot.total(Total::LargeFrees) }
    HeapLargeLiveBytes "/heap/large/live:bytes", ConsistentStats gauge, "Bytes of large objects, in whole pages.",
        { number |r| r.snapshot.large_bytes() }
    HeapLargeLiveObjects "/heap/large/live:objects", ConsistentStats gauge, "Live large objects.",
        { number |r| large_objects(r) }
    HeapLiveBySizeObjects "/heap/live-by-size:objects", ConsistentStats gauge, "Objects of each class that are live or in transit.",
        { vector Size by_size |c, _class| c.live() }
    HeapSpansBySizeBytes "/heap/spans-by-size:bytes", ConsistentStats gauge, "Bytes of the spans of each class.",
        { vector Size by_size |c, _class| c.span_bytes }
    HeapSpansSpans "/heap/spans:spans", ConsistentStats gauge, "Spans of every kind.",
        { number |r| r.snapshot.total(Total::SpanInUse) / size_of::<Span>() as i64 }
    HeapUnusedBySizeBytes "/heap/unused-by-size:bytes", ConsistentStats gauge, "Bytes of the spans of each class that no object uses.",
        { vector Size by_size |c, class| unused_bytes(c, class) }
    LockContendedByRankAcquisitions "/lock/contended-by-rank:acquisitions", Locks counter, "Acquisitions of a lock that another thread held, by the rank of the lock.",
        { vector Rank each |r, i| r.locks[i].contended as i64 }
    LockContendedAcquisitions "/lock/contended:acquisitions", Locks counter, "Acquisitions of a lock that another thread held.",
        { number |r| r.locks.iter().map(|waits| waits.contended as i64).sum() }
    LockWaitByRankNanoseconds "/lock/wait-by-rank:nanoseconds", Locks counter, "Time that threads waited for locks, by the rank of the lock.",
        { vector Rank each |r, i| r.locks[i].nanos as i64 }
    LockWaitNanoseconds "/lock/wait:nanoseconds", Locks counter, "Time that threads waited for locks.",
        { number |r| r.locks.iter().map(|waits| waits.nanos as i64).sum() }
    MemoryClassesHeapFreeBytes "/memory/classes/heap/free:bytes", ConsistentStats gauge, "Free pages that are backed by physical memory.",
        { number |r| r.account(Account::HeapFree) }
    MemoryClassesHeapObjectsBytes "/memory/classes/heap/objects:bytes", ConsistentStats gauge, "Bytes of objects that are live or in transit.",
        { number |r| r.small.live_bytes + r.snapshot.large_bytes() }
    MemoryClassesHeapReleasedBytes "/memory/classes/heap/released:bytes", ConsistentStats gauge, "Free pages without physical memory: given back to the OS, or never used.",
        { number |r| r.account(Account::HeapReleased) }
    MemoryClassesHeapStacksBytes "/memory/classes/heap/stacks:bytes", ConsistentStats gauge, "Pages of spans that are stacks.",
        { number |r| r.account(Account::InStacks) }
    MemoryClassesHeapUnusedBytes "/memory/classes/heap/unused:bytes", ConsistentStats gauge, "Bytes of spans for objects that no object uses.",
        { number |r| r.small.unused }
    MemoryClassesMetadataLedgerBytes "/memory/classes/metadata/ledger:bytes", ConsistentStats gauge, "The stats page, which other processes may read.",
        { number |r| r.account(Account::LedgerSys) }
    MemoryClassesMetadataMcacheFreeBytes "/memory/classes/metadata/mcache/free:bytes", ConsistentStats gauge, "Memory obtained for caches and not used by any.",
        { number |r| r.snapshot.total(Total::CacheFree) }
    MemoryClassesMetadataMcacheInuseBytes "/memory/classes/metadata/mcache/inuse:bytes", ConsistentStats gauge, "Memory of caches.",
        { number |r| r.snapshot.total(Total::CacheInUse) }
    MemoryClassesMetadataMspanFreeBytes "/memory/classes/metadata/mspan/free:bytes", ConsistentStats gauge, "Memory obtained for span records and not used by any.",
        { number |r| r.snapshot.total(Total::SpanFree) }
    MemoryClassesMetadataMspanInuseBytes "/memory/classes/metadata/mspan/inuse:bytes", ConsistentStats gauge, "Memory of span records.",
        { number |r| r.snapshot.total(Total::SpanInUse) }
    MemoryClassesMetadataOtherBytes "/memory/classes/metadata/other:bytes", ConsistentStats gauge, "Memory of page bitmaps, summaries, work buffers and object bitmaps.",
        { number |r| r.account(Account::OtherSys) + r.account(Account::InWorkBufs) + r.account(Account::InBitmaps) }
    MemoryClassesTotalBytes "/memory/classes/total:bytes", ConsistentStats gauge, "Memory obtained from the OS and not given back.",
        { number |r| r.snapshot.total(Total::TotalMapped) }
    MemoryPeakReadyBytes "/memory/peak/ready:bytes", Peaks gauge, "The maximum of /memory/ready:bytes since the start.",
        { number |r| r.peaks.ready as i64 }
    MemoryPeakTotalBytes "/memory/peak/total:bytes", Peaks gauge, "The maximum of /memory/classes/total:bytes since the start.",
        { number |r| r.peaks.total as i64 }
    MemoryReadyBytes "/memory/ready:bytes", ConsistentStats gauge, "The part of the total that is in state Ready: all except released pages.",
        { number |r| r.snapshot.total(Total::MappedReady) }
    OsAgeNanoseconds "/os/age:nanoseconds", System gauge, "The time since an audit read the other figures below /os.",
        { number |r| r.age(r.os.taken_at) }
    OsCgroupCurrentBytes "/os/cgroup/current:bytes", System gauge, "Memory charged to the control group of the process.",
        { maybe |r| r.os.cgroup_current }
    OsCgroupLimitBytes "/os/cgroup/limit:bytes", System gauge, "The lowest memory limit of the control group and its ancestors.",
        { maybe |r| r.os.cgroup_limit }
    OsHugeBytes "/os/huge:bytes", System gauge, "Anonymous memory of the process in huge pages.",
        { maybe |r| r.os.huge }
    OsLazilyFreedBytes "/os/lazily-freed:bytes", System gauge, "Memory of the process that Linux may reclaim at any time (MADV_FREE).",
        { maybe |r| r.os.lazily_freed }
    OsMappingsMappings "/os/mappings:mappings", System gauge, "Mappings of the process.",
        { maybe |r| r.os.mappings }
    OsPssBytes "/os/pss:bytes", System gauge, "Physical memory of the process, each shared page divided by the number of processes that share it.",
        { maybe |r| r.os.pss }
    OsRssBytes "/os/rss:bytes", System gauge, "Physical memory of the process.",
        { maybe |r| r.os.rss }
    OsSwappedBytes "/os/swapped:bytes", System gauge, "Memory of the process in swap.",
        { maybe |r| r.os.swapped }
    ProcessIdPid "/process/id:pid", Process gauge, "The id of the process.",
        { number |r| r.pid as i64 }
    StatsAgeNanoseconds "/stats/age:nanoseconds", ConsistentStats gauge, "The age of the snapshot from which the figures are.",
        { number |r| r.age(r.taken_at) }
    StatsStaleReads "/stats/stale:reads", ConsistentStats counter, "Requests for a snapshot that were answered with an earlier one.",
        { number |r| r.stale as i64 }
    SystemCallsFailedCalls "/system-calls/failed:calls", Calls counter, "System calls made by the allocator that failed.",
        { vector Call each |r, i| r.calls[i].failed as i64 }
    SystemCallsMadeCalls "/system-calls/made:calls", Calls counter, "System calls made by the allocator for memory, for fences, and while it waited for locks.",
        { vector Call each |r, i| r.calls[i].made as i64 }
}

fn large_objects(r: &Reading) -> i64 {
    r.snapshot.total(Total::LargeAllocs) - r.snapshot.total(Total::LargeFrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_well_formed() {
        assert!(TABLE.windows(2).all(|w| w[0].name() < w[1].name()));
        for metric in &TABLE {
            let (path, unit) = metric.name().split_once(':').unwrap();
            assert!(path.starts_with('/') && !unit.is_empty() && !unit.contains(':'), "{}", metric.name());
            assert!(metric.name().bytes().all(|b| b.is_ascii_lowercase() || b"/-:".contains(&b)), "{}", metric.name());
            // The text is written to OpenMetrics and JSON without escapes.
            assert!(!metric.help().contains(['\\', '"', '\n']) && metric.help().ends_with('.'), "{}", metric.name());
            assert_eq!(metric.unit(), unit);
            assert!(core::ptr::eq(Metric::find(metric.name().as_bytes()).unwrap(), metric));
        }
        for name in ["", "/", "/gc/heap/allocs", "/gc/heap/allocs:objectss", "/zzz:bytes"] {
            assert!(Metric::find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn an_empty_reading_knows_nothing_and_nothing_panics() {
        let mut reading = Reading::new();
        for metric in &TABLE {
            assert!(!metric.is_known(&reading) && metric.number(&reading).is_none(), "{}", metric.name());
            assert!(!metric.elements(&reading, &mut [0; 100]), "{}", metric.name());
        }
        // A reading with all figures wrong.
        reading.words_mut().fill(u64::MAX);
        for metric in &TABLE {
            let mut out = [7; 100];
            assert_eq!(metric.elements(&reading, &mut out), metric.kind() != Kind::Uint64);
            let written = if metric.kind() == Kind::Uint64 { 0 } else { metric.len() };
            assert!(out[..written].iter().all(|&n| n != 7) && out[written..].iter().all(|&n| n == 7));
            assert_eq!(metric.c_name().to_bytes(), metric.name().as_bytes());
            assert_eq!(metric.c_help().to_bytes(), metric.help().as_bytes());
        }
        let of_system = Metric::find(b"/os/rss:bytes").unwrap();
        assert!(of_system.number(&reading).is_none(), "a figure that the OS did not have is not known");
    }
}
