//! Stacks for programs, and the system stacks of threads.

use core::fmt;

use super::{ALLOCATOR, cache, central, life};
use crate::cache::Cache;
use crate::local::{self, Busy};
use crate::lock::stand_back;
use crate::os::{Linux, Os, OsError};
use crate::span::Kind;
use crate::stack_pool;
use crate::system_stack::{self, Lent, SIZE};
use crate::units::Addr;

/// How long a thread that has no system stack yet waits for locks before it does without one, in nanoseconds: a thread
/// that was stopped may hold them.
const WAIT_NANOS: u64 = 10_000_000;

/// A stack: memory of a power of two bytes, with a guard below that faults at a touch. Given back when it is dropped.
///
/// ```
/// let stack = crossfoot::process::stack::take(100_000).expect("memory");
/// assert_eq!(stack.size(), 128 << 10);
/// assert_eq!(stack.top() as usize - stack.base() as usize, stack.size());
/// ```
pub struct Stack {
    stack: stack_pool::Stack<'static>,
}

// SAFETY: a stack is memory that belongs to this value, not to a thread.
unsafe impl Send for Stack {}
// SAFETY: as above; nothing changes through a shared reference.
unsafe impl Sync for Stack {}

/// Takes a stack of at least `size` bytes: 8 KiB, or the next power of two. What it holds is not said.
///
/// Free stacks of up to 256 KiB are kept for the next who takes one, at most 1 MiB of them, until [`release_free`] or
/// C's `malloc_trim` is called.
///
/// [`release_free`]: super::release_free
pub fn take(size: usize) -> Result<Stack, OsError> {
    system_stack::abort_if_active("stack::take", 0);
    let cache = cache().ok_or(OsError::OutOfMemory)?;
    stand_back::<Linux>();
    let _inside = cache.enter_to_change(|| ("stack::take", 0));
    let stack = ALLOCATOR.stacks().take(central().heap(), cache.writer(), size, None)?;
    Ok(Stack { stack })
}

impl Stack {
    /// The lowest byte. Below it lies the guard.
    pub fn base(&self) -> *mut u8 {
        self.stack.base().ptr()
    }

    /// The address behind the last byte, where a stack that grows downward begins.
    pub fn top(&self) -> *mut u8 {
        self.stack.top().ptr()
    }

