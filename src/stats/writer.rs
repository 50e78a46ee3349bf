//! What one writer keeps, and how a reader finds out what it said at a cut.
//!
//! A writer's figures only ever belong to it: it adds to them, and nobody clears them. They come in parts, one for
//! the totals and one for each class, and in counts of objects for each class, which change one at a time. A part has
//! three copies of its figures: what it says, what it said when the generation last moved, and one to write the next. So
//! a part changes by one store, and a reader who comes beside a change finds either what was before it or what is after,
//! and what was at the cut as long as the cut lasts. An entry that changes the totals and a class notes first which
//! copies held before it. See `docs/books.md`.

use super::tally::{Tallies, Tally};
use crate::sync::{AtomicI64, AtomicPtr, AtomicUsize, Ordering, array, constant, fence};

/// How many copies a part has.
const COPIES: usize = 3;
/// The bits of a word that name a copy.
const COPY_BITS: u32 = 2;
/// Those bits.
const COPY: usize = (1 << COPY_BITS) - 1;
/// What the first word of a part is mixed with, so that zero bytes say: copy 0 holds, copy 1 is written next.
const FIRST: usize = 1 << COPY_BITS;
/// What the label is mixed with, so that zero bytes say: generation 0, copy 2 is kept.
const LABEL: usize = 2;
/// How far a generation is from the next: the bits below name a copy in a label.
pub(super) const GENERATION: usize = 1 << COPY_BITS;

/// Figures that change together. All-zero bytes are a valid new part.
struct Part<const W: usize> {
    /// Which copy holds, and above that which one is written next.
    which: AtomicUsize,
    /// Which copy held when the part first changed in a generation, and above that the generation.
    label: AtomicUsize,
    copies: [[AtomicI64; W]; COPIES],
}

impl<const W: usize> Part<W> {
    constant! {
        fn new() -> Self {
            Part {
                which: AtomicUsize::new(0),
                label: AtomicUsize::new(0),
                copies: array![array![AtomicI64::new(0); W]; COPIES],
            }
        }
    }

    #[inline]
    fn copy(&self, name: usize) -> &[AtomicI64; W] {
        debug_assert!(name & COPY < COPIES);
        // SAFETY: `which` names two different copies, 0 and 1 at first. What is kept is never the one that is next: it
        // is 2 at first, and later what held when it was kept. So `COPIES - next - kept` is the third name, and each
        // word only ever gets one of the three. `go_back` exchanges the two names of `which`. A note is made of names
        // that held. A check costs the writer two instructions for each of two copies.
        unsafe { self.copies.get_unchecked(name & COPY) }
    }

    /// Writes the next copy: what holds, and `deltas`. Returns what [`Part::change`] takes. Owner only.
    #[inline]
    fn prepare(&self, generation: usize, deltas: &[i64; W]) -> Change {
        let which = self.which.load(Ordering::Relaxed) ^ FIRST;
        let (holds, next) = (which & COPY, which >> COPY_BITS);
        let label = self.label.load(Ordering::Relaxed) ^ LABEL;
        let kept = if label ^ generation <= COPY {
            label & COPY
        } else {
            // Release: a reader that finds the label finds that the entry before this one has ended.
            self.label.store((generation | holds) ^ LABEL, Ordering::Release);
            holds
        };
        debug_assert!(next != kept);
        // The third of three: what holds now, or in a new generation what was kept in the one before.
        let free = COPIES.wrapping_sub(next).wrapping_sub(kept);
        // Release: a reader that sees a word of the next copy sees the label.
        fence(Ordering::Release);
        for ((to, from), &delta) in self.copy(next).iter().zip(self.copy(holds)).zip(deltas) {
            to.store(from.load(Ordering::Relaxed).wrapping_add(delta), Ordering::Relaxed);
        }
        Change { holds, which: (free << COPY_BITS | next) ^ FIRST }
    }

