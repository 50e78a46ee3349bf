//! Returns batches of freed objects to the owner of their span.
//!
//! Senders push batches with one exchange each; the owner takes all at once. An inbox is open while a thread owns its
//! cache. A sender that finds it closed reads the span's owner again.

use core::ptr::null_mut;

use crate::span::{Batch, Link};
use crate::sync::{AtomicPtr, Ordering, constant};

/// A list of batches, the last one first. A batch is represented by its tail: `tail.next` is the head, and `tail.extra`
/// is the next batch's tail, with [`SINGLE`] added if head and tail are one object. Otherwise `head.extra` is the sum
/// of the addresses.
///
/// These words lie in free objects, where a use after free may overwrite them. The owner validates each word by
/// [`Validate`] before it follows it.
///
/// All-zero bytes are a closed inbox.
#[repr(align(128))]
pub struct Inbox<L> {
    first: AtomicPtr<L>,
}

/// Set in a tail's `extra` if the batch has one object. So a tail that leads to itself because of a use after free is
/// seen.
pub const SINGLE: u64 = 2;

/// Validates the objects in an inbox, for its owner.
pub trait Validate<L> {
    /// The span of a batch.
    type Span;
    /// The error for an object that the program changed after its free.
    type Changed;

    /// The span of the object at `tail`, if it can be a free object. Any address may be asked for.
    fn span(&self, tail: *mut L) -> Option<Self::Span>;
    /// Whether the object at `head` can be a free object of `span`. Any address may be asked for.
    fn is_of(&self, span: &Self::Span, head: *mut L) -> bool;
    /// Whether `sum` can be that of at least two objects of `span`.
    fn is_sum(&self, span: &Self::Span, sum: u64) -> bool;
    /// The object at this address was written to since it was freed.
    fn changed(&self, object: *mut L) -> Self::Changed;
}

/// A batch, and its span as [`Validate`] has it.
pub struct Arrived<L, S> {
    /// The batch.
    pub batch: Batch<L>,
    /// Its span.
    pub span: S,
}

impl<L: Link> Inbox<L> {
    /// An open inbox without batches: an address that no object has, and not null, so that zero bytes are a closed one.
    const EMPTY: *mut L = core::ptr::without_provenance_mut(1);
    const CLOSED: *mut L = null_mut();

    constant! {
        /// A closed inbox.
        #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
        pub fn new() -> Self {
            Inbox { first: AtomicPtr::new(null_mut()) }
        }
    }

    /// Opens the inbox, which is closed, for the new owner of the cache.
    pub fn open(&self) {
        self.first.store(Self::EMPTY, Ordering::Relaxed);
    }

    /// Returns whether batches may have arrived.
    pub fn has_any(&self) -> bool {
        self.first.load(Ordering::Relaxed) != Self::EMPTY
    }

