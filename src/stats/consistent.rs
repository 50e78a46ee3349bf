//! The consistent statistics of one allocator: its writers post, and a reader takes snapshots.
//!
//! The protocol is in `writer`, `cut` and `published`. This file has the lock that serialises readers, the bounds
//! on waiting, and the heavy fence. The design follows the Go runtime's consistentHeapStats (mstats.go), but a
//! reader there waits for writers; `docs/decisions/0009-the-reader-does-not-wait.md` gives the reason for the
//! difference.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use super::cut::{CLOSED, Cut, Section};
use super::delta::Delta;
use super::kinds::{ClassDelta, FIELDS, TOTALS};
use super::offsets::WriterOffsets;
use super::published::Published;
use super::snapshot::{Answer, Snapshot, Totals};
use super::sums::Sums;
use super::tally::Tallies;
pub use super::writer::Count;
use super::writer::{self, Scope};
use crate::lock::{Fork, Guard, Mutex, Rank, Waits, backoff, hold_row, let_go_row};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};

/// How long a reader waits for another reader, in nanoseconds. Longer than a time slice: the other reader may have
/// been preempted.
const READER_WAIT: u64 = 10_000_000;
/// How long a crossfoot or a fork waits, in all, for the movements under way, in nanoseconds. With more threads
/// than CPUs, a thread preempted in a movement may be the last to run again.
const MOVEMENT_WAIT: u64 = 1_000_000_000;
/// How long answers stay stale after the OS refused a fence, in nanoseconds. Until then a writer may still act on
/// an old load, without a fence of its own.
const REFUSED_FOR: u64 = 10_000_000;
/// The writer of one cache.
pub type Writer = writer::Writer<TOTALS, FIELDS, CLASSES>;
/// The state of the current reader, protected by the lock of the statistics.
struct ReaderState {
    scratch: Sums,
    sum: Sums,
    /// The generation of the last published snapshot.
    last: Option<usize>,
    /// The last totals read, and their generation.
    totals: Totals,
    totals_at: Option<usize>,
}

/// The consistent statistics of one allocator.
pub struct ConsistentStats<O: Os> {
    cut: Cut<TOTALS, FIELDS, CLASSES>,
    published: Published<TOTALS, FIELDS, CLASSES>,
    /// The number of stale answers.
    stale: AtomicU64,
    /// When the OS refused a fence, or 0. Written under the lock of the statistics.
    refused: AtomicU64,
    /// The reader's state. Its lock serialises readers.
    reading: Mutex<O, ReaderState>,
}

