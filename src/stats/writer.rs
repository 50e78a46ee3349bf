//! The figures of one writer, and how a reader finds their values at a cut. The protocol is in `docs/books.md`.
//!
//! Only the owner of a writer adds to its figures; they are never reset. There is one part for the totals, one part for
//! each class, and counts of objects for each class.
//!
//! A part has three copies of its figures: the current one, the one that was current when the generation last changed,
//! and the one that the next change writes. So a change is one store, a reader beside it finds the figures from before
//! or after it, and the figures at the cut stay readable until the next cut. An entry that changes the totals and a
//! class first notes which copies were current. Counts change one at a time, without copies.

use super::tally::{Tallies, Tally};
use crate::sync::{AtomicI64, AtomicPtr, AtomicUsize, Ordering, array, constant, fence};

/// The number of copies in a part.
const COPIES: usize = 3;
/// The number of bits that name a copy.
const COPY_BITS: u32 = 2;
/// The mask of those bits.
const COPY: usize = (1 << COPY_BITS) - 1;
/// `which` is stored XOR this value, so that zero bytes mean: copy 0 is current, copy 1 is written next.
const FIRST: usize = 1 << COPY_BITS;
/// `label` is stored XOR this value, so that zero bytes mean: generation 0, copy 2 is kept.
const LABEL: usize = 2;
/// The difference of two successive generations. The bits below name a copy in a label.
pub(super) const GENERATION: usize = 1 << COPY_BITS;

/// Figures that change together. All-zero bytes are a valid new part.
struct Part<const W: usize> {
    /// The number of the current copy, and in the bits above it the number of the copy to write next.
    which: AtomicUsize,
    /// The last generation in which the part changed, plus the number of the copy that was current before the change.
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
        // SAFETY: `which` names two different copies, at first 0 and 1. The kept copy is never the next one: at first
        // it is 2, later the copy that was current when it was kept. So `COPIES - next - kept` is the third name, and
        // each word only ever holds one of the three. `restore` exchanges the two names of `which`. A note consists of
        // names that were current. A bounds check costs the writer two instructions for each of two copies.
        unsafe { self.copies.get_unchecked(name & COPY) }
    }

    /// Writes the next copy: the current figures plus `deltas`. Returns the argument of [`Part::change`]. Owner only.
    #[inline]
    fn prepare(&self, generation: usize, deltas: &[i64; W]) -> Change {
        let which = self.which.load(Ordering::Relaxed) ^ FIRST;
        let (holds, next) = (which & COPY, which >> COPY_BITS);
        let label = self.label.load(Ordering::Relaxed) ^ LABEL;
        let kept = if label ^ generation <= COPY {
            label & COPY
        } else {
            // Release: a reader that sees the label also sees that the previous entry has ended.
            self.label.store((generation | holds) ^ LABEL, Ordering::Release);
            holds
        };
        debug_assert!(next != kept);
        // The third copy: the current one, or in a new generation the one that was kept in the generation before.
        let free = COPIES.wrapping_sub(next).wrapping_sub(kept);
        // Release: a reader that sees a word of the next copy also sees the label.
        fence(Ordering::Release);
        for ((to, from), &delta) in self.copy(next).iter().zip(self.copy(holds)).zip(deltas) {
            to.store(from.load(Ordering::Relaxed).wrapping_add(delta), Ordering::Relaxed);
        }
        Change { holds, which: (free << COPY_BITS | next) ^ FIRST }
    }

    /// Makes the next copy the current one. Owner only.
    #[inline]
    fn change(&self, change: Change) {
        // Release: a reader that sees the new value also sees the content of that copy.
        self.which.store(change.which, Ordering::Release);
    }

    /// Writes to `out` the figures at the time when the generation changed to `fresh`, which does not change meanwhile.
    /// An entry of an earlier generation may be under way; it is contained as a whole or not at all.
    fn read(&self, fresh: usize, out: &mut [i64; W]) {
        // Acquire: pairs with the release of the change.
        let which = self.which.load(Ordering::Acquire) ^ FIRST;
        load(self.copy(which), out);
        // Acquire: if a word read above was of this generation, the label is seen.
        fence(Ordering::Acquire);
        if let Some(kept) = self.kept(fresh) {
            load(self.copy(kept), out);
        }
    }

    /// Returns the copy that was current when the generation changed to `fresh`, if the part has changed since.
    fn kept(&self, fresh: usize) -> Option<usize> {
        // Acquire: the kept copy is seen as it was when it was kept.
        let label = self.label.load(Ordering::Acquire) ^ LABEL;
        (label ^ fresh <= COPY).then_some(label & COPY)
    }
}

