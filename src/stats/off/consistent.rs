//! Consistent statistics in a build without them: the same interface, with empty bodies.

use core::marker::PhantomData;

use super::delta::Delta;
use super::kinds::{ClassDelta, FIELDS, TOTALS};
use super::offsets::WriterOffsets;
use super::snapshot::{Answer, Snapshot, Totals};
use super::tally::Tallies;
use crate::lock::{Fork, Guard, Mutex, Rank, Waits, hold_row, let_go_row};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};

/// A count of objects of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// Allocated objects.
    Allocated,
    /// Objects freed by the owner of their span.
    Freed,
    /// Objects freed by another thread and returned to their span.
    Received,
    /// Objects freed by another thread and sent to the owner of their span.
    Sent,
}

/// The writer of one cache.
pub struct Writer;

impl Writer {
    /// Returns a writer.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Writer {
        Writer
    }

    /// Returns `false`.
    pub fn is_inside(&self) -> bool {
        false
    }
}

/// No statistics, and the lock that would serialise their readers.
pub struct ConsistentStats<O: Os> {
    reading: Mutex<O, ()>,
}

impl<O: Os> ConsistentStats<O> {
    /// Returns empty statistics.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> ConsistentStats<O> {
        ConsistentStats { reading: Mutex::new(Rank::Books, ()) }
    }

    /// Returns no addresses: zeros.
    pub fn offsets(&self, _moved: usize) -> WriterOffsets {
        WriterOffsets { first: 0, sequence: 0, next: 0, moved: 0 }
    }

    /// Does nothing.
    pub fn register_fence(&self, _os: &O) {}

    /// Does nothing.
    ///
    /// # Safety
    /// Nothing is required; a build with statistics has requirements.
    pub unsafe fn register(&self, _writer: &Writer, _tallies: Tallies) {}

    /// Does nothing.
    #[inline]
    pub fn post(&self, _writer: &Writer, _delta: &Delta) {}

    /// Does nothing.
    #[inline]
    pub fn post_class(&self, _writer: &Writer, _class: Class, _e: &ClassDelta) {}

    /// Does nothing.
    #[inline]
    pub fn count(&self, _writer: &Writer, _class: Class, _count: Count, _n: usize) {}

    /// Does nothing.
    #[inline]
    pub fn refill(&self, _writer: &Writer, _class: Class, _freed: u32) {}

    /// Returns a movement; no reader waits for it.
    #[inline]
    pub fn enter<'a>(&'a self, _writer: &'a Writer) -> Option<Movement<'a, O>> {
        Some(Movement(PhantomData))
    }

    /// Returns [`Answer::Unavailable`].
    pub fn read(&self, _os: &O, out: &mut Snapshot) -> Answer {
        self.last(out)
    }

    /// Returns [`Answer::Unavailable`].
    pub fn read_at_end(&self, _os: &O, out: &mut Snapshot) -> Answer {
        self.last(out)
    }

    /// Returns `false`.
    pub fn try_read(&self, _os: &O, _out: &mut Snapshot) -> bool {
        false
    }

    /// Returns [`Answer::Unavailable`].
    pub fn read_totals(&self, _os: &O, out: &mut Totals) -> Answer {
        *out = Totals::new();
        Answer::Unavailable
    }

    /// Returns [`Answer::Unavailable`].
    pub fn last(&self, out: &mut Snapshot) -> Answer {
        *out = Snapshot::new();
        Answer::Unavailable
    }

    /// Returns 0.
    pub fn stale_reads(&self) -> u64 {
        0
    }

    /// Returns 0.
    pub fn writers_inside(&self) -> usize {
        0
    }

    /// Takes the lock.
    pub fn reader(&self) -> Reader<'_, O> {
        Reader { stats: self, _guard: self.reading.lock() }
    }

    /// Returns how threads waited for the lock.
    pub fn waits(&self) -> Waits {
        self.reading.waits()
    }

    /// Returns whether the calling thread holds the lock.
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
    /// This thread, or in the child the thread that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, _os: &O, fork: &Fork, _own: impl Fn(&Writer) -> bool, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.reading], fork, child) };
    }
}

/// A movement.
pub struct Movement<'a, O: Os>(PhantomData<&'a ConsistentStats<O>>);

impl<O: Os> Movement<'_, O> {
    /// Does nothing.
    #[inline]
    pub fn post(self, _delta: &Delta) {}
}

/// The right to read: at most one exists.
pub struct Reader<'a, O: Os> {
    stats: &'a ConsistentStats<O>,
    _guard: Guard<'a, O, ()>,
}

impl<O: Os> Reader<'_, O> {
    /// Returns `false`: movements are never kept out.
    pub fn close(&mut self, _os: &O) -> bool {
        false
    }

    /// Does nothing.
    pub fn open(&mut self) {}

    /// Returns [`Answer::Unavailable`].
    pub fn read(&mut self, os: &O, out: &mut Snapshot) -> Answer {
        self.stats.read(os, out)
    }
}