    /// The next copy holds. Owner only.
    #[inline]
    fn change(&self, change: Change) {
        // Release: a reader that finds the copy finds what is in it.
        self.which.store(change.which, Ordering::Release);
    }

    /// What the part said when the generation moved to `fresh`. Nobody moves it on meanwhile. An entry of an earlier
    /// generation may be under way: either it is in, or it is not.
    fn read(&self, fresh: usize, out: &mut [i64; W]) {
        // Acquire: pairs with the release of the change.
        let which = self.which.load(Ordering::Acquire) ^ FIRST;
        load(self.copy(which), out);
        // Acquire: if a word was of this generation already, the label is seen.
        fence(Ordering::Acquire);
        if let Some(kept) = self.kept(fresh) {
            load(self.copy(kept), out);
        }
    }

    /// Which copy held when the generation moved to `fresh`, if the part has changed since.
    fn kept(&self, fresh: usize) -> Option<usize> {
        // Acquire: the copy that is kept is seen as it was kept.
        let label = self.label.load(Ordering::Acquire) ^ LABEL;
        (label ^ fresh <= COPY).then_some(label & COPY)
    }
}

/// A count of objects of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Count {
    /// Allocated. Counted by the class's [`Tally`] alone.
    Allocated,
    /// Freed by the owner of their span.
    Freed,
    /// Freed by another thread, and back in their span.
    Received,
    /// Freed by another thread, and on their way to their span.
    Sent,
}

/// How many counts a class has.
pub const COUNTS: usize = 4;
/// How many of them the slow paths write: all but the tally.
const WRITTEN: usize = COUNTS - 1;

/// The counts of one class but the tally. All-zero bytes are valid new ones.
struct Counts {
    /// The generation in which the slow paths last came by.
    label: AtomicUsize,
    /// What they say.
    now: [AtomicI64; WRITTEN],
    /// What all counts said when they got their label. Fixed until they get another.
    kept: [AtomicI64; COUNTS],
}

impl Counts {
    constant! {
        fn new() -> Self {
            Counts {
                label: AtomicUsize::new(0),
                now: array![AtomicI64::new(0); WRITTEN],
                kept: array![AtomicI64::new(0); COUNTS],
            }
        }
    }

    /// Labels the counts with the generation, if they are not. `allocated` is the tally. Owner only.
    #[inline(always)]
    fn mark(&self, generation: usize, allocated: impl FnOnce() -> i64) {
        if self.label.load(Ordering::Relaxed) != generation {
            self.keep(generation, allocated());
        }
    }

    #[cold]
    fn keep(&self, generation: usize, allocated: i64) {
        let [first, rest @ ..] = &self.kept;
        first.store(allocated, Ordering::Relaxed);
        for (to, from) in rest.iter().zip(&self.now) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        // Release: a reader that finds the label finds what is kept.
        self.label.store(generation, Ordering::Release);
    }

    /// Adds to one of them, after [`Counts::mark`]. Owner only.
    #[inline(always)]
    fn add(&self, count: Count, n: i64) {
        if let Some(now) = (count as usize).checked_sub(1).and_then(|i| self.now.get(i)) {
            // Release: a reader that sees the change sees the label.
            now.store(now.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release);
        }
    }

    /// Fills in what the counts said when the generation moved to `fresh`. `allocated` reads the tally.
    ///
    /// At most one change of an earlier generation may be under way, and it is in or not. The tally is read before the
    /// others: it has every allocation of objects whose free is in them, because those came before the fence of the
    /// reader; and it has no allocation of objects that a refill made available which is not in them.
    fn read(&self, fresh: usize, allocated: impl FnOnce() -> i64, out: &mut [i64; COUNTS]) {
        let [first, rest @ ..] = out;
        *first = allocated();
        // Acquire: who saw an allocation sees the refill before it, with its label.
        fence(Ordering::Acquire);
        load(&self.now, rest);
        // Acquire: if one of them was of this generation already, the label is seen.
        fence(Ordering::Acquire);
        // Acquire: pairs with the label's release.
        if self.label.load(Ordering::Acquire) == fresh {
            load(&self.kept, out);
        }
    }
}

