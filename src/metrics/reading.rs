//! What metrics are computed from.

use super::aggregates::{Aggregate, Aggregates};
use crate::heap::{CHUNK_BOUNDS, Chunks};
use crate::lock::{Rank, Waits};
use crate::os::{CALLS, Made};
use crate::size_class::Class;
use crate::stats::{Account, Answer, ClassTotals, Snapshot};

/// The ranks of which a kernel has locks. What it lacks has no figures.
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

/// The most memory that there was at one time, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Peaks {
    /// Obtained from the system and not given back.
    pub total: u64,
    /// Of that, in state Ready.
    pub ready: u64,
}

/// Figures that only the system knows, as an audit read them. [`OsFigures::UNKNOWN`]: it could not be had, or there is
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct OsFigures {
    /// When they were read, in nanoseconds of the system's clock that never goes back; 0: never.
    pub taken_at: u64,
    /// Physical memory of the process, in bytes.
    pub rss: u64,
    /// The same, with shared pages divided by how many share them.
    pub pss: u64,
    /// Anonymous memory in huge pages.
    pub huge: u64,
    /// Memory in swap.
    pub swapped: u64,
    /// Memory that the system may take without asking (`MADV_FREE`).
    pub lazily_freed: u64,
    /// How many mappings the process has.
    pub mappings: u64,
    /// Memory charged to the control group.
    pub cgroup_current: u64,
    /// The tightest limit of the control group and those above.
    pub cgroup_limit: u64,
}

/// How many words [`OsFigures`] have.
pub const OS_WORDS: usize = size_of::<OsFigures>() / size_of::<u64>();

impl OsFigures {
    /// A figure that could not be had.
    pub const UNKNOWN: u64 = u64::MAX;

    /// No figures: no audit has read any.
    pub const NONE: OsFigures = OsFigures::from_words([0; OS_WORDS]);

    /// The same as words, in the order of the fields.
    pub const fn words(self) -> [u64; OS_WORDS] {
        // SAFETY: nine numbers of eight bytes, without a gap.
        unsafe { core::mem::transmute::<OsFigures, [u64; OS_WORDS]>(self) }
    }

    /// The reverse of [`OsFigures::words`].
    pub const fn from_words(words: [u64; OS_WORDS]) -> OsFigures {
        // SAFETY: as in `words`; any bits are a number.
        unsafe { core::mem::transmute::<[u64; OS_WORDS], OsFigures>(words) }
    }
}

/// Sums over all classes of small objects, of one snapshot.
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

/// Objects of a class freed and home.
pub(super) fn freed(c: &ClassTotals) -> i64 {
    c.frees.wrapping_add(c.received) as i64
}

/// Vacant places, and what each span has behind its last place.
pub(super) fn unused_bytes(c: &ClassTotals, class: Class) -> i64 {
    let spans = c.span_bytes / class.span_pages().bytes() as i64;
    c.vacant * class.size() as i64 + spans * class.tail() as i64
}

/// What metrics are computed from: numbers only, so that another process can be handed them word by word.
///
/// It is large, some six KiB: it stays where it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reading {
    /// The books.
    pub snapshot: Snapshot,
    /// Sums of the snapshot, made once for all metrics.
    pub(super) small: Small,
    /// Which aggregates it has, by bit: the others' fields say nothing.
    pub(super) filled: Aggregates,
    /// When it was read, in nanoseconds of the system's clock that never goes back; 0 where the home has none. Whoever is
    /// handed a reading may set this to the present, so that the ages are right.
    pub read_at: u64,
    /// When the snapshot was taken, by the same clock.
    pub taken_at: u64,
    /// Answers of the books that were stale.
    pub stale: u64,
    /// Caches that were ever made.
    pub caches: u64,
    /// Caches that belong to no thread.
    pub idle: u64,
    /// Waiting for locks, in the order of [`LOCKS`].
    pub locks: [Waits; LOCKS.len()],
    /// System calls, in the order of [`crate::os::Call`].
    pub calls: [Made; CALLS],
    /// Chunks of the heap by how many of their pages are taken.
    pub chunks: Chunks,
    /// The most memory that there was at one time.
    pub peaks: Peaks,
    /// What only the system knows.
    pub os: OsFigures,
    /// The process.
    pub pid: u64,
}

/// How many words a [`Reading`] has.
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
    /// The reading of nothing.
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

    /// The same as words, in the order of the fields.
    pub fn words(&self) -> &[u64; WORDS] {
        // SAFETY: the fields are arrays and numbers of eight bytes each, without a gap, as the size says.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The same as words, to be written.
    pub fn words_mut(&mut self) -> &mut [u64; WORDS] {
        // SAFETY: as in `words`; any bits are a number.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    /// The reading that the words say, which are those of [`Reading::words`], to be written where they are.
    pub fn in_words(words: &mut [u64; WORDS]) -> &mut Reading {
        // SAFETY: as in `words_mut`.
        unsafe { &mut *core::ptr::from_mut(words).cast() }
    }

    /// Whether it has what this aggregate says.
    pub fn has(&self, aggregate: Aggregate) -> bool {
        self.filled.has(aggregate)
    }

    /// Says that nothing in it is of now: what is read from here on is noted.
    pub fn begin(&mut self, now: u64) {
        self.filled = Aggregates::NONE;
        self.read_at = now;
    }

    /// Says that the fields of an aggregate were filled.
    pub fn note(&mut self, aggregate: Aggregate) {
        self.filled = self.filled.with(aggregate);
    }

    /// Says that the snapshot was filled with this answer.
    pub fn note_books(&mut self, answer: Answer) {
        self.taken_at = match answer {
            Answer::Complete => self.read_at,
            Answer::Stale { nanos } => self.read_at.saturating_sub(nanos),
            Answer::Unavailable => return,
        };
        self.small = Small::of(&self.snapshot);
        self.note(Aggregate::ConsistentStats);
    }

    /// Notes how threads waited for a lock of this rank.
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

    /// Nanoseconds since then.
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