    /// Adds a batch. Returns `false` if the inbox is closed, because the owner's thread has exited.
    ///
    /// # Safety
    /// The batch consists of free objects that only the caller has.
    pub unsafe fn send(&self, batch: &Batch<L>) -> bool {
        if batch.head != batch.tail {
            // SAFETY: the objects are ours until the exchange succeeds.
            unsafe { (*batch.head).set_extra(batch.sum) };
        }
        let single = if batch.head == batch.tail { SINGLE } else { 0 };
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            if first == Self::CLOSED {
                return false;
            }
            // SAFETY: the tail is ours until the exchange succeeds.
            unsafe {
                (*batch.tail).set_next(batch.head);
                (*batch.tail).set_extra(first.expose_provenance() as u64 | single);
            }
            // Release: the owner sees the links and everything that was done to the objects.
            match self.first.compare_exchange(first, batch.tail, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => first = seen,
            }
        }
    }

    /// Takes all batches, and leaves the inbox empty. Calls `f` for each. The owner calls it.
    pub fn take<W: Validate<L>>(&self, validate: &W, f: impl FnMut(Arrived<L, W::Span>)) -> Result<(), W::Changed> {
        self.take_and_leave(Self::EMPTY, validate, f)
    }

    /// Takes all batches, and leaves the inbox closed. Calls `f` for each. The owner calls it.
    pub fn close<W: Validate<L>>(&self, validate: &W, f: impl FnMut(Arrived<L, W::Span>)) -> Result<(), W::Changed> {
        self.take_and_leave(Self::CLOSED, validate, f)
    }

    #[inline]
    fn take_and_leave<W: Validate<L>>(
        &self,
        leave: *mut L,
        validate: &W,
        f: impl FnMut(Arrived<L, W::Span>),
    ) -> Result<(), W::Changed> {
        // Acquire: pairs with the release of each sender.
        Self::follow(self.first.swap(leave, Ordering::Acquire), validate, f)
    }

    /// Calls `f` for each batch. They are not taken meanwhile.
    pub fn each<W: Validate<L>>(&self, validate: &W, f: impl FnMut(Arrived<L, W::Span>)) -> Result<(), W::Changed> {
        // Acquire: pairs with the release of each sender.
        Self::follow(self.first.load(Ordering::Acquire), validate, f)
    }

    /// Calls `f` for the batch of `tail` and each one after it. Stops with an error at a batch that was overwritten.
    #[inline]
    fn follow<W: Validate<L>>(
        mut tail: *mut L,
        validate: &W,
        mut f: impl FnMut(Arrived<L, W::Span>),
    ) -> Result<(), W::Changed> {
        let mut from = tail;
        let mut cycle = Cycle { mark: null_mut(), steps: 0, next: 1 };
        while tail != Self::EMPTY && tail != Self::CLOSED {
            let Some(span) = validate.span(tail).filter(|_| !cycle.closes(tail)) else {
                return Err(validate.changed(from));
            };
            // SAFETY: an object, which can be read. Acquire above: as `send` wrote it.
            let (head, extra) = unsafe { ((*tail).next(), (*tail).extra()) };
            if (head == tail) != (extra & SINGLE != 0) || head != tail && !validate.is_of(&span, head) {
                return Err(validate.changed(tail));
            }
            let next = core::ptr::with_exposed_provenance_mut((extra & !SINGLE) as usize);
            // Nothing is sent to a closed inbox.
            if next == Self::CLOSED {
                return Err(validate.changed(tail));
            }
            // Hides the cache miss behind the work on this batch.
            L::prefetch(next);
            // SAFETY: as above.
            let sum = if head == tail { tail.addr() as u64 } else { unsafe { (*head).extra() } };
            if head != tail && !validate.is_sum(&span, sum) {
                return Err(validate.changed(head));
            }
            f(Arrived { batch: Batch { head, tail, sum }, span });
            from = tail;
            tail = next;
        }
        Ok(())
    }
}

/// Detects a cycle in a list by Brent's method: compares each element with the one at the last power of two.
struct Cycle<L> {
    /// The element at the last power of two.
    mark: *mut L,
    steps: usize,
    next: usize,
}

impl<L> Cycle<L> {
    #[inline]
    fn closes(&mut self, at: *mut L) -> bool {
        let round = at == self.mark;
        self.steps += 1;
        if self.steps == self.next {
            self.mark = at;
            self.next *= 2;
        }
        round
    }
}

/// Where a batch of one span can go.
pub trait Route<'a, L: Link + 'a> {
    /// Returns the current owner of the span.
    fn owner(&self) -> Owner<'a, L>;
    /// Puts the batch on the span's list; the caller owns the span.
    fn receive(&self, batch: &Batch<L>);
    /// Frees the batch under the lock of the class's central list. Returns `false` if the span has an owner by now.
    fn free_unowned(&self, batch: &Batch<L>) -> bool;
}

/// The owner of a span.
pub enum Owner<'a, L> {
    /// The caller.
    Own,
    /// The cache with this inbox.
    Other(&'a Inbox<L>),
    /// No cache.
    Nobody,
}

/// Returns a batch that was posted as sent to the current owner of its span.
///
/// # Safety
/// The batch consists of free objects of the span of `route`, which only the caller has.
pub unsafe fn forward<'a, L: Link + 'a>(route: &impl Route<'a, L>, batch: &Batch<L>) {
    loop {
        let done = match route.owner() {
            Owner::Own => {
                route.receive(batch);
                true
            }
            // SAFETY: the caller's promise.
            Owner::Other(inbox) => unsafe { inbox.send(batch) },
            Owner::Nobody => route.free_unowned(batch),
        };
        if done {
            return;
        }
        // The owner changed in between: its thread exited, or another one adopted the span.
        core::hint::spin_loop();
    }
}
