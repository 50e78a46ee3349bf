//! The consistent heap statistics: writers that never wait, a reader that never stops them.
//!
//! Each writer (a cache) has three sets of deltas and a sequence counter, odd while it writes. A
//! global generation says which set is written. The reader moves the generation on, waits until
//! no writer can still be in the old set, then folds that set of every writer into the totals.
//!
//! Writer: counter odd; fence; load the generation; write; counter even.
//! Reader: store the generation; fence on all threads; load each counter.
//! So for each writer, either the reader sees its odd counter and waits for that value to change,
//! or the writer saw the new generation. After the Go runtime's consistentHeapStats (mstats.go).

use core::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};

use super::entry::{ClassEntry, Entry, TOTALS};
use super::snapshot::Snapshot;
use crate::lock::{Guard, Mutex, Rank, hold_row, let_go_row};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};

/// How many sets of deltas a writer has: one written, one being folded, one clear.
const SETS: usize = 3;
/// How often a reader looks at an odd counter before it yields between looks.
const SPINS: u32 = 200;
/// How long it waits for all writers together before it gives up and answers with the last complete snapshot,
/// in nanoseconds: longer than a time slice, because a thread may lose its CPU in the middle of an entry.
const PATIENCE: u64 = 10_000_000;
/// How often it yields before it gives up, in a home without a clock.
const YIELDS: u32 = 2_000;

/// Everybody may post and move.
const OPEN: u8 = 0;
/// Lock-free movements are kept out: a reader compares the accounts with the books.
const STILL: u8 = 1;
/// Entries outside of locks are kept out too: a fork copies the books.
const SHUT: u8 = 2;

#[derive(Default)]
struct ClassDelta {
    allocs: AtomicU64,
    frees: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    span_bytes: AtomicI64,
}

struct Delta {
    totals: [AtomicI64; TOTALS],
    classes: [ClassDelta; CLASSES],
}

/// Adds to a counter that only one thread writes: no locked instruction.
#[inline(always)]
fn bump(counter: &AtomicU64, n: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n as u64), Ordering::Relaxed);
}

#[inline(always)]
fn bump_signed(counter: &AtomicI64, n: isize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n as i64), Ordering::Relaxed);
}

impl Delta {
    const fn new() -> Delta {
        Delta {
            totals: [const { AtomicI64::new(0) }; TOTALS],
            classes: [const {
                ClassDelta {
                    allocs: AtomicU64::new(0),
                    frees: AtomicU64::new(0),
                    sent: AtomicU64::new(0),
                    received: AtomicU64::new(0),
                    span_bytes: AtomicI64::new(0),
                }
            }; CLASSES],
        }
    }

    fn post(&self, entry: &Entry) {
        for (total, &n) in self.totals.iter().zip(&entry.totals) {
            if n != 0 {
                bump_signed(total, n);
            }
        }
        if let Some((class, e)) = &entry.class {
            self.post_class(*class, e);
        }
    }

    fn post_class(&self, class: Class, e: &ClassEntry) {
        let d = &self.classes[class.index()];
        bump(&d.allocs, e.allocs);
        bump(&d.frees, e.frees);
        bump(&d.sent, e.sent);
        bump(&d.received, e.received);
        bump_signed(&d.span_bytes, e.span_bytes);
    }

    /// Adds this set to `sum` and clears it. No writer may be in it.
    fn fold_into(&self, sum: &mut Snapshot) {
        for (delta, total) in self.totals.iter().zip(sum.totals.iter_mut()) {
            *total += delta.load(Ordering::Relaxed);
            delta.store(0, Ordering::Relaxed);
        }
        for (delta, total) in self.classes.iter().zip(sum.classes.iter_mut()) {
            total.allocs += delta.allocs.load(Ordering::Relaxed);
            total.frees += delta.frees.load(Ordering::Relaxed);
            total.sent += delta.sent.load(Ordering::Relaxed);
            total.received += delta.received.load(Ordering::Relaxed);
            total.span_bytes += delta.span_bytes.load(Ordering::Relaxed);
            delta.allocs.store(0, Ordering::Relaxed);
            delta.frees.store(0, Ordering::Relaxed);
            delta.sent.store(0, Ordering::Relaxed);
            delta.received.store(0, Ordering::Relaxed);
            delta.span_bytes.store(0, Ordering::Relaxed);
        }
    }
}

/// The writing side of one cache. Only the thread that owns the cache posts to it.
///
/// All-zero bytes are a valid new writer.
pub struct Writer {
    /// Odd while its owner writes.
    sequence: AtomicUsize,
    /// The writer registered before this one; never changes after registration.
    next: AtomicPtr<Writer>,
    sets: [Delta; SETS],
}

impl Writer {
    /// A writer that has written nothing and is not registered.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Writer {
        Writer {
            sequence: AtomicUsize::new(0),
            next: AtomicPtr::new(core::ptr::null_mut()),
            sets: [const { Delta::new() }; SETS],
        }
    }
}

