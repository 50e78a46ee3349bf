//! What a cache counts, and when the books get it.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::record::Cache;
use crate::account::ClassEntry;
use crate::central::Central;
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::Span;
use crate::units::KIB;

/// How many allocations of a class are posted together at least, or how many bytes of them, where nothing else has
/// to be posted: a slot of large objects holds few, and each refill would post.
const POST_OBJECTS: usize = 64;
const POST_BYTES: usize = 32 * KIB;

/// Allocations of each class until the next post.
const fn post_every() -> [u8; CLASSES] {
    let mut every = [0; CLASSES];
    let mut i = 0;
    while i < CLASSES {
        let objects = POST_BYTES / Class::from_index(i).size();
        every[i] = if objects < POST_OBJECTS { objects as u8 } else { POST_OBJECTS as u8 };
        i += 1;
    }
    every
}

static POST_EVERY: [u8; CLASSES] = post_every();

/// How many objects a slot has handed out. Written by the owner only, read by anyone.
pub(super) struct Tally(AtomicUsize);

impl Tally {
    pub(super) const fn new() -> Tally {
        Tally(AtomicUsize::new(0))
    }

    /// One more. The owner is the only writer: a load and a store, no locked instruction.
    #[inline(always)]
    pub(super) fn count(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// How far the books have what happened in a class. Owner only.
pub(super) struct Posted {
    /// How many of the slot's allocations are posted.
    allocs: Cell<usize>,
    /// At how many allocations the next post is due.
    due: Cell<usize>,
    /// Frees that their span counts as posted, and that are not.
    frees: Cell<u32>,
}

impl Posted {
    pub(super) const fn new() -> Posted {
        Posted { allocs: Cell::new(0), due: Cell::new(0), frees: Cell::new(0) }
    }
}

impl Cache {
    /// Objects of `class` allocated since the cache was made. Exact where the owner is quiet.
    pub fn allocs(&self, class: Class) -> usize {
        self.slots[class.index()].allocs.0.load(Ordering::Relaxed)
    }

    /// Of these, how many were posted to the books. Owner only.
    pub fn posted(&self, class: Class) -> usize {
        self.classes[class.index()].posted.allocs.get()
    }

    /// Frees of `class` that neither a span nor the books count as not posted. Owner only.
    pub fn unposted_frees(&self, class: Class) -> usize {
        self.classes[class.index()].posted.frees.get() as usize
    }

    /// Posts what happened in every class since the last time: allocations, and frees into every span that
    /// may have some. Owner only.
    pub fn post_all<O: Os>(&self, central: &Central<O>) {
        for class in Class::all() {
            let state = &self.classes[class.index()];
            if self.allocs(class) != self.posted(class) || self.unposted_frees(class) != 0 {
                self.post(central, class, None, ClassEntry::default());
            }
            if !state.current.get().is_null() {
                self.post(central, class, None, ClassEntry::default());
            }
            // Full spans have had no frees: the first one lists them as partial.
            state.partial.each(|span| self.post(central, class, Some(span), ClassEntry::default()));
        }
    }

    /// Counts the frees into `span` that were not counted, to be posted.
    #[inline]
    pub(super) fn count_frees(&self, span: &Span) {
        let freed = span.carved.get() - span.outstanding();
        let counted = &self.classes[span.class().index()].posted.frees;
        counted.set(counted.get() + freed.wrapping_sub(span.accounted.replace(freed)));
    }

    /// Posts what happened in `class`, if that is enough.
    #[inline(always)]
    pub(super) fn post_sometimes<O: Os>(&self, central: &Central<O>, class: Class) {
        // The counter goes up to 2^64 on 64 bits; where it wraps on 32, a post or two are late.
        if self.allocs(class) >= self.classes[class.index()].posted.due.get() {
            self.post_counted(central, class, ClassEntry::default());
        }
    }

    /// Posts what happened in `class` since the last time: allocations, and frees into `span` or counted before, and
    /// `more`.
    #[inline(never)]
    pub(super) fn post<O: Os>(&self, central: &Central<O>, class: Class, span: Option<&Span>, more: ClassEntry) {
        if let Some(span) = span {
            self.count_frees(span);
        }
        self.post_counted(central, class, more);
    }

    #[inline(always)]
    fn post_counted<O: Os>(&self, central: &Central<O>, class: Class, more: ClassEntry) {
        let state = &self.classes[class.index()];
        // SAFETY: the current span is alive while it is current.
        if let Some(span) = unsafe { state.current.get().as_ref() } {
            self.count_frees(span);
        }
        let allocs = self.allocs(class);
        let mut e = more;
        e.allocs += allocs.wrapping_sub(state.posted.allocs.get());
        e.frees += state.posted.frees.get() as usize;
        e.vacant += e.frees as isize - e.allocs as isize;
        central.heap().books().post_class(self.writer(), class, &e);
        state.posted.allocs.set(allocs);
        state.posted.due.set(allocs.saturating_add(POST_EVERY[class.index()] as usize));
        state.posted.frees.set(0);
    }
}

/// Before the objects freed into `span` are taken to be allocated again: they stay frees that are not counted, and
/// are not on its list any more. Owner only.
#[inline(always)]
pub(super) fn take_back(span: &Span) {
    let freed = span.carved.get() - span.outstanding();
    span.accounted.set(span.accounted.get().wrapping_sub(freed));
}
