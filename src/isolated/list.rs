//! The list of live heaps, for the fork.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::Inner;
use crate::allocator::Allocator;
use crate::local;
use crate::lock::{Fork, Mutex, Rank, hold_row, let_go_row};
use crate::os::{Linux, RangeOs};

/// Every live heap. The links are protected by the lock; they are atomics because a fork holds that without a guard.
static HEAPS: List = List { lock: Mutex::new(Rank::Heaps, ()), first: AtomicPtr::new(null_mut()) };

struct List {
    lock: Mutex<RangeOs, ()>,
    first: AtomicPtr<Inner>,
}

/// A heap's place in the list. Protected by the list's lock.
pub(super) struct Links {
    next: AtomicPtr<Inner>,
    previous: AtomicPtr<Inner>,
}

impl Links {
    /// In no list.
    pub(super) const fn new() -> Links {
        Links { next: AtomicPtr::new(null_mut()), previous: AtomicPtr::new(null_mut()) }
    }
}

/// Adds a heap.
///
/// # Safety
/// It is in no list, and stays where it is until [`remove`].
pub(super) unsafe fn add(heap: NonNull<Inner>) {
    let _guard = HEAPS.lock.lock();
    let first = HEAPS.first.load(Ordering::Relaxed);
    // SAFETY: the caller's promise; a listed heap is alive, and under the lock stays so.
    unsafe {
        heap.as_ref().links.next.store(first, Ordering::Relaxed);
        if let Some(first) = first.as_ref() {
            first.links.previous.store(heap.as_ptr(), Ordering::Relaxed);
        }
    }
    HEAPS.first.store(heap.as_ptr(), Ordering::Relaxed);
}

/// Takes a heap out.
///
/// # Safety
/// It is in the list.
pub(super) unsafe fn remove(heap: &Inner) {
    let _guard = HEAPS.lock.lock();
    let next = heap.links.next.load(Ordering::Relaxed);
    let previous = heap.links.previous.load(Ordering::Relaxed);
    // SAFETY: listed heaps are alive.
    unsafe {
        if let Some(next) = next.as_ref() {
            next.links.previous.store(previous, Ordering::Relaxed);
        }
        match previous.as_ref() {
            Some(previous) => previous.links.next.store(next, Ordering::Relaxed),
            None => HEAPS.first.store(next, Ordering::Relaxed),
        }
    }
}

/// Every heap, from the first on. The list's lock is held until the end.
fn each<'a>() -> impl Iterator<Item = &'a Inner> {
    let follow = |link: &AtomicPtr<Inner>| {
        // SAFETY: a listed heap is alive, and is not taken out while the lock is held.
        unsafe { link.load(Ordering::Relaxed).as_ref() }
    };
    core::iter::successors(follow(&HEAPS.first), move |heap| follow(&heap.links.next))
}

/// Lists every heap on the stats page of the process's allocator, once that has started. Does it once.
pub fn list_on_stats_page(home: &'static Allocator<Linux>) {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    // A heap that is not in the list yet is being created by a thread that sees that the allocator has started.
    let _guard = HEAPS.lock.lock();
    each().for_each(|heap| heap.list_on(home));
}

/// Takes the list's lock and that of every heap before a fork. A thread inside a heap's allocator holds that heap's
/// lock, so afterwards every heap is consistent and all its other locks are free.
pub fn before_fork(fork: &Fork) {
    hold_row([&HEAPS.lock], fork);
    hold_row(each().map(|heap| &heap.owned), fork);
}

/// Returns whether the calling thread holds the list's lock or a heap's.
pub fn is_held_by_this_thread() -> bool {
    HEAPS.lock.is_mine() || local::is_in_heap()
}

/// After a fork, in the parent and in the child.
///
/// # Safety
/// This thread, or in the child the one that forked, called [`before_fork`] and nothing since.
pub unsafe fn after_fork(fork: &Fork, child: bool) {
    // SAFETY: the caller's promise; the list did not change, because its lock was held.
    unsafe {
        let_go_row(each().map(|heap| &heap.owned), fork, child);
        let_go_row([&HEAPS.lock], fork, child);
    }
}