/// What the reader has put together; kept under the books' lock.
struct Reading {
    /// Everything folded so far: the last complete snapshot.
    last: Snapshot,
    /// The generation whose sets are not yet folded, because a writer stayed in one past the bound.
    open: Option<usize>,
    /// How many answers were stale.
    stale: u64,
}

/// The consistent statistics of one kernel.
pub struct Books<O: Os> {
    /// Which set is written: 0, 1 or 2. Written by the reader that holds `reading`.
    generation: AtomicUsize,
    /// Who is kept out for now: [`OPEN`], [`STILL`] or [`SHUT`]. Written by whoever holds `reading`.
    door: AtomicU8,
    /// Whether the reader's fence reaches every thread, so that writers need none of their own.
    asymmetric: AtomicBool,
    /// The writer registered last. Writers are never removed.
    writers: AtomicPtr<Writer>,
    /// The reader's state; its lock serialises readers.
    reading: Mutex<O, Reading>,
}

impl<O: Os> Books<O> {
    /// Empty books.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Books<O> {
        Books {
            generation: AtomicUsize::new(0),
            door: AtomicU8::new(OPEN),
            asymmetric: AtomicBool::new(false),
            writers: AtomicPtr::new(core::ptr::null_mut()),
            reading: Mutex::new(Rank::Books, Reading { last: Snapshot::new(), open: None, stale: 0 }),
        }
    }

    /// Registers the fence with the system. Before this both sides use a real fence; that stays so
    /// where the home has none. Called once, by `boot`, before a second thread posts.
    pub fn register_fence(&self, os: &O) {
        let ok = os.register_fence();
        self.asymmetric.store(ok, Ordering::Relaxed);
    }

    /// Makes `writer` known to readers, for good.
    ///
    /// # Safety
    /// The writer stays where it is for as long as the books are used, and is registered once.
    pub unsafe fn register(&self, writer: &Writer) {
        let new = core::ptr::from_ref(writer).cast_mut();
        let mut head = self.writers.load(Ordering::Relaxed);
        loop {
            writer.next.store(head, Ordering::Relaxed);
            // Release: a reader that finds the writer finds its link. The exchange is also a full
            // fence, so that a reader which misses it has moved the generation before.
            match self.writers.compare_exchange_weak(head, new, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Posts a whole entry. The caller owns `writer`.
    pub fn post(&self, writer: &Writer, entry: &Entry) {
        self.write(writer, |set| set.post(entry));
    }

    /// As [`Books::post_class`], for callers that hold no lock: waits while a fork copies the books, so that the
    /// child inherits no half entry. The caller owns `writer`.
    #[inline]
    pub fn post_class_unlocked(&self, writer: &Writer, class: Class, e: &ClassEntry) {
        loop {
            let section = self.begin(writer);
            if self.door.load(Ordering::Relaxed) != SHUT {
                return section.set().post_class(class, e);
            }
            drop(section);
            O::yield_now();
        }
    }

    /// Posts what happened to one class. The caller owns `writer`.
    pub fn post_class(&self, writer: &Writer, class: Class, e: &ClassEntry) {
        self.write(writer, |set| set.post_class(class, e));
    }

    #[inline]
    fn write(&self, writer: &Writer, f: impl FnOnce(&Delta)) {
        let section = self.begin(writer);
        f(section.set());
    }

    /// Makes the writer's counter odd and orders that before the loads that follow.
    #[inline]
    fn begin<'a>(&'a self, writer: &'a Writer) -> Section<'a, O> {
        let sequence = writer.sequence.load(Ordering::Relaxed);
        debug_assert!(sequence.is_multiple_of(2), "a writer posts one entry at a time");
        writer.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        if self.asymmetric.load(Ordering::Relaxed) {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
        Section { books: self, writer, odd: sequence.wrapping_add(1) }
    }

    /// Begins a movement of accounts that no lock protects; it is posted through the result, and ends with it.
    /// `None` while a reader compares the accounts with the books: then the movement is made under the page
    /// heap's lock, for which it waits. The caller owns `writer`.
    #[inline]
    pub fn enter<'a>(&'a self, writer: &'a Writer) -> Option<Section<'a, O>> {
        let section = self.begin(writer);
        if self.door.load(Ordering::Relaxed) != OPEN { None } else { Some(section) }
    }

    /// The reader's side of the fence.
    fn fence_all(&self, os: &O) {
        if self.asymmetric.load(Ordering::Relaxed) {
            os.fence_all();
        } else {
            fence(Ordering::SeqCst);
        }
    }

    fn each_writer(&self, mut f: impl FnMut(&Writer)) {
        let mut p = self.writers.load(Ordering::SeqCst);
        // SAFETY: registered writers are never removed or moved, by the contract of `register`.
        while let Some(writer) = unsafe { p.as_ref() } {
            f(writer);
            p = writer.next.load(Ordering::Relaxed);
        }
    }

    /// Waits until `writer` is no longer in the entry it was in, if it was in one. `false` past the
    /// bound: the thread was stopped in the middle.
    fn wait_out(writer: &Writer, since: u64) -> bool {
        // Acquire: pairs with the release of the even value.
        let seen = writer.sequence.load(Ordering::Acquire);
        if seen.is_multiple_of(2) {
            return true;
        }
        for look in 0.. {
            if writer.sequence.load(Ordering::Acquire) != seen {
                return true;
            }
            if look < SPINS {
                core::hint::spin_loop();
                continue;
            }
            O::yield_now();
            let now = O::now();
            if if now == 0 { look > SPINS + YIELDS } else { now.saturating_sub(since) > PATIENCE } {
                return false;
            }
        }
        false
    }

    /// [`Books::wait_out`] for every writer, within one bound for all. `false`: for some it was passed.
    fn wait_for_all(&self) -> bool {
        let since = O::now();
        let mut all = true;
        self.each_writer(|writer| all &= Self::wait_out(writer, since));
        all
    }

    /// One consistent snapshot, written to `out`. Returns whether it is complete; if not, it is the
    /// last complete one, because a writer stayed in an entry past the bound.
    ///
    /// Takes the books' lock; no allocating thread ever does.
    pub fn read(&self, os: &O, out: &mut Snapshot) -> bool {
        self.reader().read(os, out)
    }

    /// The right to read, for as long as the result lives: takes the books' lock.
    pub fn reader(&self) -> Reader<'_, O> {
        Reader { books: self, reading: self.reading.lock() }
    }

    /// Takes the books' lock for a fork, and keeps lock-free movements out.
    pub fn hold_for_fork(&self, os: &O) {
        hold_row([&self.reading]);
        self.door.store(SHUT, Ordering::SeqCst);
        self.fence_all(os);
        self.wait_for_all();
    }

    /// Releases what [`Books::hold_for_fork`] took; in the child, the fence is registered anew.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, os: &O, child: bool) {
        if child && self.asymmetric.load(Ordering::Relaxed) {
            self.register_fence(os);
        }
        if child {
            // A thread that was stopped in an entry past the bound is not there any more to end it.
            self.each_writer(|writer| {
                let sequence = writer.sequence.load(Ordering::Relaxed);
                writer.sequence.store(sequence.next_multiple_of(2), Ordering::Relaxed);
            });
        }
        self.door.store(OPEN, Ordering::Release);
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.reading]) };
    }

    /// How many answers of [`Books::read`] were stale.
    pub fn stale_reads(&self) -> u64 {
        self.reading.lock().stale
    }
}