impl<O: Os> ConsistentStats<O> {
    /// Returns statistics without writers.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> ConsistentStats<O> {
        let reading =
            ReaderState { scratch: Sums::new(), sum: Sums::new(), last: None, totals: Totals::new(), totals_at: None };
        ConsistentStats {
            cut: Cut::new(),
            published: Published::new(),
            stale: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            reading: Mutex::new(Rank::Books, reading),
        }
    }

    /// Registers the heavy fence with the OS. If the OS has none, readers and writers use a full fence. `allocator`
    /// calls this once, before any thread posts or reads.
    pub fn register_fence(&self, os: &O) {
        self.cut.set_asymmetric(os.register_fence());
    }

    /// Adds `writer` and its tallies to what readers read, for good.
    ///
    /// # Safety
    /// The writer and its tallies, one for each class, stay at their addresses while the statistics are used. The
    /// writer is registered once.
    pub unsafe fn register(&self, writer: &Writer, tallies: Tallies) {
        // SAFETY: the caller's promise.
        unsafe { self.cut.register(writer, tallies) }
    }

    /// Returns the addresses of the writers, for a reader in another process. `moved` is the distance in bytes from
    /// a writer to the [`Moved`](super::Moved) of its cache; it wraps.
    pub fn offsets(&self, moved: usize) -> WriterOffsets {
        let [sequence, next] = Writer::OFFSETS.map(|offset| offset as u64);
        WriterOffsets { first: self.cut.head_address(), sequence, next, moved: moved as u64 }
    }

    /// Posts an entry. The caller owns `writer`, and makes the memory that the entry is about visible to other
    /// threads only after this returns.
    pub fn post(&self, writer: &Writer, delta: &Delta) {
        put::<O>(self.cut.begin(writer), delta);
    }

    /// Posts a change of one class, under the conditions of [`ConsistentStats::post`].
    #[inline]
    pub fn post_class(&self, writer: &Writer, class: Class, e: &ClassDelta) {
        self.cut.put_class(writer, class.index(), &e.fields());
    }

    /// Counts `n` objects of a class. The caller owns `writer`.
    ///
    /// Sent objects are counted before the owner of their span can see them. Objects that returned to a span are
    /// counted before they can be allocated again and before the span changes its owner.
    #[inline(always)]
    pub fn count(&self, writer: &Writer, class: Class, count: Count, n: usize) {
        self.cut.count(writer, class.index(), count, n as i64);
    }

    /// Records that the cache is about to refill its free list of a class, and counts `freed` frees that were not
    /// counted yet. The caller owns `writer` and has posted the span of the objects.
    #[inline(always)]
    pub fn refill(&self, writer: &Writer, class: Class, freed: u32) {
        self.cut.refill(writer, class.index(), i64::from(freed));
    }

    /// Starts a movement of accounts that no lock protects. It is posted through the result, and ends when that is
    /// dropped.
    ///
    /// Returns `None` while a reader compares the accounts with the statistics; the caller then makes the movement
    /// under the page heap's lock, and waits for it. The caller owns `writer`.
    #[inline]
    pub fn enter<'a>(&'a self, writer: &'a Writer) -> Option<Movement<'a, O>> {
        self.cut.enter(writer).map(|section| Movement { section, os: PhantomData })
    }

    /// Executes the reader's side of the pair of fences. Returns `false` if the OS refused it, now or less than
    /// [`REFUSED_FOR`] ago; without a clock, if it ever did.
    fn heavy_fence(&self, os: &O) -> bool {
        if self.cut.is_asymmetric() {
            let reached = os.fence_all();
            if !reached {
                // From now on both sides use a full fence.
                self.cut.set_asymmetric(false);
                self.refused.store(O::now().max(1), Ordering::Relaxed);
            }
            return reached;
        }
        core::sync::atomic::fence(Ordering::SeqCst);
        let refused = self.refused.load(Ordering::Relaxed);
        refused == 0 || O::now().saturating_sub(refused) >= REFUSED_FOR
    }

    /// Writes a consistent snapshot to `out`.
    ///
    /// Takes the lock of the statistics, which no allocating thread takes. Waits at most 10 ms for another reader,
    /// and for no other thread.
    pub fn read(&self, os: &O, out: &mut Snapshot) -> Answer {
        if self.reading.is_mine() {
            // A signal handler interrupted the reader of this thread.
            return self.stale(out);
        }
        let arrival = self.cut.arrive();
        let Some(mut reading) = self.reading.lock_while(backoff::<O>(READER_WAIT)) else { return self.stale(out) };
        if reading.last.is_some_and(|fresh| arrival.is_before(fresh)) && self.published.read(&mut out.sums).is_some() {
            return Answer::Complete;
        }
        self.read_locked(&mut reading, os, out)
    }

    /// Like [`ConsistentStats::read`], for the end of the process. If the caller is a signal handler that
    /// interrupted a reading of its own thread, that reading never continues: a second one is taken, with its sums
    /// on the stack.
    pub fn read_at_end(&self, os: &O, out: &mut Snapshot) -> Answer {
        if !self.reading.is_mine() {
            return self.read(os, out);
        }
        out.clear();
        match self.cut.read(Scope::All, || self.heavy_fence(os), &mut Sums::new(), &mut out.sums) {
            Some(_) => Answer::Complete,
            None => self.stale(out),
        }
    }

    /// Like [`ConsistentStats::read`], but waits for no thread, and other readers do not share the snapshot.
    /// Returns `false` if another reader is active or the OS refused the fence.
    pub fn try_read(&self, os: &O, out: &mut Snapshot) -> bool {
        let Some(mut guard) = self.reading.try_lock() else { return false };
        let reading = &mut *guard;
        out.clear();
        // This moves the generation without publishing. Generations wrap, so an old one must not be compared with a
        // new arrival.
        reading.last = None;
        reading.totals_at = None;
        self.cut.read(Scope::All, || self.heavy_fence(os), &mut reading.scratch, &mut out.sums).is_some()
    }

    /// Like [`ConsistentStats::read`], but reads the totals only.
    pub fn read_totals(&self, os: &O, out: &mut Totals) -> Answer {
        let arrival = self.cut.arrive();
        let Some(mut guard) = self.reading.lock_while(backoff::<O>(READER_WAIT)) else {
            return self.stale_totals(out);
        };
        let reading = &mut *guard;
        if !reading.totals_at.is_some_and(|fresh| arrival.is_before(fresh)) {
            let heavy = || self.heavy_fence(os);
            reading.sum.totals = [0; TOTALS];
            let Some(fresh) = self.cut.read(Scope::Totals, heavy, &mut reading.scratch, &mut reading.sum) else {
                drop(guard);
                return self.stale_totals(out);
            };
            reading.totals = Totals(reading.sum.totals);
            reading.totals_at = Some(fresh);
            // This moves the generation without publishing. Generations wrap, so an old one must not be compared
            // with a new arrival.
            reading.last = None;
        }
        *out = reading.totals;
        Answer::Complete
    }

    fn read_locked(&self, reading: &mut ReaderState, os: &O, out: &mut Snapshot) -> Answer {
        out.clear();
        let heavy = || self.heavy_fence(os);
        let Some(fresh) = self.cut.read(Scope::All, heavy, &mut reading.scratch, &mut out.sums) else {
            return self.stale(out);
        };
        self.published.publish(&out.sums, O::now());
        reading.last = Some(fresh);
        reading.totals = out.totals();
        reading.totals_at = Some(fresh);
        Answer::Complete
    }

    /// Writes the last complete snapshot to `out`. For signal handlers: takes no lock, calls the OS for the time
    /// only, and may interrupt anything, including a reader.
    pub fn last(&self, out: &mut Snapshot) -> Answer {
        match self.published.read(&mut out.sums) {
            Some(taken) => Answer::Stale { nanos: O::now().saturating_sub(taken) },
            None => {
                out.clear();
                Answer::Unavailable
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn stale(&self, out: &mut Snapshot) -> Answer {
        self.stale.fetch_add(1, Ordering::Relaxed);
        self.last(out)
    }

    #[cold]
    #[inline(never)]
    fn stale_totals(&self, out: &mut Totals) -> Answer {
        let mut last = Snapshot::new();
        let answer = self.stale(&mut last);
        *out = last.totals();
        answer
    }

    /// Returns the number of stale answers. [`ConsistentStats::last`] is not counted.
    pub fn stale_reads(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// Returns the number of writers in an entry that changes the totals, or in a movement. Writers are read one
    /// after the other. For tests.
    pub fn writers_inside(&self) -> usize {
        self.cut.writers_inside()
    }

    /// Takes the lock of the statistics. The caller is the only reader while the result lives.
    pub fn reader(&self) -> Reader<'_, O> {
        Reader { stats: self, reading: self.reading.lock() }
    }

    /// Returns how threads waited for the lock of the statistics.
    pub fn waits(&self) -> Waits {
        self.reading.waits()
    }

    /// Returns whether the calling thread holds the lock of the statistics.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.reading.is_mine()
    }

    /// Takes the lock of the statistics for a fork, and closes the gate to movements that no lock protects.
    ///
    /// Waits at most a second for the movements under way, except those of `own` writers, which belong to the
    /// calling thread.
    pub fn hold_for_fork(&self, os: &O, fork: &Fork, own: impl Fn(&Writer) -> bool) {
        hold_row([&self.reading], fork);
        if !self.reading.is_mine() {
            // Another thread closed the gate. A fork inside the allocator does not wait for it.
            return;
        }
        // If a thread was stopped in a movement, the child's accounts may be off by that movement. Its snapshots
        // are not.
        let (mut within, heavy) = (backoff::<O>(MOVEMENT_WAIT), || self.heavy_fence(os));
        let _ = self.cut.close_gate_by(CLOSED + fork.level(), own, heavy, || fork.waits::<O>() && within());
    }

    /// Releases what [`ConsistentStats::hold_for_fork`] took. In the child, registers the fence again.
    ///
    /// # Safety
    /// This thread, or in the child the thread that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, os: &O, fork: &Fork, own: impl Fn(&Writer) -> bool, child: bool) {
        if child {
            if self.cut.is_asymmetric() {
                self.register_fence(os);
            }
            self.cut.abandon_others(own);
            if !self.reading.is_mine() {
                // The thread that read does not exist in the child.
                self.cut.open();
            }
        }
        self.cut.open_gate_by(CLOSED + fork.level());
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.reading], fork, child) };
    }
}

