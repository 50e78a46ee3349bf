//! The way of a batch of freed objects to whoever owns their span.
//!
//! Senders push batches with one exchange each; the owner takes all at once. An inbox is open while a thread owns
//! its cache. A batch that finds it closed looks again whose the span is.

use core::ptr::null_mut;

use crate::span::{Batch, Link};
use crate::sync::{AtomicPtr, Ordering, constant};

/// Batches on their way to the owner, the last one first. A batch is known by its tail, whose `next` is
/// the head, and whose `extra` is the next batch's tail. The head's `extra` is the sum of the addresses, unless it is the
/// tail too.
///
/// All-zero bytes are an inbox that is closed.
#[repr(align(128))]
pub struct Inbox<L> {
    first: AtomicPtr<L>,
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

    /// Opens it, for whoever owns the cache from now on. It is closed.
    pub fn open(&self) {
        self.first.store(Self::EMPTY, Ordering::Relaxed);
    }

    /// Whether something may have arrived.
    pub fn has_any(&self) -> bool {
        self.first.load(Ordering::Relaxed) != Self::EMPTY
    }

    /// Adds a batch. `false`: the inbox is closed, the owner's thread has ended.
    ///
    /// # Safety
    /// The batch consists of free objects that nobody else has.
    pub unsafe fn send(&self, batch: &Batch<L>) -> bool {
        if batch.head != batch.tail {
            // SAFETY: the objects are ours until the exchange succeeds.
            unsafe { (*batch.head).set_extra(batch.sum) };
        }
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            if first == Self::CLOSED {
                return false;
            }
            // SAFETY: the tail is ours until the exchange succeeds.
            unsafe {
                (*batch.tail).set_next(batch.head);
                (*batch.tail).set_extra(first.expose_provenance() as u64);
            }
            // Release: the owner sees the links and everything that was done to the objects.
            match self.first.compare_exchange(first, batch.tail, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => first = seen,
            }
        }
    }

    /// Takes all batches, and leaves the inbox empty. Calls `f` for each. The owner calls it.
    pub fn take(&self, f: impl FnMut(Batch<L>)) {
        self.take_and_leave(Self::EMPTY, |_, _| (), f);
    }

    /// Takes all batches, and leaves the inbox closed. Calls `f` for each. The owner calls it.
    pub fn close(&self, f: impl FnMut(Batch<L>)) {
        self.take_and_leave(Self::CLOSED, |_, _| (), f);
    }

    /// As [`Inbox::take`], or [`Inbox::close`] if it is to stay `closed`. Before anything is read of an object, `look`
    /// gets the object that led there, if one did, and this one.
    pub fn take_looking(&self, closed: bool, look: impl Fn(*mut L, *mut L), f: impl FnMut(Batch<L>)) {
        self.take_and_leave(if closed { Self::CLOSED } else { Self::EMPTY }, look, f);
    }

    fn take_and_leave(&self, leave: *mut L, look: impl Fn(*mut L, *mut L), mut f: impl FnMut(Batch<L>)) {
        // Acquire: pairs with the release of each sender.
        let mut tail = self.first.swap(leave, Ordering::Acquire);
        let mut from = null_mut();
        while tail != Self::EMPTY && tail != Self::CLOSED {
            look(from, tail);
            // SAFETY: every tail in the inbox is a free object with its links written by `send`.
            let (head, next) = unsafe { ((*tail).next(), (*tail).extra()) };
            if head != tail {
                look(tail, head);
            }
            // It is on its way while this batch is looked at.
            L::prefetch(core::ptr::without_provenance_mut(next as usize));
            // SAFETY: so is every head.
            f(Batch { head, tail, sum: unsafe { sum(head, tail) } });
            from = tail;
            tail = core::ptr::with_exposed_provenance_mut(next as usize);
        }
    }

    /// Calls `f` for each batch's tail and sum. Nobody takes them meanwhile.
    pub fn each(&self, mut f: impl FnMut(*mut L, u64)) {
        // Acquire: pairs with the release of each sender.
        let mut tail = self.first.load(Ordering::Acquire);
        while tail != Self::EMPTY && tail != Self::CLOSED {
            // SAFETY: every tail in the inbox is a free object with its links written by `send`, and so is every head.
            let (next, sum) = unsafe { ((*tail).extra(), sum((*tail).next(), tail)) };
            f(tail, sum);
            tail = core::ptr::with_exposed_provenance_mut(next as usize);
        }
    }
}

/// The sum of the addresses of a batch in an inbox.
///
/// # Safety
/// Both are objects as [`Inbox::send`] wrote them.
unsafe fn sum<L: Link>(head: *mut L, tail: *mut L) -> u64 {
    // SAFETY: the caller's promise.
    if head == tail { tail.addr() as u64 } else { unsafe { (*head).extra() } }
}

/// The ways that a batch of one span can go.
pub trait Ways<'a, L: Link + 'a> {
    /// Whose the span is now: a cache's inbox, the caller's own, or nobody's.
    fn owner(&self) -> Owner<'a, L>;
    /// Puts the batch on the span's list; the caller owns the span.
    fn receive(&self, batch: &Batch<L>);
    /// Frees the batch under the lock of the class's central list. `false`: the span has an owner by now.
    fn free_unowned(&self, batch: &Batch<L>) -> bool;
}

/// Who owns a span.
pub enum Owner<'a, L> {
    /// The caller.
    Own,
    /// The cache with this inbox.
    Other(&'a Inbox<L>),
    /// No cache.
    Nobody,
}

/// Brings a batch that was posted as sent to whoever owns its span now.
///
/// # Safety
/// The batch consists of free objects of the span of `ways`, in the caller's hand.
pub unsafe fn forward<'a, L: Link + 'a>(ways: &impl Ways<'a, L>, batch: &Batch<L>) {
    loop {
        let done = match ways.owner() {
            Owner::Own => {
                ways.receive(batch);
                true
            }
            // SAFETY: the caller's promise.
            Owner::Other(inbox) => unsafe { inbox.send(batch) },
            Owner::Nobody => ways.free_unowned(batch),
        };
        if done {
            return;
        }
        // The owner changed in between: its thread ended, or another adopted the span.
        core::hint::spin_loop();
    }
}
