//! The paths of a cache whose frees are all validated.
//!
//! Its slots stay empty and its spans bear another token than its thread, so the fast paths of `alloc.rs` and `free.rs` find
//! nothing and change nothing: each allocation comes to [`Cache::refill_checked`], each free to `malloc::free`.
//! Every object is known to be live or free (`Span::mark_allocated`, `Span::mark_freed`), and every link of a list of free
//! objects is looked at before it is followed.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use super::free_list::FreeList;
use super::record::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::local;
use crate::os::Os;
use crate::report;
use crate::size_class::Class;
use crate::span::Changed;
use crate::system_stack;
use crate::units::Addr;

/// Until it is dropped, its cache's thread is inside the allocator.
pub struct Inside<'a> {
    inside: &'a AtomicBool,
    /// Whether the thread was inside before.
    was: bool,
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.inside.store(self.was, Ordering::Relaxed);
    }
}

impl Cache {
    /// Whether every free is validated that this cache's thread does.
    #[inline]
    pub fn is_checked(&self) -> bool {
        self.checked.get()
    }

    /// Says whether every free is validated. Owner only; the cache owns no span.
    pub fn set_checked(&self, on: bool) {
        debug_assert!(self.owns_no_span());
        self.checked.set(on);
        self.count_refills();
    }

    /// Says that this thread is inside the allocator, where a signal handler must not be. A second time, where frees
    /// are validated, ends the process with a line that begins with what `function` gives.
    #[inline]
    pub fn enter(&self, function: impl FnOnce() -> (&'static str, usize)) -> Inside<'_> {
        let inside = self.mark_inside();
        // A handler of the signal that ends the process may be here: it was told.
        if inside.was && self.checked.get() && !local::is_dying() {
            abort_reentered(function());
        }
        inside
    }

    /// Says that this thread is inside the allocator, for what a signal handler does that may interrupt it: a fork, and
    /// the end of the process. A load and two stores, to a line that slow paths touch anyway.
    #[inline(always)]
    pub(super) fn mark_inside(&self) -> Inside<'_> {
        let was = self.inside.load(Ordering::Relaxed);
        self.inside.store(true, Ordering::Relaxed);
        // A handler on this thread finds it set from here on: the compiler may not leave the store out.
        compiler_fence(Ordering::SeqCst);
        Inside { inside: &self.inside, was }
    }

    /// As [`Cache::enter`], for what may not be called on a system stack either.
    #[inline]
    pub fn enter_to_change(&self, function: impl FnOnce() -> (&'static str, usize)) -> Inside<'_> {
        if !self.checked.get() {
            return self.mark_inside();
        }
        let (function, argument) = function();
        system_stack::abort_if_active_always(function, argument);
        self.enter(|| (function, argument))
    }

    /// As [`Cache::mark_inside`], until it is said that the thread is not inside any more: for slow paths that are taken
    /// often and do nothing afterwards. Two stores.
    #[inline(always)]
    pub(super) fn set_inside(&self, inside: bool) {
        compiler_fence(Ordering::SeqCst);
        self.inside.store(inside, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Whether the owner is inside the allocator, as far as that is kept: not in the fast paths.
    pub fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// Allocates an object of `class`. Null: no memory.
    #[cold]
    #[inline(never)]
    pub(super) fn refill_checked<O: Os>(&self, heap: &Heap<O>, central: &Central<O>, class: Class) -> *mut u8 {
        let _inside = self.enter_to_change(|| ("malloc", 0));
        let state = &self.classes[class.index()];
        if state.stock.get().count == 0 {
            self.settle(heap, central);
            let list = self.fetch(heap, central, class);
            if list.is_empty() {
                return null_mut();
            }
            // SAFETY: the current span is alive while it is current.
            if let Some(span) = unsafe { state.current.get().as_ref() } {
                list.followed(span).unwrap_or_else(|changed| changed.abort());
            }
            state.stock.set(list);
        }
        let list = state.stock.get();
        // SAFETY: as above; a hand is never empty.
        let next = unsafe { (*list.first).next.get() };
        // SAFETY: as above.
        if let Some(span) = unsafe { state.current.get().as_ref() }
            && !(span.leads_on(next, list.count - 1) && span.mark_allocated(Addr::of(list.first)))
        {
            Changed::Object(list.first.addr()).abort();
        }
        state.stock.set(FreeList { first: next, count: list.count - 1 });
        self.slots[class.index()].allocs.count();
        list.first.cast()
    }
}

#[cold]
fn abort_reentered((function, argument): (&str, usize)) -> ! {
    match argument {
        0 => report::fatal(format_args!("crossfoot: {function}: called by a signal handler inside the allocator")),
        p => report::fatal(format_args!(
            "crossfoot: {function}({p:#x}): called by a signal handler inside the allocator"
        )),
    }
}