/// A change of a part, prepared.
#[derive(Clone, Copy)]
struct Change {
    /// The copy that holds before it.
    holds: usize,
    /// The part's first word after it.
    which: usize,
}

fn load<const W: usize>(from: &[AtomicI64; W], to: &mut [i64; W]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed);
    }
}

/// The writing side of one cache: `T` totals, and `C` classes of `F` fields and the counts of objects. Only the
/// thread that owns the cache writes. All-zero bytes are a valid new writer.
///
/// `repr(C)`: a reader in another process gets the sequence and the link by one read.
#[repr(C)]
pub struct Writer<const T: usize, const F: usize, const C: usize> {
    /// Odd while its owner is in an entry that changes the totals, or in a movement.
    sequence: AtomicUsize,
    /// The sequence of the entry that the note is of; any other value: it is of none.
    noted: AtomicUsize,
    /// Which copies held before the entry: of its class's part, of the totals, and above that the class's index, or
    /// the number of classes where it has none.
    note: AtomicUsize,
    /// The writer registered before this one; never changes after registration.
    pub(super) next: AtomicPtr<Writer<T, F, C>>,
    /// The tally of the first class, or null: nothing is ever allocated. Never changes after registration.
    tallies: AtomicPtr<Tally>,
    /// Bytes from one tally to the next.
    stride: AtomicUsize,
    totals: Part<T>,
    classes: [Part<F>; C],
    counts: [Counts; C],
}

/// What one or more writers said at one cut.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sums<const T: usize, const F: usize, const C: usize> {
    /// The totals.
    pub totals: [i64; T],
    /// The fields, by class.
    pub classes: [[i64; F]; C],
    /// The counts of objects, by class; see [`Count`].
    pub counts: [[i64; COUNTS]; C],
}

impl<const T: usize, const F: usize, const C: usize> Sums<T, F, C> {
    /// Nothing.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Self {
        Sums { totals: [0; T], classes: [[0; F]; C], counts: [[0; COUNTS]; C] }
    }
}

fn add<const W: usize>(sum: &mut [i64; W], more: &[i64; W]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.wrapping_add(*more);
    }
}

/// How much of a writer is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The totals only.
    Totals,
    /// Everything.
    All,
}

