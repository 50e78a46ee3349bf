//! The cut: a consistent state of all writers, read while they run.
//!
//! A reader increments the generation and then executes a fence that reaches every thread. Every entry that starts
//! after that fence is labelled with the new generation, and so is every entry that happens after such an entry.
//! The cut is what each writer had posted before its first entry of the new generation; an entry under way may be
//! left out.
//!
//! - Writer: light fence; load the generation; prepare; change by one store.
//! - Reader: store the generation; heavy fence; load what each writer posted.
//!
//! So if change A happens before change B and the reader misses A, then B has the new generation, and the reader
//! leaves B out too. The same pair of fences closes the gate to movements: a writer makes its sequence odd,
//! executes the light fence and loads the gate.

use super::tally::Tallies;
use super::writer::{Count, GENERATION, Scope, Sums, Writer};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, compiler_fence, constant, fence};

/// Movements may start.
const OPEN: usize = 0;
/// A reader compares the accounts with the statistics: movements that no lock protects may not start. Values above
/// this one close the gate for a fork, one value for each nested fork.
pub const CLOSED: usize = 1;
/// A bit of the generation's word: both fences are full fences. No label has this bit, so while it is set, the
/// comparison that a refill makes anyway never succeeds and leads to the full fence.
const SYMMETRIC: usize = 1;
const _: () = assert!(SYMMETRIC < GENERATION, "a bit that no generation has");

/// The state that all writers of one allocator share with the reader.
pub struct Cut<const T: usize, const F: usize, const C: usize> {
    /// A multiple of [`GENERATION`]. [`SYMMETRIC`] is set unless the heavy fence reaches every thread, so that the
    /// light fence need only bind the compiler. Written by the current reader only.
    generation: AtomicUsize,
    /// [`OPEN`], [`CLOSED`], or the number of a fork. Written by the current reader only.
    gate: AtomicUsize,
    /// The writer registered last. Writers are never removed.
    writers: AtomicPtr<Writer<T, F, C>>,
}

/// The generation at the time when a reader asked for a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival(usize);

impl Arrival {
    /// Returns whether the cut at generation `fresh` started after this.
    pub fn is_before(self, fresh: usize) -> bool {
        fresh.wrapping_sub(self.0) as isize > 0
    }
}

