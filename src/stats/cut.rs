//! The cut: one instant for all writers, without stopping any.
//!
//! A reader moves the generation on and makes a fence reach every thread. From then on, whoever begins an entry
//! labels it with the fresh generation, and so does everybody who learns of such an entry. What each writer said
//! before its first fresh entry, entries that are under way left out, is the cut.
//!
//! Writer: light fence; load the generation; prepare; change by one store.
//! Reader: store the generation; heavy fence; load what each writer says.
//!
//! So of a change and what came of it, a reader that misses the change has a generation that is fresh for all that
//! came of it. The same pair of fences closes the door to movements: sequence odd; light fence; load the door.

use super::tally::Tallies;
use super::writer::{Count, GENERATION, Scope, Sums, Writer};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, compiler_fence, constant, fence};

/// Everybody may move.
const OPEN: usize = 0;
/// Lock-free movements are kept out by a reader, who compares the accounts with the books. Above that: by a fork that
/// copies both, each by its own number.
pub const CLOSED: usize = 1;
/// In the generation's word: both fences are real. The bit is one that no label has, so that a label of a refill is never
/// that word, and the comparison that a refill needs anyway finds out.
const SYMMETRIC: usize = 1;
const _: () = assert!(SYMMETRIC < GENERATION, "a bit that no generation has");

/// What all writers of one kernel share with the reader.
pub struct Cut<const T: usize, const F: usize, const C: usize> {
    /// A multiple of [`GENERATION`], and [`SYMMETRIC`] unless the heavy fence reaches every thread, so that the light one
    /// need only bind the compiler. Changed by the reader of the moment only.
    generation: AtomicUsize,
    /// Whether movements are kept out for now: [`OPEN`] or [`CLOSED`]. Written by the reader of the moment only.
    gate: AtomicUsize,
    /// The writer registered last. Writers are never removed.
    writers: AtomicPtr<Writer<T, F, C>>,
}

/// When somebody came for a snapshot, in turns of the generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival(usize);

impl Arrival {
    /// Whether the cut at generation `fresh` was made after this.
    pub fn is_before(self, fresh: usize) -> bool {
        fresh.wrapping_sub(self.0) as isize > 0
    }
}

