//! The books of one kernel: who posts, and who reads.
//!
//! The protocol is in `writer`, `cut` and `published`; here are the lock that serialises readers, the bounds on
//! waiting, and the fence. After the Go runtime's consistentHeapStats (mstats.go), whose reader waits for writers;
//! `docs/decisions/0009-the-reader-does-not-wait.md` says why this one does not.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

use super::cut::{CLOSED, Cut, Section};
use super::delta::Delta;
use super::kinds::{ClassDelta, FIELDS, TOTALS};
use super::offsets::WriterOffsets;
use super::published::Published;
use super::snapshot::{Answer, Snapshot, Totals};
use super::tally::Tallies;
use super::writer::{self, Scope};
pub use super::writer::{COUNTS, Count};
use crate::lock::{Fork, Guard, Mutex, Rank, Waits, backoff, hold_row, let_go_row};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};

/// How long somebody who reads waits for another reader, in nanoseconds: longer than a time slice, because that
/// one may have lost its CPU.
const READER_WAIT: u64 = 10_000_000;
/// How long a crossfoot or a fork waits for all movements that are under way together, in nanoseconds. With more
/// threads than CPUs, one that lost its CPU in the middle of a movement may be the last of all to get it back.
const MOVER_WAIT: u64 = 1_000_000_000;
/// How long answers stay stale after the system refused a fence, in nanoseconds: until then a writer may act on what
/// it loaded before, and have no fence on its side.
const REFUSED_FOR: u64 = 10_000_000;
/// The writing side of one cache.
pub type Writer = writer::Writer<TOTALS, FIELDS, CLASSES>;
/// Sums over writers.
pub type Sums = writer::Sums<TOTALS, FIELDS, CLASSES>;

/// What the reader of the moment uses and leaves; kept under the books' lock.
struct Reading {
    scratch: Sums,
    sum: Sums,
    /// The generation of the last snapshot; what it said is published.
    last: Option<usize>,
    /// The totals read last, and the generation of that.
    totals: Totals,
    totals_at: Option<usize>,
}

/// The consistent statistics of one kernel.
pub struct ConsistentStats<O: Os> {
    cut: Cut<TOTALS, FIELDS, CLASSES>,
    published: Published<TOTALS, FIELDS, CLASSES>,
    /// How many answers were stale.
    stale: AtomicU64,
    /// When the system refused a fence; 0: never. Written under the books' lock.
    refused: AtomicU64,
    /// The reader's state; its lock serialises readers.
    reading: Mutex<O, Reading>,
}