impl<const T: usize, const F: usize, const C: usize> Cut<T, F, C> {
    constant! {
        /// Returns a cut without writers, with the gate open. All bytes are zero, which means that heavy fences
        /// reach every thread: [`Cut::set_asymmetric`] sets whether they do before anything is posted.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Cut {
                generation: AtomicUsize::new(0),
                gate: AtomicUsize::new(OPEN),
                writers: AtomicPtr::new(core::ptr::null_mut()),
            }
        }
    }

    /// Sets whether heavy fences reach every thread. Called once before a second thread posts or reads. Later it
    /// only changes from yes to no; the caller then takes no cut until every writer has seen the change.
    pub fn set_asymmetric(&self, yes: bool) {
        let generation = self.generation.load(Ordering::Relaxed) & !SYMMETRIC;
        self.generation.store(if yes { generation } else { generation | SYMMETRIC }, Ordering::Relaxed);
    }

    /// Returns whether a heavy fence has to reach every thread. Without a writer it need not, and it may not be
    /// registered yet: a process may fork before its first allocation.
    pub fn is_asymmetric(&self) -> bool {
        self.is_light_free() && !self.writers.load(Ordering::Relaxed).is_null()
    }

    /// Returns whether a light fence need only bind the compiler.
    #[inline(always)]
    fn is_light_free(&self) -> bool {
        self.generation.load(Ordering::Relaxed) & SYMMETRIC == 0
    }

    /// The writer's side of the pair of fences.
    #[inline(always)]
    fn light_fence(&self) {
        compiler_fence(Ordering::SeqCst);
        if !self.is_light_free() {
            fence(Ordering::SeqCst);
        }
    }

    /// Executes a light fence and returns the generation.
    #[inline(always)]
    fn fenced_generation(&self) -> usize {
        compiler_fence(Ordering::SeqCst);
        self.generation_behind_fence()
    }

    /// Like [`Cut::fenced_generation`]; the caller has executed the compiler fence.
    #[inline(always)]
    fn generation_behind_fence(&self) -> usize {
        let word = self.generation.load(Ordering::Relaxed);
        if word & SYMMETRIC == 0 { word } else { self.generation_after_fence() }
    }

    #[cold]
    fn generation_after_fence(&self) -> usize {
        fence(Ordering::SeqCst);
        self.generation()
    }

    /// Returns the generation. The caller has executed a fence, or is the reader that increments the generation.
    #[inline]
    fn generation(&self) -> usize {
        self.generation.load(Ordering::Relaxed) & !SYMMETRIC
    }

    /// Adds `writer` and its tallies to what readers read, for good.
    ///
    /// # Safety
    /// The writer and its tallies, one for each class, stay at their addresses while the cut is used. The writer is
    /// registered once.
    pub unsafe fn register(&self, writer: &Writer<T, F, C>, tallies: Tallies) {
        // SAFETY: the caller's promise.
        unsafe { writer.set_tallies(tallies) };
        let new = core::ptr::from_ref(writer).cast_mut();
        let mut head = self.writers.load(Ordering::Relaxed);
        loop {
            writer.next.store(head, Ordering::Relaxed);
            // Release: a reader that loads this pointer also sees the link. A reader that misses the writer has
            // incremented the generation before, and the writer's first entry executes a light fence like any
            // other.
            match self.writers.compare_exchange(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    fn each_writer(&self, mut f: impl FnMut(&Writer<T, F, C>)) {
        // Acquire: pairs with the release of each registration up to that of the writer found.
        let mut p = self.writers.load(Ordering::Acquire);
        // SAFETY: registered writers are never removed or moved, by the contract of `register`.
        while let Some(writer) = unsafe { p.as_ref() } {
            f(writer);
            p = writer.next.load(Ordering::Relaxed);
        }
    }

    /// Returns the address of the pointer to the writer registered last.
    pub fn head_address(&self) -> u64 {
        core::ptr::from_ref(&self.writers).expose_provenance() as u64
    }

    /// Starts an entry of `writer`, which the caller owns, whether the gate is open or closed.
    #[inline]
    pub fn begin<'a>(&'a self, writer: &'a Writer<T, F, C>) -> Section<'a, T, F, C> {
        let odd = writer.begin();
        self.light_fence();
        Section { cut: self, writer, odd }
    }

    /// Like [`Cut::begin`], but returns `None` if the gate is closed.
    #[inline]
    pub fn enter<'a>(&'a self, writer: &'a Writer<T, F, C>) -> Option<Section<'a, T, F, C>> {
        let section = self.begin(writer);
        // Acquire: what the reader compared while the gate was closed is changed only after it opened the gate.
        (self.gate.load(Ordering::Acquire) == OPEN).then_some(section)
    }

    /// Adds to the fields of one class, by its index, of `writer`, which the caller owns.
    #[inline]
    pub fn put_class(&self, writer: &Writer<T, F, C>, class: usize, deltas: &[i64; F]) {
        // The fence orders what the writer changed, and what it learned from other threads, before the load.
        writer.put_class(self.fenced_generation(), class, deltas);
    }

    /// Adds to a count of one class, by its index, of `writer`, which the caller owns.
    #[inline(always)]
    pub fn count(&self, writer: &Writer<T, F, C>, class: usize, count: Count, n: i64) {
        // The fence is needed as in `put_class`.
        writer.count(self.fenced_generation(), class, count, n);
    }

    /// Records that the free list of a class of `writer`, which the caller owns, is about to get objects, and
    /// counts `freed` frees that were not counted yet. The span of the objects was posted before.
    #[inline(always)]
    pub fn refill(&self, writer: &Writer<T, F, C>, class: usize, freed: i64) {
        // The fence is needed as in `put_class`. If both fences are full fences, the word is never equal to the
        // label.
        compiler_fence(Ordering::SeqCst);
        if !writer.is_marked(self.generation.load(Ordering::Relaxed), class) {
            self.mark(writer, class);
        }
        writer.refill(class, freed);
    }

    #[cold]
    #[inline(never)]
    fn mark(&self, writer: &Writer<T, F, C>, class: usize) {
        writer.mark(self.generation_behind_fence(), class);
    }

    /// Returns the current generation. A cut that starts after this contains everything that happened before this
    /// call.
    pub fn arrive(&self) -> Arrival {
        Arrival(self.fenced_generation())
    }

    /// Takes a cut: adds what every writer posted to `sum`, and returns the new generation. Overwrites `scratch`.
    /// Returns `None`, with `sum` unchanged, if the fence did not reach every thread.
    ///
    /// One caller at a time. `heavy` executes a fence for every thread, or, if the fences are symmetric, for this
    /// one; it returns whether that succeeded.
    pub fn read(
        &self,
        scope: Scope,
        heavy: impl FnOnce() -> bool,
        scratch: &mut Sums<T, F, C>,
        sum: &mut Sums<T, F, C>,
    ) -> Option<usize> {
        let word = self.generation.load(Ordering::Relaxed).wrapping_add(GENERATION);
        self.generation.store(word, Ordering::Relaxed);
        let fresh = word & !SYMMETRIC;
        if !heavy() {
            return None;
        }
        self.each_writer(|writer| writer.read(fresh, scope, scratch, sum));
        Some(fresh)
    }

    /// Closes the gate to movements that no lock protects, and waits for those under way. Returns `false` if the
    /// fence failed, or if `backoff` ended the wait for a thread that was stopped in a movement.
    ///
    /// One caller at a time.
    #[must_use]
    pub fn close(&self, heavy: impl FnOnce() -> bool, backoff: impl FnMut() -> bool) -> bool {
        self.close_gate_by(CLOSED, |_| false, heavy, backoff)
    }

    /// Like [`Cut::close`], with the value `gate`; keeps the value if the gate is closed already. Does not wait for
    /// writers that are `own`: the caller's thread is in the middle of their movements.
    #[must_use]
    pub fn close_gate_by(
        &self,
        gate: usize,
        own: impl Fn(&Writer<T, F, C>) -> bool,
        heavy: impl FnOnce() -> bool,
        mut backoff: impl FnMut() -> bool,
    ) -> bool {
        if self.gate.load(Ordering::Relaxed) == OPEN {
            self.gate.store(gate, Ordering::Relaxed);
        }
        let mut all = heavy();
        self.each_writer(|writer| {
            if own(writer) {
                return;
            }
            let seen = writer.sequence();
            while !seen.is_multiple_of(2) && writer.sequence() == seen {
                if !backoff() {
                    all = false;
                    break;
                }
            }
        });
        all
    }

    /// Returns the number of writers in an entry that changes the totals, or in a movement. Writers are read one
    /// after the other.
    pub fn writers_inside(&self) -> usize {
        let mut inside = 0;
        self.each_writer(|writer| inside += writer.sequence() % 2);
        inside
    }

    /// Opens the gate.
    pub fn open(&self) {
        // Release: the reader has finished its comparison.
        self.gate.store(OPEN, Ordering::Release);
    }

    /// Opens the gate if its value is `gate`.
    pub fn open_gate_by(&self, gate: usize) {
        if self.gate.load(Ordering::Relaxed) == gate {
            self.open();
        }
    }

    /// Takes back, in the child of a fork, the unfinished entries of threads that do not exist there. Writers that
    /// are `own` continue.
    pub fn abandon_others(&self, own: impl Fn(&Writer<T, F, C>) -> bool) {
        self.each_writer(|writer| {
            if !own(writer) {
                writer.abandon();
            }
        });
    }
}

/// An entry or a movement under way.
pub struct Section<'a, const T: usize, const F: usize, const C: usize> {
    cut: &'a Cut<T, F, C>,
    writer: &'a Writer<T, F, C>,
    odd: usize,
}

impl<const T: usize, const F: usize, const C: usize> Section<'_, T, F, C> {
    /// Adds to the writer's totals, and to the fields of one class, by its index, and ends the entry. Calls
    /// `halfway` between the two.
    #[inline]
    pub fn put(self, totals: &[i64; T], class: Option<(usize, &[i64; F])>, halfway: impl FnOnce()) {
        // Loaded after the light fence, once for the whole entry.
        let generation = self.cut.generation();
        self.writer.put(self.odd, generation, totals, class, halfway);
    }
}

impl<const T: usize, const F: usize, const C: usize> Drop for Section<'_, T, F, C> {
    #[inline]
    fn drop(&mut self) {
        self.writer.end(self.odd);
    }
}
