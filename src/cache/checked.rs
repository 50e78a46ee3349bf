//! The paths of a cache with `check:on`, which validates every free.
//!
//! Its slots stay empty and its spans bear another id than its thread. So the fast paths find nothing and change nothing:
//! each allocation comes to [`Cache::refill_checked`], each free to the last rungs of `malloc::free`. A bit for each object
//! says whether it is live (`Span::mark_allocated`, `Span::mark_freed`), and each link of a list of free objects is checked
//! before it is followed.

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

/// Marks the cache's thread as inside the allocator until it is dropped.
pub struct Inside<'a> {
    inside: &'a AtomicBool,
    /// Whether the thread was marked before.
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
    /// Returns whether `check:on` applies to this cache.
    #[inline]
    pub fn is_checked(&self) -> bool {
        self.checked.get()
    }

    /// Sets whether every free is validated. Owner only; the cache owns no span.
    pub fn set_checked(&self, on: bool) {
        debug_assert!(self.owns_no_span());
        self.checked.set(on);
        self.count_refills();
    }

    /// Marks this thread as inside the allocator, where a signal handler must not allocate. With `check:on`, aborts if it is
    /// marked already, with a line that begins with what `function` returns.
    #[inline]
    pub fn enter(&self, function: impl FnOnce() -> (&'static str, usize)) -> Inside<'_> {
        let inside = self.mark_inside();
        // A handler of SIGABRT after an abort may allocate.
        if inside.was && self.checked.get() && !local::is_dying() {
            abort_reentered(function());
        }
        inside
    }

    /// Marks this thread as inside the allocator, for a signal handler that forks or exits. A load and two stores, to a cache
    /// line that slow paths touch anyway.
    #[inline(always)]
    pub(super) fn mark_inside(&self) -> Inside<'_> {
        let was = self.inside.load(Ordering::Relaxed);
        self.inside.store(true, Ordering::Relaxed);
        // A handler on this thread must see the mark: the compiler may not drop the store.
        compiler_fence(Ordering::SeqCst);
        Inside { inside: &self.inside, was }
    }

    /// As [`Cache::enter`], for calls that also may not run on a system stack.
    #[inline]
    pub fn enter_to_change(&self, function: impl FnOnce() -> (&'static str, usize)) -> Inside<'_> {
        if !self.checked.get() {
            return self.mark_inside();
        }
        let (function, argument) = function();
        system_stack::abort_if_active_always(function, argument);
        self.enter(|| (function, argument))
    }

    /// Sets or clears the mark of [`Cache::mark_inside`] without a guard: for frequent slow paths that restore nothing. One
    /// store.
    #[inline(always)]
    pub(super) fn set_inside(&self, inside: bool) {
        compiler_fence(Ordering::SeqCst);
        self.inside.store(inside, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Returns whether the owner is inside a slow path. Fast paths leave no mark.
    pub fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// Allocates an object of `class`. Returns null if there is no memory.
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
        // SAFETY: as above; the list is not empty.
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