fn put<O: Os>(section: Section<'_, TOTALS, FIELDS, CLASSES>, delta: &Delta) {
    match &delta.class {
        Some((class, e)) => section.put(&delta.totals, Some((class.index(), &e.fields())), O::halfway),
        None => section.put(&delta.totals, None, O::halfway),
    }
}

/// A movement of accounts that no lock protects. A reader that compares accounts and statistics waits for it.
pub struct Movement<'a, O: Os> {
    section: Section<'a, TOTALS, FIELDS, CLASSES>,
    os: PhantomData<fn() -> O>,
}

impl<O: Os> Movement<'_, O> {
    /// Posts the entry of this movement and ends the movement.
    pub fn post(self, delta: &Delta) {
        put::<O>(self.section, delta);
    }
}

/// The right to read: at most one exists.
pub struct Reader<'a, O: Os> {
    stats: &'a ConsistentStats<O>,
    reading: Guard<'a, O, ReaderState>,
}

impl<O: Os> Reader<'_, O> {
    /// Closes the gate to movements that no lock protects until [`Reader::open`], and waits at most a second for
    /// those under way. Returns `false` if one did not end, because its thread was stopped, or if the OS refused
    /// the fence.
    ///
    /// The caller takes the page heap's lock only afterwards: a thread that finds the gate closed waits for that
    /// lock.
    pub fn close(&mut self, os: &O) -> bool {
        let stats = self.stats;
        stats.cut.close(|| stats.heavy_fence(os), backoff::<O>(MOVEMENT_WAIT))
    }

    /// Opens the gate to movements again.
    pub fn open(&mut self) {
        self.stats.cut.open();
    }

    /// Like [`ConsistentStats::read`], without waiting.
    pub fn read(&mut self, os: &O, out: &mut Snapshot) -> Answer {
        self.stats.read_locked(&mut self.reading, os, out)
    }
}