impl<O: Os> ConsistentStats<O> {
    /// Empty books.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> ConsistentStats<O> {
        let reading =
            Reading { scratch: Sums::new(), sum: Sums::new(), last: None, totals: Totals::new(), totals_at: None };
        ConsistentStats {
            cut: Cut::new(),
            published: Published::new(),
            stale: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            reading: Mutex::new(Rank::Books, reading),
        }
    }

    /// Registers the fence with the system. Where there is none, both sides use a real fence from here on. Called once, by
    /// `boot`, before anybody posts or reads.
    pub fn register_fence(&self, os: &O) {
        self.cut.set_asymmetric(os.register_fence());
    }

    /// Makes `writer` known to readers, for good, and where its tallies are.
    ///
    /// # Safety
    /// The writer and its tallies, one for each class, stay where they are for as long as the books are used, and the
    /// writer is registered once.
    pub unsafe fn register(&self, writer: &Writer, tallies: Tallies) {
        // SAFETY: the caller's promise.
        unsafe { self.cut.register(writer, tallies) }
    }

    /// Where the writers lie, for a reader in another process. `moved` is where [`Moved`](super::Moved) lies, in bytes from a
    /// writer's first one, which wraps.
    pub fn offsets(&self, moved: usize) -> WriterOffsets {
        let [sequence, next] = Writer::OFFSETS.map(|place| place as u64);
        WriterOffsets { first: self.cut.first_place(), sequence, next, moved: moved as u64 }
    }

    /// Posts a whole entry. The caller owns `writer`, and lets nobody see what the entry speaks of before this
    /// returns.
    pub fn post(&self, writer: &Writer, delta: &Delta) {
        put::<O>(self.cut.begin(writer), delta);
    }

    /// Posts what happened to one class. As for [`ConsistentStats::post`].
    #[inline]
    pub fn post_class(&self, writer: &Writer, class: Class, e: &ClassDelta) {
        self.cut.put_class(writer, class.index(), &e.fields());
    }

    /// Counts `n` objects of a class. The caller owns `writer`.
    ///
    /// Objects sent to the owner of their span are counted before it can learn of them; objects that a span got back,
    /// before they can be allocated again, and before the span changes hands.
    #[inline(always)]
    pub fn count(&self, writer: &Writer, class: Class, count: Count, n: usize) {
        self.cut.count(writer, class.index(), count, n as i64);
    }

    /// Notes that the slot of a class is about to get objects, of which `freed` are frees that were not counted. The
    /// caller owns `writer`, and has posted the objects' span.
    #[inline(always)]
    pub fn refill(&self, writer: &Writer, class: Class, freed: u32) {
        self.cut.refill(writer, class.index(), i64::from(freed));
    }

    /// Begins a movement of accounts that no lock protects; it is posted through the result, and ends with it.
    /// `None` while a reader compares the accounts with the books: then the movement is made under the page
    /// heap's lock, for which it waits. The caller owns `writer`.
    #[inline]
    pub fn enter<'a>(&'a self, writer: &'a Writer) -> Option<Movement<'a, O>> {
        self.cut.enter(writer).map(|section| Movement { section, os: PhantomData })
    }

    /// The reader's side of the pair of fences. `false`: the system refused it, now or less than [`REFUSED_FOR`] ago;
    /// without a clock, ever.
    fn heavy_fence(&self, os: &O) -> bool {
        if self.cut.is_asymmetric() {
            let reached = os.fence_all();
            if !reached {
                // From now on both sides use a real one.
                self.cut.set_asymmetric(false);
                self.refused.store(O::now().max(1), Ordering::Relaxed);
            }
            return reached;
        }
        core::sync::atomic::fence(Ordering::SeqCst);
        let refused = self.refused.load(Ordering::Relaxed);
        refused == 0 || O::now().saturating_sub(refused) >= REFUSED_FOR
    }

    /// One consistent snapshot, written to `out`.
    ///
    /// Takes the books' lock; no allocating thread ever does. Waits at most 10 ms for another reader, and for
    /// nobody else.
    pub fn read(&self, os: &O, out: &mut Snapshot) -> Answer {
        if self.reading.is_mine() {
            // A signal handler interrupted the reader.
            return self.stale(out);
        }
        let arrival = self.cut.arrive();
        let Some(mut reading) = self.reading.lock_while(backoff::<O>(READER_WAIT)) else { return self.stale(out) };
        if reading.last.is_some_and(|fresh| arrival.is_before(fresh)) && self.published.read(&mut out.sums).is_some() {
            return Answer::Complete;
        }
        self.read_locked(&mut reading, os, out)
    }

    /// As [`ConsistentStats::read`], where the process ends: a reading of this thread that a signal handler interrupted never goes on,
    /// and another one is made beside it, with sums of its own on the stack.
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

    /// As [`ConsistentStats::read`], but waits for nobody, and is not kept for others. `false`: another reader is at work, or the
    /// system refused the fence.
    pub fn try_read(&self, os: &O, out: &mut Snapshot) -> bool {
        let Some(mut guard) = self.reading.try_lock() else { return false };
        let reading = &mut *guard;
        out.clear();
        // Nobody who came before the last snapshot waits any more, and generations wrap.
        reading.last = None;
        reading.totals_at = None;
        self.cut.read(Scope::All, || self.heavy_fence(os), &mut reading.scratch, &mut out.sums).is_some()
    }

    /// As [`ConsistentStats::read`], but the totals only.
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
            // Nobody who came before the last snapshot waits any more, and generations wrap.
            reading.last = None;
        }
        *out = reading.totals;
        Answer::Complete
    }

    fn read_locked(&self, reading: &mut Reading, os: &O, out: &mut Snapshot) -> Answer {
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

    /// The last complete snapshot, for a signal handler: takes no lock, calls the system for the time only, and
    /// may interrupt anything, a reader too.
    pub fn last(&self, out: &mut Snapshot) -> Answer {
        match self.published.read(&mut out.sums) {
            Some(taken) => Answer::Stale { nanos: O::now().saturating_sub(taken) },
            None => {
                out.clear();
                Answer::EmptyCache
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

    /// How many answers were stale. [`ConsistentStats::last`] is not counted.
    pub fn stale_reads(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// How many writers are in an entry that changes the totals, or in a movement, at this instant or another. For
    /// tests.
    pub fn writers_inside(&self) -> usize {
        self.cut.writers_inside()
    }

    /// The right to read, for as long as the result lives: takes the books' lock.
    pub fn reader(&self) -> Reader<'_, O> {
        Reader { stats: self, reading: self.reading.lock() }
    }

    /// How threads waited for the books' lock.
    pub fn waits(&self) -> Waits {
        self.reading.waits()
    }

    /// Whether the calling thread holds the books' lock.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.reading.is_mine()
    }

    /// Takes the books' lock for a fork, and keeps movements out that no lock protects. Waits for those under
    /// way, at most a second; not for those of writers that are `own`, the calling thread's.
    pub fn hold_for_fork(&self, os: &O, fork: &Fork, own: impl Fn(&Writer) -> bool) {
        hold_row([&self.reading], fork);
        if !self.reading.is_mine() {
            // The door is another thread's, for whom a fork inside the allocator does not wait.
            return;
        }
        // Where a thread was stopped in a movement, the child's accounts may be off by that; its snapshots are not.
        let (mut within, heavy) = (backoff::<O>(MOVER_WAIT), || self.heavy_fence(os));
        let _ = self.cut.close_gate_by(CLOSED + fork.level(), own, heavy, || fork.waits::<O>() && within());
    }

    /// Releases what [`ConsistentStats::hold_for_fork`] took; in the child, the fence is registered anew.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, os: &O, fork: &Fork, own: impl Fn(&Writer) -> bool, child: bool) {
        if child {
            if self.cut.is_asymmetric() {
                self.register_fence(os);
            }
            self.cut.abandon_others(own);
            if !self.reading.is_mine() {
                // The reader is not there any more.
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

/// A movement of accounts that no lock protects, and that a reader who compares waits for.
pub struct Movement<'a, O: Os> {
    section: Section<'a, TOTALS, FIELDS, CLASSES>,
    os: PhantomData<fn() -> O>,
}

impl<O: Os> Movement<'_, O> {
    /// Posts the entry of this movement, and ends it.
    pub fn post(self, delta: &Delta) {
        put::<O>(self.section, delta);
    }
}

/// The one reader of the moment.
pub struct Reader<'a, O: Os> {
    stats: &'a ConsistentStats<O>,
    reading: Guard<'a, O, Reading>,
}

impl<O: Os> Reader<'_, O> {
    /// Keeps lock-free movements out until [`Reader::open`], and waits for those under way, at most a second.
    /// `false`: a thread was stopped in the middle of one. Before the page heap's lock is taken, for which a
    /// kept-out thread waits.
    pub fn close(&mut self, os: &O) -> bool {
        let stats = self.stats;
        stats.cut.close(|| stats.heavy_fence(os), backoff::<O>(MOVER_WAIT))
    }

    /// Lets lock-free movements in again.
    pub fn open(&mut self) {
        self.stats.cut.open();
    }

    /// As [`ConsistentStats::read`], without waiting for anybody.
    pub fn read(&mut self, os: &O, out: &mut Snapshot) -> Answer {
        self.stats.read_locked(&mut self.reading, os, out)
    }
}
