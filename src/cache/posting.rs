//! What a cache counts, and when the books get it.

use core::cell::Cell;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::record::{Cache, ClassState};
use crate::account::ClassEntry;
use crate::central::Central;
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::Span;
use crate::units::KIB;

/// After how many allocations of a class, or bytes of them, the next refill posts: a slot of large objects holds few,
/// and each refill would post.
const POST_OBJECTS: usize = 256;
const POST_BYTES: usize = 256 * KIB;

/// Allocations of each class until the next post.
const fn post_every() -> [u16; CLASSES] {
    let mut every = [0; CLASSES];
    let mut i = 0;
    while i < CLASSES {
        let objects = POST_BYTES / Class::from_index(i).size();
        every[i] = if objects < POST_OBJECTS { objects as u16 } else { POST_OBJECTS as u16 };
        i += 1;
    }
    every
}

static POST_EVERY: [u16; CLASSES] = post_every();

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
    /// Frees that were counted of their span and are not posted.
    frees: Cell<u32>,
    /// Objects that came home and are not posted.
    received: Cell<u32>,
}

impl Posted {
    pub(super) const fn new() -> Posted {
        Posted { allocs: Cell::new(0), due: Cell::new(0), frees: Cell::new(0), received: Cell::new(0) }
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

    /// Frees of `class` that were counted of their span and not posted. Owner only.
    pub fn unposted_frees(&self, class: Class) -> usize {
        self.classes[class.index()].posted.frees.get() as usize
    }

    /// Objects of `class` that came home and were not posted. Owner only.
    pub fn unposted_received(&self, class: Class) -> usize {
        self.classes[class.index()].posted.received.get() as usize
    }

    /// Posts what happened in every class since the last time: allocations, and frees into every span that
    /// may have some. Owner only.
    pub fn post_all<O: Os>(&self, central: &Central<O>) {
        for class in Class::all() {
            // Full spans have no frees that are not counted: the first one lists them as partial.
            self.classes[class.index()].partial.each(|span| self.count_frees(span));
            self.post_any(central, class);
        }
    }

    /// Counts the frees into `span` that were not counted, to be posted.
    #[inline]
    pub(super) fn count_frees(&self, span: &Span) {
        let counted = &self.classes[span.class().index()].posted.frees;
        counted.set(counted.get() + span.count_freed());
    }

    /// Counts `n` frees into a span of the class of `state` that are taken to be allocated again, to be posted.
    #[inline(always)]
    pub(super) fn count_taken(&self, state: &ClassState, n: u32) {
        let counted = &state.posted.frees;
        counted.set(counted.get() + n);
    }

    /// Posts what happened in one class, the next one at each call: a thread that has gone on to other classes does not
    /// come by in their refills.
    pub(super) fn post_next<O: Os>(&self, central: &Central<O>) {
        let next = self.next_post.get();
        self.next_post.set(if next + 1 < CLASSES { next + 1 } else { 0 });
        self.post_any(central, Class::from_index(next));
    }

    /// Counts `n` objects of `class` that came home, to be posted. Their span counts them as posted.
    pub(super) fn count_received(&self, class: Class, n: u32) {
        let counted = &self.classes[class.index()].posted.received;
        counted.set(counted.get() + n);
    }

    /// Posts what happened in `class`, if that is enough.
    #[inline(always)]
    pub(super) fn post_sometimes<O: Os>(&self, central: &Central<O>, class: Class) {
        if self.allocs(class).wrapping_sub(self.classes[class.index()].posted.due.get()) as isize >= 0 {
            self.post_counted(central, class);
        }
    }

    /// Posts what happened in `class` since the last time, and what was counted of its spans; nothing, if that is
    /// nothing.
    #[inline(always)]
    pub(super) fn post_any<O: Os>(&self, central: &Central<O>, class: Class) {
        let e = self.counted(class);
        if e.allocs | e.frees | e.received != 0 {
            central.heap().books().post_class(self.writer(), class, &e);
        }
    }

    #[inline(always)]
    fn count_current(&self, class: Class) {
        // SAFETY: the current span is alive while it is current.
        if let Some(span) = unsafe { self.classes[class.index()].current.get().as_ref() } {
            self.count_frees(span);
        }
    }

    #[inline(always)]
    fn post_counted<O: Os>(&self, central: &Central<O>, class: Class) {
        let e = self.counted(class);
        central.heap().books().post_class(self.writer(), class, &e);
    }

    /// What happened in `class` since the last time and was counted of its spans: the caller posts it. Frees into the
    /// current span are in it, or objects that were freed there and allocated again would count twice.
    #[inline(always)]
    pub(super) fn counted(&self, class: Class) -> ClassEntry {
        self.count_current(class);
        let posted = &self.classes[class.index()].posted;
        let allocs = self.allocs(class);
        let mut e = ClassEntry {
            allocs: allocs.wrapping_sub(posted.allocs.get()),
            frees: posted.frees.get() as usize,
            received: posted.received.get() as usize,
            ..ClassEntry::default()
        };
        e.vacant = (e.frees + e.received) as isize - e.allocs as isize;
        posted.allocs.set(allocs);
        posted.due.set(allocs.wrapping_add(POST_EVERY[class.index()] as usize));
        posted.frees.set(0);
        posted.received.set(0);
        e
    }
}
