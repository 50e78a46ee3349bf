//! Readings: the figures from which metrics are computed.

use super::aggregates::{Aggregate, Aggregates};
use crate::heap::{CHUNK_BOUNDS, Chunks};
use crate::lock::{Rank, Waits};
use crate::os::{CALLS, Made};
use crate::size_class::Class;
use crate::stats::{Account, Answer, ClassTotals, Snapshot};

/// The ranks that have a lock in an allocator. Other ranks have no figures.
pub const LOCKS: [Rank; 12] = [
    Rank::Boot,
    Rank::Sysmon,
    Rank::Trace,
    Rank::Metrics,
    Rank::Ledger,
    Rank::Books,
    Rank::Caches,
    Rank::Shared,
    Rank::Central,
    Rank::StackPool,
    Rank::Heap,
    Rank::Mappings,
];

/// Peaks of memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Peaks {
    /// The maximum of the memory obtained from the OS and not given back.
    pub total: u64,
    /// The maximum of the memory in state Ready.
    pub ready: u64,
}

/// Figures that only the OS has, as an audit read them. [`OsFigures::UNKNOWN`] if a figure does not exist or cannot be
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct OsFigures {
    /// When they were read, in nanoseconds of the OS's monotonic clock; 0 means never.
    pub taken_at: u64,
    /// Physical memory of the process, in bytes.
    pub rss: u64,
    /// The same, with each shared page divided by the number of processes that share it.
    pub pss: u64,
    /// Anonymous memory in huge pages.
    pub huge: u64,
    /// Memory in swap.
    pub swapped: u64,
    /// Memory that Linux may reclaim at any time (`MADV_FREE`).
    pub lazily_freed: u64,
    /// The number of mappings of the process.
    pub mappings: u64,
    /// Memory charged to the control group.
    pub cgroup_current: u64,
    /// The lowest limit of the control group and its ancestors.
    pub cgroup_limit: u64,
}

/// The number of words of [`OsFigures`].
pub const OS_WORDS: usize = size_of::<OsFigures>() / size_of::<u64>();

impl OsFigures {
    /// The value of a figure that could not be read.
    pub const UNKNOWN: u64 = u64::MAX;

    /// The value before the first audit.
    pub const NONE: OsFigures = OsFigures::from_words([0; OS_WORDS]);

    /// Returns the figures as words, in the order of the fields.
    pub const fn words(self) -> [u64; OS_WORDS] {
        // SAFETY: nine integers of eight bytes, without padding.
        unsafe { core::mem::transmute::<OsFigures, [u64; OS_WORDS]>(self) }
    }

    /// Returns the figures from words; the inverse of [`OsFigures::words`].
    pub const fn from_words(words: [u64; OS_WORDS]) -> OsFigures {
        // SAFETY: as in `words`; any bits are valid integers.
        unsafe { core::mem::transmute::<[u64; OS_WORDS], OsFigures>(words) }
    }
}

/// Sums over all classes of small objects in one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Small {
    pub(super) allocs: i64,
    pub(super) alloc_bytes: i64,
    pub(super) frees: i64,
    pub(super) free_bytes: i64,
    pub(super) live: i64,
    pub(super) live_bytes: i64,
    pub(super) in_transit: i64,
    pub(super) in_transit_bytes: i64,
    pub(super) unused: i64,
}

impl Small {
    const NONE: Small = Small {
        allocs: 0,
        alloc_bytes: 0,
        frees: 0,
        free_bytes: 0,
        live: 0,
        live_bytes: 0,
        in_transit: 0,
        in_transit_bytes: 0,
        unused: 0,
    };

    fn of(snapshot: &Snapshot) -> Small {
        let mut sums = Small::NONE;
        for (class, c) in snapshot.classes() {
            let (size, allocs, frees, live) = (class.size() as i64, c.allocs as i64, freed(&c), c.live());
            sums.allocs += allocs;
            sums.alloc_bytes += allocs * size;
            sums.frees += frees;
            sums.free_bytes += frees * size;
            sums.live += live;
            sums.live_bytes += live * size;
            sums.in_transit += c.in_transit();
            sums.in_transit_bytes += c.in_transit() * size;
            sums.unused += unused_bytes(&c, class);
        }
        sums
    }
}

/// Returns the objects of a class that were freed and returned to their span.
pub(super) fn freed(c: &ClassTotals) -> i64 {
    c.frees.wrapping_add(c.received) as i64
}

/// Returns the bytes of vacant slots and of the ends of spans, where no object fits.
pub(super) fn unused_bytes(c: &ClassTotals, class: Class) -> i64 {
    let spans = c.span_bytes / class.span_pages().bytes() as i64;
    c.vacant * class.size() as i64 + spans * class.tail() as i64
}