/// A writer in the middle of an entry.
pub struct Section<'a, O: Os> {
    books: &'a Books<O>,
    writer: &'a Writer,
    odd: usize,
}

impl<O: Os> Section<'_, O> {
    /// The set that is written: loaded after the counter became odd, and not again.
    #[inline]
    fn set(&self) -> &Delta {
        let generation = self.books.generation.load(Ordering::Relaxed);
        &self.writer.sets[generation % SETS]
    }

    /// Posts the entry of this movement. Once.
    pub fn post(self, entry: &Entry) {
        self.set().post(entry);
    }
}

impl<O: Os> Drop for Section<'_, O> {
    #[inline]
    fn drop(&mut self) {
        // Release: a reader that sees the even value sees every delta and every movement of this entry.
        self.writer.sequence.store(self.odd.wrapping_add(1), Ordering::Release);
    }
}

/// The one reader of the moment.
pub struct Reader<'a, O: Os> {
    books: &'a Books<O>,
    reading: Guard<'a, O, Reading>,
}

impl<O: Os> Reader<'_, O> {
    /// Keeps lock-free movements out until [`Reader::open`], and waits for those under way. `false`: a thread
    /// was stopped in the middle of one. Before the page heap's lock is taken, for which a kept-out thread waits.
    pub fn close(&mut self, os: &O) -> bool {
        self.books.door.store(STILL, Ordering::SeqCst);
        self.books.fence_all(os);
        self.books.wait_for_all()
    }

    /// Lets lock-free movements in again.
    pub fn open(&mut self) {
        self.books.door.store(OPEN, Ordering::Release);
    }

    /// As [`Books::read`].
    pub fn read(&mut self, os: &O, out: &mut Snapshot) -> bool {
        // What an earlier reading left open is as old as that reading: it is completed, and then read anew.
        let resumed = self.reading.open.is_some();
        let complete = self.turn(os) && (!resumed || self.turn(os));
        if !complete {
            self.reading.stale += 1;
        }
        out.clone_from(&self.reading.last);
        complete
    }

    /// Moves the generation on, unless an earlier turn was left open, and folds the old sets once nobody is in
    /// them. `false`: somebody stayed past the bound, and the turn is open.
    fn turn(&mut self, os: &O) -> bool {
        let books = self.books;
        let old = match self.reading.open {
            Some(old) => old,
            None => {
                let old = books.generation.load(Ordering::Relaxed);
                books.generation.store((old + 1) % SETS, Ordering::SeqCst);
                self.reading.open = Some(old);
                old
            }
        };
        books.fence_all(os);
        if !books.wait_for_all() {
            return false;
        }
        books.each_writer(|writer| writer.sets[old].fold_into(&mut self.reading.last));
        self.reading.open = None;
        true
    }
}
