//! The system stacks of threads: readings of statistics, reports and checks run on them, so that they need next to
//! nothing of the caller's stack.
//!
//! A thread's first call takes a stack from the process's pool; the thread's cache keeps it. A thread without a cache
//! borrows one for the call. The stack's memory is counted as a stack's.

use super::inside;
use super::instance::{ALLOCATOR, heap, own_cache};
use crate::cache::Cache;
use crate::local::{self, Busy};
use crate::os::{Linux, Memory};
use crate::span::Kind;
use crate::stack_pool;
use crate::system_stack::{self, Lent, SIZE};
use crate::units::Addr;

/// How long a thread without a system stack waits for locks before it runs on its own stack, in nanoseconds. A stopped
/// thread may hold the locks.
const WAIT_NANOS: u64 = 10_000_000;

/// Runs `f` on the calling thread's system stack. Runs it in place if the thread is on that stack already, if there is no
/// memory for a stack, and before the first allocation.
///
/// `f` must not allocate, free or panic; checked builds abort with a line if it allocates or frees. Its result is returned
/// on the caller's stack.
pub fn on_system_stack<R>(f: impl FnOnce() -> R) -> R {
    system_stack::run_if(ALLOCATOR.is_ready(), f)
}

/// Returns a stack for the caller of `system_stack::run`, or `None` if it has to run in place.
pub(super) fn borrow() -> Option<Lent> {
    // The interrupted code may hold the locks of the pool and of the heap.
    if local::is_exiting() {
        return from_os();
    }
    // Such a thread may hold every lock.
    if local::is_forking() || local::is_dying() {
        return None;
    }
    match own_cache() {
        Some(cache) => of_cache(cache),
        None => without_cache(),
    }
}

/// Gives a stack of the process's pool back through the shared cache, for a thread that has none.
pub(super) fn give_back_shared(stack: stack_pool::Stack<'_>, function: &str) {
    let _busy = inside::busy(function);
    give_back_busy(stack);
}

/// As [`give_back_shared`], where the thread is marked as busy.
fn give_back_busy(stack: stack_pool::Stack<'_>) {
    ALLOCATOR.caches().with_shared(|cache| {
        // SAFETY: the caller's stack, which is not used any more.
        unsafe { ALLOCATOR.stacks().give_back(heap(), cache.writer(), stack) };
    });
}

fn lent(stack: stack_pool::Stack<'_>, back: Option<fn(Addr)>) -> Lent {
    Lent { base: stack.base(), top: stack.top(), back }
}

/// Returns the stack that the cache keeps. Takes one if the cache has none.
#[inline]
fn of_cache(cache: &Cache) -> Option<Lent> {
    // SAFETY: the cache keeps the stack for good.
    match unsafe { cache.system_stack.get().as_ref() } {
        // SAFETY: it came from the pool, and is the cache's.
        Some(span) => Some(lent(unsafe { ALLOCATOR.stacks().stack_of(heap(), span) }, None)),
        None => first(cache),
    }
}

/// Takes the cache's stack from the pool.
#[cold]
#[inline(never)]
fn first(cache: &Cache) -> Option<Lent> {
    // A signal handler interrupted a posting to the statistics, and taking a stack posts.
    if cache.writer().is_inside() {
        return None;
    }
    // The caller may have marked the thread already.
    let _inside = (!cache.is_inside()).then(|| cache.enter(|| ("a reading of statistics", 0)));
    let pool = ALLOCATOR.stacks();
    let stack = pool.take(heap(), cache.writer(), SIZE, Some(WAIT_NANOS)).ok()?;
    // SAFETY: the cache keeps the stack for good.
    if let Some(span) = unsafe { cache.system_stack.get().as_ref() } {
        // A signal handler took a stack for this cache meanwhile.
        // SAFETY: taken above, and not used.
        unsafe { pool.give_back(heap(), cache.writer(), stack) };
        // SAFETY: it came from the pool, and is the cache's.
        return Some(lent(unsafe { pool.stack_of(heap(), span) }, None));
    }
    cache.system_stack.set(stack.span());
    Some(lent(stack, None))
}

/// Takes a stack for one call of a thread that has no cache.
#[cold]
#[inline(never)]
fn without_cache() -> Option<Lent> {
    if !ALLOCATOR.is_ready() {
        return from_os();
    }
    // This fails in a signal handler that interrupted a change of the thread's cache, or a use of the shared one.
    let _busy = Busy::begin()?;
    let take = |cache: &Cache| ALLOCATOR.stacks().take(heap(), cache.writer(), SIZE, Some(WAIT_NANOS)).ok();
    let stack = ALLOCATOR.caches().with_shared_within(WAIT_NANOS, take)??;
    Some(lent(stack, Some(back)))
}

/// Gives back a stack of [`without_cache`].
fn back(base: Addr) {
    // The thread was not busy when it took the stack, so it is not busy now.
    let busy = Busy::begin();
    debug_assert!(busy.is_some());
    if let Some(span) = heap().span_of(base).filter(|span| span.kind() == Kind::Stack) {
        // SAFETY: it came from the pool, by `without_cache`, and is ours.
        give_back_busy(unsafe { ALLOCATOR.stacks().stack_of(heap(), span) });
    }
}

/// Maps a stack for one call. Where only isolated heaps are used, the process's allocator is not started for a stack. The
/// mapping is in no account.
fn from_os() -> Option<Lent> {
    let (guard, whole) = mapped_sizes();
    let start = Linux.alloc(whole).ok()?;
    // SAFETY: mapped above, and not known anywhere else.
    unsafe {
        if Linux.guard(start, guard).is_err() {
            let _ = Linux.free(start, whole);
            return None;
        }
    }
    Some(Lent { base: start.plus(guard), top: start.plus(whole), back: Some(unmap) })
}

/// Returns the size of the guard and of the whole mapping of [`from_os`].
fn mapped_sizes() -> (usize, usize) {
    let guard = Linux.physical_page_size();
    (guard, guard + SIZE)
}

/// Unmaps a stack of [`from_os`].
fn unmap(base: Addr) {
    let (guard, whole) = mapped_sizes();
    // SAFETY: it came from `from_os`, and is not used any more. If the call fails, the mapping stays; nothing else can be done.
    let _ = unsafe { Linux.free(Addr(base.0 - guard), whole) };
}