/// The figures from which metrics are computed: integers only, so that another process can copy them as words.
///
/// About six KiB: it stays where it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reading {
    /// The snapshot of the statistics.
    pub snapshot: Snapshot,
    /// Sums over the snapshot, computed once for all metrics.
    pub(super) small: Small,
    /// The aggregates that are filled, as bits. The fields of the others have no meaning.
    pub(super) filled: Aggregates,
    /// When it was read, in nanoseconds of the OS's monotonic clock; 0 without a clock. A process that copies a reading
    /// may set this to the present time, so that the ages are correct.
    pub read_at: u64,
    /// When the snapshot was taken, by the same clock.
    pub taken_at: u64,
    /// The number of stale answers of the statistics.
    pub stale: u64,
    /// The number of caches ever made.
    pub caches: u64,
    /// The number of caches without a thread.
    pub idle: u64,
    /// The waits for locks, in the order of [`LOCKS`].
    pub locks: [Waits; LOCKS.len()],
    /// System calls, in the order of [`crate::os::Call`].
    pub calls: [Made; CALLS],
    /// Chunks of the heap by the number of their taken pages.
    pub chunks: Chunks,
    /// Peaks of memory.
    pub peaks: Peaks,
    /// Figures that only the OS has.
    pub os: OsFigures,
    /// The process id.
    pub pid: u64,
}

/// The number of words of a [`Reading`].
pub const WORDS: usize = size_of::<Reading>() / size_of::<u64>();

const _: () = assert!(align_of::<Reading>() <= align_of::<u64>() && size_of::<Reading>() == WORDS * size_of::<u64>());
const _: () = assert!(
    WORDS
        == size_of::<Snapshot>() / 8
            + 9
            + 6
            + 2 * LOCKS.len()
            + 2 * CALLS
            + (CHUNK_BOUNDS.len() + 2)
            + 2
            + OS_WORDS
            + 1,
    "every field is counted, and none has a gap"
);

impl Reading {
    /// Returns a reading without figures.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Reading {
        Reading {
            snapshot: Snapshot::new(),
            small: Small::NONE,
            filled: Aggregates::NONE,
            read_at: 0,
            taken_at: 0,
            stale: 0,
            caches: 0,
            idle: 0,
            locks: [Waits { contended: 0, nanos: 0 }; LOCKS.len()],
            calls: [Made { made: 0, failed: 0 }; CALLS],
            chunks: Chunks::new(),
            peaks: Peaks { total: 0, ready: 0 },
            os: OsFigures::NONE,
            pid: 0,
        }
    }

    /// Returns the reading as words, in the order of the fields.
    pub fn words(&self) -> &[u64; WORDS] {
        // SAFETY: the fields are arrays and integers of eight bytes each, without padding, as the assertion on the size
        // shows.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// Returns the reading as mutable words.
    pub fn words_mut(&mut self) -> &mut [u64; WORDS] {
        // SAFETY: as in `words`; any bits are valid integers.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    /// Returns the reading that consists of `words`, in place.
    pub fn in_words(words: &mut [u64; WORDS]) -> &mut Reading {
        // SAFETY: as in `words_mut`.
        unsafe { &mut *core::ptr::from_mut(words).cast() }
    }

    /// Returns whether an aggregate is filled.
    pub fn has(&self, aggregate: Aggregate) -> bool {
        self.filled.has(aggregate)
    }

    /// Clears the set of filled aggregates, and sets the time of the reading.
    pub fn begin(&mut self, now: u64) {
        self.filled = Aggregates::NONE;
        self.read_at = now;
    }

    /// Marks an aggregate as filled.
    pub fn note(&mut self, aggregate: Aggregate) {
        self.filled = self.filled.with(aggregate);
    }

    /// Marks the snapshot as filled, with this answer.
    pub fn note_books(&mut self, answer: Answer) {
        self.taken_at = match answer {
            Answer::Complete => self.read_at,
            Answer::Stale { nanos } => self.read_at.saturating_sub(nanos),
            Answer::Unavailable => return,
        };
        self.small = Small::of(&self.snapshot);
        self.note(Aggregate::ConsistentStats);
    }

    /// Adds the waits for a lock of this rank.
    pub fn note_lock(&mut self, rank: Rank, waits: Waits) {
        match LOCKS.iter().position(|&other| other == rank) {
            Some(i) => {
                self.locks[i].contended += waits.contended;
                self.locks[i].nanos += waits.nanos;
            }
            None => debug_assert!(false, "{rank:?} is not in the table of locks that have figures"),
        }
    }

    pub(super) fn account(&self, account: Account) -> i64 {
        self.snapshot.account(account)
    }

    /// Returns the nanoseconds since `since`.
    pub(super) fn age(&self, since: u64) -> i64 {
        self.read_at.saturating_sub(since) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_fields_in_their_order() {
        let mut reading = Reading::new();
        reading.pid = 7;
        reading.os.taken_at = 9;
        assert_eq!((reading.words()[WORDS - 1], reading.words()[WORDS - 1 - OS_WORDS]), (7, 9));
        let mut other = Reading::new();
        other.words_mut().copy_from_slice(reading.words());
        assert_eq!(other, reading);
        let figures = OsFigures { swapped: 5, cgroup_limit: OsFigures::UNKNOWN, ..OsFigures::NONE };
        assert_eq!(OsFigures::from_words(figures.words()), figures);
        assert_eq!((figures.words()[4], figures.words()[8]), (5, u64::MAX));
    }
}