    /// How many bytes there are between: a power of two.
    pub fn size(&self) -> usize {
        self.stack.size()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        system_stack::abort_if_active("stack", self.base().addr());
        stand_back::<Linux>();
        // SAFETY: it is null or this thread's cache.
        match unsafe { local::cache::<Cache>().as_ref() } {
            Some(cache) => {
                let _inside = cache.enter_to_change(|| ("stack", self.base().addr()));
                // SAFETY: it came from the pool, and nobody uses it any more.
                unsafe { ALLOCATOR.stacks().give_back(central().heap(), cache.writer(), self.stack) };
            }
            None => {
                let _busy = life::busy("stack");
                give_back_shared(self.stack);
            }
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("base", &self.base()).field("size", &self.size()).finish()
    }
}

/// Gives a stack of this process's pool back by the shared cache's writer. This thread is busy.
fn give_back_shared(stack: stack_pool::Stack<'_>) {
    ALLOCATOR.caches().with_shared(|cache| {
        // SAFETY: the callers' stack, which nobody uses any more.
        unsafe { ALLOCATOR.stacks().give_back(central().heap(), cache.writer(), stack) };
    });
}

/// Runs `f` on this thread's system stack, so that it needs next to nothing of the caller's: in place, where the thread
/// runs on it already, where there is no memory for one, and before the first allocation.
///
/// `f` neither allocates nor frees, which checked builds refuse with a line, nor panics. What it returns lies on the
/// caller's stack. The first call of a thread takes the stack from the pool, and its cache keeps it; a thread that has no
/// cache has one for the call.
pub fn on_system_stack<R>(f: impl FnOnce() -> R) -> R {
    system_stack::run_if(ALLOCATOR.is_ready(), f)
}

/// The stack for whoever calls `system_stack::run`.
pub(super) fn borrow() -> Option<Lent> {
    // What the handler interrupted may be in the middle of everything that a stack is taken from.
    if local::is_exiting() {
        return of_nobody();
    }
    // Such a thread may hold every lock.
    if local::is_forking() || local::is_dying() {
        return None;
    }
    // SAFETY: it is null or this thread's cache.
    match unsafe { local::cache::<Cache>().as_ref() } {
        Some(cache) => of_cache(cache),
        None => for_once(),
    }
}

fn lent(stack: stack_pool::Stack<'_>, back: Option<fn(Addr)>) -> Lent {
    Lent { base: stack.base(), top: stack.top(), back }
}

/// The stack that the cache keeps, which it gets if it has none.
#[inline]
fn of_cache(cache: &Cache) -> Option<Lent> {
    // SAFETY: the stack is the cache's for good.
    match unsafe { cache.system_stack.get().as_ref() } {
        // SAFETY: it came from the pool, and is the cache's.
        Some(span) => Some(lent(unsafe { ALLOCATOR.stacks().stack_of(central().heap(), span) }, None)),
        None => first(cache),
    }
}

#[cold]
#[inline(never)]
fn first(cache: &Cache) -> Option<Lent> {
    // A signal handler that interrupted an entry in the books; what it calls may say so.
    if cache.writer().is_inside() {
        return None;
    }
    // Whoever calls may have said already that the thread is inside.
    let _inside = (!cache.is_inside()).then(|| cache.enter(|| ("a reading of statistics", 0)));
    let (heap, pool) = (central().heap(), ALLOCATOR.stacks());
    let stack = pool.take(heap, cache.writer(), SIZE, Some(WAIT_NANOS)).ok()?;
    // SAFETY: the stack is the cache's for good.
    if let Some(span) = unsafe { cache.system_stack.get().as_ref() } {
        // A handler came meanwhile, and has got one.
        // SAFETY: taken above, and not used.
        unsafe { pool.give_back(heap, cache.writer(), stack) };
        // SAFETY: it came from the pool, and is the cache's.
        return Some(lent(unsafe { pool.stack_of(heap, span) }, None));
    }
    cache.system_stack.set(stack.span());
    Some(lent(stack, None))
}

/// A stack for a thread that has no cache.
#[cold]
#[inline(never)]
fn for_once() -> Option<Lent> {
    if !ALLOCATOR.is_ready() {
        return of_nobody();
    }
    // `None`: a signal handler where the thread's cache changes, or where it uses the shared one.
    let _busy = Busy::begin()?;
    let take = |cache: &Cache| ALLOCATOR.stacks().take(central().heap(), cache.writer(), SIZE, Some(WAIT_NANOS)).ok();
    let stack = ALLOCATOR.caches().with_shared_within(WAIT_NANOS, take)??;
    Some(lent(stack, Some(back)))
}

/// A stack where there are isolated heaps only: the process's kernel, which nobody uses, is not started for it. From the
/// system and back to it, and in no books, since there are none.
fn of_nobody() -> Option<Lent> {
    let (guard, whole) = nobodys();
    let start = Linux.alloc(whole).ok()?;
    // SAFETY: mapped above, and nobody knows of it.
    unsafe {
        if Linux.guard(start, guard).is_err() {
            let _ = Linux.free(start, whole);
            return None;
        }
    }
    Some(Lent { base: start.plus(guard), top: start.plus(whole), back: Some(nobodys_back) })
}

/// How large its guard is, and with it the whole.
fn nobodys() -> (usize, usize) {
    let guard = Linux.physical_page_size();
    (guard, guard + SIZE)
}

fn nobodys_back(base: Addr) {
    let (guard, whole) = nobodys();
    // SAFETY: it came from `of_nobody`, and nobody uses it any more. Where it stays mapped nothing is to be done.
    let _ = unsafe { Linux.free(Addr(base.0 - guard), whole) };
}

fn back(base: Addr) {
    // Whoever has a stack was not busy when it came, and is not now.
    let busy = Busy::begin();
    debug_assert!(busy.is_some());
    if let Some(span) = central().heap().span_of(base).filter(|span| span.kind() == Kind::Stack) {
        // SAFETY: it came from the pool, by `for_once`, and is ours.
        give_back_shared(unsafe { ALLOCATOR.stacks().stack_of(central().heap(), span) });
    }
}