/// A count of objects of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Count {
    /// Allocated objects. The class's [`Tally`] is this count.
    Allocated,
    /// Objects freed by the owner of their span.
    Freed,
    /// Objects freed by another thread and returned to their span.
    Received,
    /// Objects freed by another thread and sent to the owner of their span.
    Sent,
}

/// The number of counts of a class.
pub const COUNTS: usize = 4;
/// The number of counts that slow paths write: all but the tally.
const WRITTEN: usize = COUNTS - 1;

/// The counts of a size class that slow paths write: all but the [`Tally`]. All-zero bytes are valid new counts.
struct Counts {
    /// The generation in which a slow path last passed here.
    label: AtomicUsize,
    /// The current values.
    now: [AtomicI64; WRITTEN],
    /// The values of all counts when the label was set. Constant until the next label.
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

    /// Labels the counts with the generation, if they have an older label. `allocated` is the tally. Owner only.
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
        // Release: a reader that sees the label also sees the kept values.
        self.label.store(generation, Ordering::Release);
    }

    /// Adds to a count, after [`Counts::mark`]. Owner only.
    #[inline(always)]
    fn add(&self, count: Count, n: i64) {
        if let Some(now) = (count as usize).checked_sub(1).and_then(|i| self.now.get(i)) {
            // Release: a reader that sees the change also sees the label.
            now.store(now.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release);
        }
    }

    /// Writes to `out` the counts at the time when the generation changed to `fresh`. `allocated` reads the tally.
    ///
    /// At most one change of an earlier generation may be under way; it is contained or not. The tally is read first.
    /// If it contains an object's free, it contains its allocation, because that allocation happened before the
    /// reader's fence. It contains no allocation of objects made available by a refill that is not contained.
    fn read(&self, fresh: usize, allocated: impl FnOnce() -> i64, out: &mut [i64; COUNTS]) {
        let [first, rest @ ..] = out;
        *first = allocated();
        // Acquire: after an allocation is seen, the refill before it and its label are seen.
        fence(Ordering::Acquire);
        load(&self.now, rest);
        // Acquire: if a value read above was of this generation, the label is seen.
        fence(Ordering::Acquire);
        // Acquire: pairs with the label's release.
        if self.label.load(Ordering::Acquire) == fresh {
            load(&self.kept, out);
        }
    }
}

/// A prepared change of a part.
#[derive(Clone, Copy)]
struct Change {
    /// The copy that is current before the change.
    holds: usize,
    /// The value of `which` after the change.
    which: usize,
}

fn load<const W: usize>(from: &[AtomicI64; W], to: &mut [i64; W]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed);
    }
}

/// The writer of one cache: `T` totals, and `C` classes with `F` fields and the counts of objects. Only the thread that
/// owns the cache writes. All-zero bytes are a valid new writer. `repr(C)`: a reader in another process reads the
/// sequence and the link together.
#[repr(C)]
pub struct Writer<const T: usize, const F: usize, const C: usize> {
    /// Odd while the owner is in an entry that changes the totals, or in a movement.
    sequence: AtomicUsize,
    /// The sequence of the entry to which the note belongs. With any other value the note is void.
    noted: AtomicUsize,
    /// The copies current before the entry: of the class's part, of the totals, and above these the class's index, or
    /// the number of classes if the entry has none.
    note: AtomicUsize,
    /// The writer registered before this one. Constant after registration.
    pub(super) next: AtomicPtr<Writer<T, F, C>>,
    /// The tally of the first class, or null if nothing is ever allocated. Constant after registration.
    tallies: AtomicPtr<Tally>,
    /// The distance in bytes from one tally to the next.
    stride: AtomicUsize,
    totals: Part<T>,
    classes: [Part<F>; C],
    counts: [Counts; C],
}

/// The sums of one or more writers at one cut.
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
    /// Returns sums that are all zero.
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

/// Which figures of a writer are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The totals only.
    Totals,
    /// All figures.
    All,
}

