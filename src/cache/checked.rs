//! The paths of a cache whose frees are all validated.
//!
//! Its slots stay empty and its spans bear another token than its thread, so the fast paths of `alloc.rs` and `free.rs` find
//! nothing and change nothing: each allocation comes to [`Cache::refill_checked`], each free to `api::free_slow`.
//! Every object is known to be live or free ([`Span::begin`], [`Span::cease`]), and every link of a list of free
//! objects is looked at before it is followed.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use super::record::Cache;
use super::refill::Hand;
use crate::central::Central;
use crate::local;
use crate::os::Os;
use crate::report;
use crate::size_class::Class;
use crate::span::Changed;
use crate::system_stack;
use crate::units::Addr;

/// Until it is dropped, its cache's thread is inside the allocator.
pub struct Inside<'a>(Option<&'a AtomicBool>);

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(inside) = self.0 {
            compiler_fence(Ordering::SeqCst);
            inside.store(false, Ordering::Relaxed);
        }
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
        debug_assert!(self.owns_nothing());
        self.checked.set(on);
        self.count_refills();
    }

    /// Says that this thread is inside the allocator, where a signal handler must not be. A second time, where frees
    /// are validated, ends the process with a line that begins with what `function` gives.
    #[inline]
    pub fn enter(&self, function: impl FnOnce() -> (&'static str, usize)) -> Inside<'_> {
        if !self.checked.get() {
            return Inside(None);
        }
        // A handler of the signal that ends the process may be here: it was told.
        if self.inside.load(Ordering::Relaxed) && !local::is_dying() {
            tell_reentered(function());
        }
        self.inside.store(true, Ordering::Relaxed);
        // A handler on this thread finds it set from here on: the compiler may not leave the store out.
        compiler_fence(Ordering::SeqCst);
        Inside(Some(&self.inside))
    }

    /// As [`Cache::enter`], for what may not be called on a system stack either.
    #[inline]
    pub fn enter_to_change(&self, function: impl FnOnce() -> (&'static str, usize)) -> Inside<'_> {
        if !self.checked.get() {
            return Inside(None);
        }
        let (function, argument) = function();
        system_stack::refuse_always(function, argument);
        self.enter(|| (function, argument))
    }

    /// Whether the owner is inside the allocator, as far as that is kept.
    pub fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// Allocates an object of `class`. Null: no memory.
    #[cold]
    #[inline(never)]
    pub(super) fn refill_checked<O: Os>(&self, central: &Central<O>, class: Class) -> *mut u8 {
        let _inside = self.enter_to_change(|| ("malloc", 0));
        let state = &self.classes[class.index()];
        if state.stock.get().count == 0 {
            self.settle(central);
            let hand = self.gather(central, class);
            if hand.is_empty() {
                return null_mut();
            }
            // SAFETY: the current span is alive while it is current.
            if let Some(span) = unsafe { state.current.get().as_ref() } {
                hand.followed(span).unwrap_or_else(|changed| changed.abort());
            }
            state.stock.set(hand);
        }
        let hand = state.stock.get();
        // SAFETY: as above; a hand is never empty.
        let next = unsafe { (*hand.first).next.get() };
        // SAFETY: as above.
        if let Some(span) = unsafe { state.current.get().as_ref() }
            && !(span.leads_on(next, hand.count - 1) && span.begin(Addr::of(hand.first)))
        {
            Changed::Object(hand.first.addr()).abort();
        }
        state.stock.set(Hand { first: next, count: hand.count - 1 });
        self.slots[class.index()].allocs.count();
        hand.first.cast()
    }
}

#[cold]
fn tell_reentered((function, argument): (&str, usize)) -> ! {
    match argument {
        0 => report::fatal(format_args!("crossfoot: {function}: called by a signal handler inside the allocator")),
        p => report::fatal(format_args!(
            "crossfoot: {function}({p:#x}): called by a signal handler inside the allocator"
        )),
    }
}