impl<const T: usize, const F: usize, const C: usize> Cut<T, F, C> {
    constant! {
        /// Makes a cut without writers whose door is open. All-zero bytes, which say that heavy fences reach every thread:
        /// [`Cut::set_asymmetric`] says whether they do, before anything is posted.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Cut {
                generation: AtomicUsize::new(0),
                gate: AtomicUsize::new(OPEN),
                writers: AtomicPtr::new(core::ptr::null_mut()),
            }
        }
    }

    /// Says whether heavy fences reach every thread. Once before a second thread posts or reads; later only from yes to no, and then
    /// no cut is made for a while, in which every writer gets to see it.
    pub fn set_asymmetric(&self, yes: bool) {
        let generation = self.generation.load(Ordering::Relaxed) & !SYMMETRIC;
        self.generation.store(if yes { generation } else { generation | SYMMETRIC }, Ordering::Relaxed);
    }

    /// Whether heavy fences must reach every thread. Without a writer there is none to reach, and the fence may not be
    /// registered yet: a process may fork before its first allocation.
    pub fn is_asymmetric(&self) -> bool {
        self.is_light_free() && !self.writers.load(Ordering::Relaxed).is_null()
    }

    /// Whether a light fence need only bind the compiler.
    #[inline(always)]
    fn is_light_free(&self) -> bool {
        self.generation.load(Ordering::Relaxed) & SYMMETRIC == 0
    }

    /// The light side of the pair of fences.
    #[inline(always)]
    fn light_fence(&self) {
        compiler_fence(Ordering::SeqCst);
        if !self.is_light_free() {
            fence(Ordering::SeqCst);
        }
    }

    /// The generation, after a light fence.
    #[inline(always)]
    fn fenced_generation(&self) -> usize {
        compiler_fence(Ordering::SeqCst);
        self.generation_behind_fence()
    }

    /// As [`Cut::fenced_generation`], behind a fence for the compiler.
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

    /// The generation, for whoever made a fence before, or moves it on.
    #[inline]
    fn generation(&self) -> usize {
        self.generation.load(Ordering::Relaxed) & !SYMMETRIC
    }

    /// Makes `writer` known to readers, for good, and where its tallies are.
    ///
    /// # Safety
    /// The writer and its tallies, one for each class, stay where they are for as long as the cut is used, and the writer
    /// is registered once.
    pub unsafe fn register(&self, writer: &Writer<T, F, C>, tallies: Tallies) {
        // SAFETY: the caller's promise.
        unsafe { writer.set_tallies(tallies) };
        let new = core::ptr::from_ref(writer).cast_mut();
        let mut head = self.writers.load(Ordering::Relaxed);
        loop {
            writer.next.store(head, Ordering::Relaxed);
            // Release: a reader that finds the writer finds its link. One that does not find it has moved the
            // generation before: the writer's first entry has a light fence like any other.
            match self.writers.compare_exchange(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    fn each_writer(&self, mut f: impl FnMut(&Writer<T, F, C>)) {
        // Acquire: pairs with the release of every registration up to that of the writer found.
        let mut p = self.writers.load(Ordering::Acquire);
        // SAFETY: registered writers are never removed or moved, by the contract of `register`.
        while let Some(writer) = unsafe { p.as_ref() } {
            f(writer);
            p = writer.next.load(Ordering::Relaxed);
        }
    }

    /// The address of the word that leads to the writer registered last.
    pub fn first_place(&self) -> u64 {
        core::ptr::from_ref(&self.writers).expose_provenance() as u64
    }

    /// Begins an entry of `writer`, which the caller owns. Whatever the door says.
    #[inline]
    pub fn begin<'a>(&'a self, writer: &'a Writer<T, F, C>) -> Section<'a, T, F, C> {
        let odd = writer.begin();
        self.light_fence();
        Section { cut: self, writer, odd }
    }

    /// As [`Cut::begin`], unless the door is closed to movements that no lock protects.
    #[inline]
    pub fn enter<'a>(&'a self, writer: &'a Writer<T, F, C>) -> Option<Section<'a, T, F, C>> {
        let section = self.begin(writer);
        // Acquire: what the reader looked at while the door was closed is not changed before it had done so.
        (self.gate.load(Ordering::Acquire) == OPEN).then_some(section)
    }

    /// Adds to the fields of one class of `writer`, which the caller owns, by its index.
    #[inline]
    pub fn put_class(&self, writer: &Writer<T, F, C>, class: usize, deltas: &[i64; F]) {
        // Orders what the writer changed before, and what it learned from others, before the load.
        writer.put_class(self.fenced_generation(), class, deltas);
    }

    /// Adds to a count of one class of `writer`, which the caller owns, by its index.
    #[inline(always)]
    pub fn count(&self, writer: &Writer<T, F, C>, class: usize, count: Count, n: i64) {
        // As in `put_class`.
        writer.count(self.fenced_generation(), class, count, n);
    }

    /// Notes that the slot of a class of `writer`, which the caller owns, is about to get objects, of which `freed` are
    /// frees that were not counted. Their span was posted before.
    #[inline(always)]
    pub fn refill(&self, writer: &Writer<T, F, C>, class: usize, freed: i64) {
        // As in `put_class`. Where both fences are real, the word is never the label.
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

    /// Says that somebody came for a snapshot. A cut made after this has everything that happened before it.
    pub fn arrive(&self) -> Arrival {
        Arrival(self.fenced_generation())
    }

    /// Makes a cut, now: adds what every writer said to `sum`, and returns the fresh generation. Uses `scratch`.
    /// `None`: the fence did not reach every thread, and `sum` says nothing.
    ///
    /// One caller at a time. `heavy` is a fence for every thread, or where the fences are symmetric for this one; it
    /// says whether it was.
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

    /// Closes the door to lock-free movements, and waits for those under way. `false`: the fence failed, or `backoff`
    /// said so, because a thread was stopped in the middle.
    ///
    /// One caller at a time.
    #[must_use]
    pub fn close(&self, heavy: impl FnOnce() -> bool, backoff: impl FnMut() -> bool) -> bool {
        self.close_gate_by(CLOSED, |_| false, heavy, backoff)
    }

    /// As [`Cut::close`], for whoever `gate` stands for, unless it is closed. Does not wait for writers that are `own`:
    /// the caller's thread is in the middle of their movements.
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

    /// How many writers are in an entry that changes the totals, or in a movement, at this instant or another.
    pub fn writers_inside(&self) -> usize {
        let mut inside = 0;
        self.each_writer(|writer| inside += writer.sequence() % 2);
        inside
    }

    /// Opens the door again.
    pub fn open(&self) {
        // Release: the reader is done with what it looked at.
        self.gate.store(OPEN, Ordering::Release);
    }

    /// Opens the door if it was closed by whoever `gate` stands for.
    pub fn open_gate_by(&self, gate: usize) {
        if self.gate.load(Ordering::Relaxed) == gate {
            self.open();
        }
    }

    /// In the child of a fork: takes back what threads were writing that are not there any more. A writer that is `own`
    /// goes on.
    pub fn abandon_others(&self, own: impl Fn(&Writer<T, F, C>) -> bool) {
        self.each_writer(|writer| {
            if !own(writer) {
                writer.abandon();
            }
        });
    }
}

/// A writer in the middle of an entry or a movement.
pub struct Section<'a, const T: usize, const F: usize, const C: usize> {
    cut: &'a Cut<T, F, C>,
    writer: &'a Writer<T, F, C>,
    odd: usize,
}

impl<const T: usize, const F: usize, const C: usize> Section<'_, T, F, C> {
    /// Adds to the writer's totals, and to the fields of one class by its index, and ends the entry. `halfway` runs
    /// between the two.
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