impl<const T: usize, const F: usize, const C: usize> Writer<T, F, C> {
    constant! {
        /// Returns a writer that has written nothing and is not registered.
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

    /// Makes the sequence odd, and returns it. Owner only. The caller then loads the generation, after a fence.
    #[inline]
    pub(super) fn begin(&self) -> usize {
        let sequence = self.sequence.load(Ordering::Relaxed);
        debug_assert!(sequence.is_multiple_of(2), "a writer is in one entry at a time");
        let odd = sequence.wrapping_add(1);
        // Release: a reader that sees this value, and not the even one before it, also sees the entry that the even one
        // ended.
        self.sequence.store(odd, Ordering::Release);
        odd
    }

    /// Ends the entry that started with `odd`. Owner only.
    #[inline]
    pub(super) fn end(&self, odd: usize) {
        // Release: a reader that sees the even value also sees the whole entry, and all changes of its movement.
        self.sequence.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// The offsets of the sequence and of the link.
    pub(super) const OFFSETS: [usize; 2] = [core::mem::offset_of!(Self, sequence), core::mem::offset_of!(Self, next)];

    /// Adds to the figures of one class, by its index. Owner only.
    #[inline]
    pub(super) fn put_class(&self, generation: usize, class: usize, deltas: &[i64; F]) {
        if let Some(part) = self.classes.get(class) {
            part.change(part.prepare(generation, deltas));
        }
    }

    /// Sets the address of the tallies. Called once, before the registration.
    ///
    /// # Safety
    /// There are `C` tallies, for as long as the writer is used.
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

    /// Returns whether the counts of a class have this label. Owner only.
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

    /// Adds `freed` uncounted frees to a class before a refill of its free list, after [`Writer::mark`]. Owner only.
    #[inline(always)]
    pub(super) fn refill(&self, class: usize, freed: i64) {
        if let Some(counts) = self.counts.get(class) {
            counts.add(Count::Freed, freed);
            // Release: a reader that sees an allocation of these objects also sees the label and their frees.
            fence(Ordering::Release);
        }
    }

    /// Adds to the totals and to the figures of one class, in the entry that started with `odd`. Owner only. Calls
    /// `halfway` between the two.
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
        // Release: a reader that sees this value also sees the note.
        self.noted.store(odd, Ordering::Release);
        // The changes are releases: a reader that sees a change also sees the note.
        self.totals.change(change);
        halfway();
        if let Some((part, change)) = class {
            part.change(change);
        }
    }

    /// Adds to `sum` the figures at the time when the generation changed to `fresh`. Each entry under way is contained
    /// as a whole or not at all. Overwrites `scratch`. Never waits.
    ///
    /// The caller has changed the generation, and a fence has reached every thread since; it does not change before
    /// this returns.
    pub(super) fn read(&self, fresh: usize, scope: Scope, scratch: &mut Sums<T, F, C>, sum: &mut Sums<T, F, C>) {
        // Acquire: with an even value, everything up to that entry is seen.
        let seen = self.sequence.load(Ordering::Acquire);
        self.copy(fresh, scope, scratch);
        // With an odd value the writer may be in an entry of an earlier generation, the last such one. If it has ended
        // by now, a second copy contains all of it.
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

    /// Removes the entry with the sequence `odd` from figures copied while it was under way. Returns `false` if it has
    /// ended.
    fn roll_back(&self, odd: usize, fresh: usize, copied: &mut Sums<T, F, C>) -> bool {
        // Acquire: pairs with the release of the note. If the copied figures contain a change of that entry, the note
        // is seen.
        if self.noted.load(Ordering::Acquire) == odd {
            let note = self.note.load(Ordering::Relaxed);
            // A part with the new label was copied as it was kept.
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
        // Acquire: if a word of a later entry was read, the sequence of that entry is seen.
        fence(Ordering::Acquire);
        // Acquire: if the entry has ended, all of it is seen.
        self.sequence.load(Ordering::Acquire) == odd
    }

    /// Returns whether the owner is in an entry that changes the totals or in a movement, for a signal handler of the
    /// owner.
    pub fn is_inside(&self) -> bool {
        !self.sequence().is_multiple_of(2)
    }

    /// Returns the sequence, to wait until a movement has ended. Acquire: with an even value, all of it is seen.
    pub(super) fn sequence(&self) -> usize {
        self.sequence.load(Ordering::Acquire)
    }

    /// Takes back the entry of a thread that does not exist any more: the child of a fork has only the forking thread.
    pub(super) fn abandon(&self) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        if sequence.is_multiple_of(2) {
            return;
        }
        if self.noted.load(Ordering::Relaxed) == sequence {
            let note = self.note.load(Ordering::Relaxed);
            self.totals.restore(note >> COPY_BITS & COPY);
            if let Some(part) = self.classes.get(note >> COPY_BITS >> COPY_BITS) {
                part.restore(note & COPY);
            }
        }
        self.end(sequence);
    }
}

impl<const W: usize> Part<W> {
    /// Makes copy `holds` the current one again.
    fn restore(&self, holds: usize) {
        let which = self.which.load(Ordering::Relaxed) ^ FIRST;
        if which & COPY != holds {
            self.which.store(((which & COPY) << COPY_BITS | holds) ^ FIRST, Ordering::Relaxed);
        }
    }
}
