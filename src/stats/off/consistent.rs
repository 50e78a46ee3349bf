//! The books of a build without books: doors to nothing.

use core::marker::PhantomData;

use super::delta::Delta;
use super::kinds::{ClassDelta, FIELDS, TOTALS};
use super::offsets::WriterOffsets;
use super::snapshot::{Answer, Snapshot, Totals};
use super::tally::Tallies;
use crate::lock::{Fork, Guard, Mutex, Rank, Waits, hold_row, let_go_row};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};

/// How many counts a class has.
pub const COUNTS: usize = 4;

/// A count of objects of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// Allocated.
    Allocated,
    /// Freed by the owner of their span.
    Freed,
    /// Freed by another thread, and back in their span.
    Received,
    /// Freed by another thread, and on their way to their span.
    Sent,
}

/// The writing side of one cache.
pub struct Writer;

impl Writer {
    /// A writer.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Writer {
        Writer
    }

    /// Never.
    pub fn is_inside(&self) -> bool {
        false
    }
}

/// Sums over nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sums {
    /// All zero.
    pub totals: [i64; TOTALS],
    /// All zero.
    pub classes: [[i64; FIELDS]; CLASSES],
    /// All zero.
    pub counts: [[i64; COUNTS]; CLASSES],
}

impl Sums {
    /// Nothing.
    pub const fn new() -> Sums {
        Sums { totals: [0; TOTALS], classes: [[0; FIELDS]; CLASSES], counts: [[0; COUNTS]; CLASSES] }
    }
}

/// No statistics, and the lock that serialises those who would read them.
pub struct ConsistentStats<O: Os> {
    reading: Mutex<O, ()>,
}

impl<O: Os> ConsistentStats<O> {
    /// Books.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> ConsistentStats<O> {
        ConsistentStats { reading: Mutex::new(Rank::Books, ()) }
    }

    /// Nowhere.
    pub fn offsets(&self, _moved: usize) -> WriterOffsets {
        WriterOffsets { first: 0, sequence: 0, next: 0, moved: 0 }
    }

    /// Nothing.
    pub fn register_fence(&self, _os: &O) {}

    /// Nothing.
    ///
    /// # Safety
    /// None is needed; with books there is.
    pub unsafe fn register(&self, _writer: &Writer, _tallies: Tallies) {}

    /// Nothing.
    #[inline]
    pub fn post(&self, _writer: &Writer, _delta: &Delta) {}

    /// Nothing.
    #[inline]
    pub fn post_class(&self, _writer: &Writer, _class: Class, _e: &ClassDelta) {}

    /// Nothing.
    #[inline]
    pub fn count(&self, _writer: &Writer, _class: Class, _count: Count, _n: usize) {}

    /// Nothing.
    #[inline]
    pub fn refill(&self, _writer: &Writer, _class: Class, _freed: u32) {}

    /// A movement that nobody waits for.
    #[inline]
    pub fn enter<'a>(&'a self, _writer: &'a Writer) -> Option<Movement<'a, O>> {
        Some(Movement(PhantomData))
    }

    /// There is never a snapshot.
    pub fn read(&self, _os: &O, out: &mut Snapshot) -> Answer {
        self.last(out)
    }

    /// There is never a snapshot.
    pub fn read_at_end(&self, _os: &O, out: &mut Snapshot) -> Answer {
        self.last(out)
    }

    /// There is never a snapshot.
    pub fn try_read(&self, _os: &O, _out: &mut Snapshot) -> bool {
        false
    }

    /// There is never a snapshot.
    pub fn read_totals(&self, _os: &O, out: &mut Totals) -> Answer {
        *out = Totals::new();
        Answer::EmptyCache
    }

    /// There is never a snapshot.
    pub fn last(&self, out: &mut Snapshot) -> Answer {
        *out = Snapshot::new();
        Answer::EmptyCache
    }

    /// 0.
    pub fn stale_reads(&self) -> u64 {
        0
    }

    /// 0.
    pub fn writers_inside(&self) -> usize {
        0
    }

    /// Takes the lock.
    pub fn reader(&self) -> Reader<'_, O> {
        Reader { stats: self, _guard: self.reading.lock() }
    }

    /// How threads waited for the lock.
    pub fn waits(&self) -> Waits {
        self.reading.waits()
    }

    /// Whether the calling thread holds the lock.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.reading.is_mine()
    }

    /// Takes the lock for a fork.
    pub fn hold_for_fork(&self, _os: &O, fork: &Fork, _own: impl Fn(&Writer) -> bool) {
        hold_row([&self.reading], fork);
    }

    /// Releases what [`ConsistentStats::hold_for_fork`] took.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, _os: &O, fork: &Fork, _own: impl Fn(&Writer) -> bool, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.reading], fork, child) };
    }
}

/// A movement.
pub struct Movement<'a, O: Os>(PhantomData<&'a ConsistentStats<O>>);

impl<O: Os> Movement<'_, O> {
    /// Nothing.
    #[inline]
    pub fn post(self, _delta: &Delta) {}
}

/// The one reader of the moment.
pub struct Reader<'a, O: Os> {
    stats: &'a ConsistentStats<O>,
    _guard: Guard<'a, O, ()>,
}

impl<O: Os> Reader<'_, O> {
    /// Movements are never kept out.
    pub fn close(&mut self, _os: &O) -> bool {
        false
    }

    /// Nothing.
    pub fn open(&mut self) {}

    /// There is never a snapshot.
    pub fn read(&mut self, os: &O, out: &mut Snapshot) -> Answer {
        self.stats.read(os, out)
    }
}