impl<const T: usize, const F: usize, const C: usize> Writer<T, F, C> {
    constant! {
        /// A writer that has written nothing and is not registered.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Writer {
                sequence: AtomicUsize::new(0),
                noted: AtomicUsize::new(0),
                note: AtomicUsize::new(0),
                next: AtomicPtr::new(core::ptr::null_mut()),
                totals: Part::new(),
                tallies: AtomicPtr::new(core::ptr::null_mut()),
                stride: AtomicUsize::new(0),
                classes: array![Part::new(); C],
                counts: array![Counts::new(); C],
            }
        }
    }

    /// Makes the sequence odd, and returns it. Owner only. What orders this before the loads that follow is the
    /// caller's business.
    #[inline]
    pub(super) fn begin(&self) -> usize {
        let sequence = self.sequence.load(Ordering::Relaxed);
        debug_assert!(sequence.is_multiple_of(2), "a writer is in one entry at a time");
        let odd = sequence.wrapping_add(1);
        // Release: a reader that sees this value and not the even one before it sees the entry that ended with that.
        self.sequence.store(odd, Ordering::Release);
        odd
    }

    /// Ends the entry that began with `odd`. Owner only.
    #[inline]
    pub(super) fn end(&self, odd: usize) {
        // Release: a reader that sees the even value sees the whole entry and every movement that goes with it.
        self.sequence.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// Where the sequence and the link lie, in bytes from the first one.
    pub(super) const OFFSETS: [usize; 2] = [core::mem::offset_of!(Self, sequence), core::mem::offset_of!(Self, next)];

    /// Adds to the figures of one class, by its index. Owner only.
    #[inline]
    pub(super) fn put_class(&self, generation: usize, class: usize, deltas: &[i64; F]) {
        if let Some(part) = self.classes.get(class) {
            part.change(part.prepare(generation, deltas));
        }
    }

    /// Says where the tallies lie. Once, before the registration.
    ///
    /// # Safety
    /// There are `C` of them, for as long as the writer is used.
    pub(super) unsafe fn set_tallies(&self, tallies: Tallies) {
        self.tallies.store(tallies.first.cast_mut(), Ordering::Relaxed);
        self.stride.store(tallies.stride, Ordering::Relaxed);
    }

    /// Returns the tally of a class, by its index, which is less than `C`.
    fn allocated(&self, class: usize) -> i64 {
        let first = self.tallies.load(Ordering::Relaxed);
        if first.is_null() {
            return 0;
        }
        let at = first.wrapping_byte_add(class * self.stride.load(Ordering::Relaxed));
        // SAFETY: by the contract of `set_tallies` there is one for each class.
        unsafe { &*at }.get() as i64
    }

    /// Adds to a count of one class, by its index. Owner only.
    #[inline(always)]
    pub(super) fn count(&self, generation: usize, class: usize, count: Count, n: i64) {
        if let Some(counts) = self.counts.get(class) {
            counts.mark(generation, || self.allocated(class));
            counts.add(count, n);
        }
    }

    /// Whether the counts of a class bear this label. Owner only.
    #[inline(always)]
    pub(super) fn is_marked(&self, label: usize, class: usize) -> bool {
        self.counts.get(class).is_some_and(|counts| counts.label.load(Ordering::Relaxed) == label)
    }

    /// Labels the counts of a class with the generation. Owner only.
    #[cold]
    pub(super) fn mark(&self, generation: usize, class: usize) {
        if let Some(counts) = self.counts.get(class) {
            counts.mark(generation, || self.allocated(class));
        }
    }

    /// Notes that the slot of a class, whose counts are labelled, is about to get objects, of which `freed` are frees that
    /// were not counted. Owner only.
    #[inline(always)]
    pub(super) fn refill(&self, class: usize, freed: i64) {
        if let Some(counts) = self.counts.get(class) {
            counts.add(Count::Freed, freed);
            // Release: a reader that sees an allocation of these objects sees the label and their frees.
            fence(Ordering::Release);
        }
    }

    /// Adds to the totals, and to the figures of one class, in the entry that began with `odd`. Owner only.
    /// `halfway` runs when some are changed and some are not.
    #[inline]
    pub(super) fn put(
        &self,
        odd: usize,
        generation: usize,
        totals: &[i64; T],
        class: Option<(usize, &[i64; F])>,
        halfway: impl FnOnce(),
    ) {
        let change = self.totals.prepare(generation, totals);
        let mut note = (C << COPY_BITS | change.holds) << COPY_BITS;
        let class = class.and_then(|(index, deltas)| {
            let part = self.classes.get(index)?;
            let change = part.prepare(generation, deltas);
            note = (index << COPY_BITS | note >> COPY_BITS & COPY) << COPY_BITS | change.holds;
            Some((part, change))
        });
        self.note.store(note, Ordering::Relaxed);
        // Release: a reader that takes the note takes the right one.
        self.noted.store(odd, Ordering::Release);
        // The changes are releases: a reader that finds one finds the note.
        self.totals.change(change);
        halfway();
        if let Some((part, change)) = class {
            part.change(change);
        }
    }

    /// Adds to `sum` what the writer said when the generation moved to `fresh`. Of entries that are under way now,
    /// each is in it as a whole or not at all. Uses `scratch`.
    ///
    /// Never waits. The caller moved the generation, a fence reached every thread since, and nobody moves it on
    /// before this returns.
    pub(super) fn read(&self, fresh: usize, scope: Scope, scratch: &mut Sums<T, F, C>, sum: &mut Sums<T, F, C>) {
        // Acquire: with an even value, everything up to that entry is seen.
        let seen = self.sequence.load(Ordering::Acquire);
        self.copy(fresh, scope, scratch);
        // At an odd value the writer may be in an entry of an earlier generation. It is the last such one, so if it
        // has ended by now, all of it is there.
        if !seen.is_multiple_of(2) && !self.roll_back(seen, fresh, scratch) {
            self.copy(fresh, scope, scratch);
        }
        add(&mut sum.totals, &scratch.totals);
        if scope == Scope::All {
            for (sum, class) in sum.classes.iter_mut().zip(&scratch.classes) {
                add(sum, class);
            }
            for (sum, counts) in sum.counts.iter_mut().zip(&scratch.counts) {
                add(sum, counts);
            }
        }
    }

    fn copy(&self, fresh: usize, scope: Scope, out: &mut Sums<T, F, C>) {
        self.totals.read(fresh, &mut out.totals);
        if scope == Scope::All {
            for (part, out) in self.classes.iter().zip(&mut out.classes) {
                part.read(fresh, out);
            }
            for (class, (counts, out)) in self.counts.iter().zip(&mut out.counts).enumerate() {
                counts.read(fresh, || self.allocated(class), out);
            }
        }
    }

    /// Takes the entry of sequence `odd` out of what was copied while it was under way. `false`: it has ended.
    fn roll_back(&self, odd: usize, fresh: usize, copied: &mut Sums<T, F, C>) -> bool {
        // Acquire: pairs with the release of the note. If the copies have a change of that entry, it is there.
        if self.noted.load(Ordering::Acquire) == odd {
            let note = self.note.load(Ordering::Relaxed);
            // What has the fresh label was copied as it was kept.
            if self.totals.kept(fresh).is_none() {
                load(self.totals.copy(note >> COPY_BITS), &mut copied.totals);
            }
            let class = note >> COPY_BITS >> COPY_BITS;
            if let (Some(part), Some(copied)) = (self.classes.get(class), copied.classes.get_mut(class))
                && part.kept(fresh).is_none()
            {
                load(part.copy(note), copied);
            }
        }
        // Acquire: if a word of a later entry was seen, its sequence is seen as well.
        fence(Ordering::Acquire);
        // Acquire: if it has ended, all of it is seen.
        self.sequence.load(Ordering::Acquire) == odd
    }

    /// Whether the owner is in an entry that changes the totals, or in a movement; for a signal handler of its thread.
    pub fn is_inside(&self) -> bool {
        !self.sequence().is_multiple_of(2)
    }

    /// The sequence, for whoever waits until a movement has ended. Acquire: with an even value, all of it is seen.
    pub(super) fn sequence(&self) -> usize {
        self.sequence.load(Ordering::Acquire)
    }

    /// Takes back the entry that a thread was in which is not there any more: the child of a fork has the caller's
    /// thread only.
    pub(super) fn abandon(&self) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        if sequence.is_multiple_of(2) {
            return;
        }
        if self.noted.load(Ordering::Relaxed) == sequence {
            let note = self.note.load(Ordering::Relaxed);
            self.totals.go_back(note >> COPY_BITS & COPY);
            if let Some(part) = self.classes.get(note >> COPY_BITS >> COPY_BITS) {
                part.go_back(note & COPY);
            }
        }
        self.end(sequence);
    }
}

impl<const W: usize> Part<W> {
    /// Makes copy `holds` hold again, if another does.
    fn go_back(&self, holds: usize) {
        let which = self.which.load(Ordering::Relaxed) ^ FIRST;
        if which & COPY != holds {
            self.which.store(((which & COPY) << COPY_BITS | holds) ^ FIRST, Ordering::Relaxed);
        }
    }
}
