//! The process's allocator, and its connection to threads, forks, exits and the environment.
//!
//! The C API exports these functions under C's names; [`Crossfoot`] is the Rust API. A thread finds its cache through a
//! thread-local word. It adopts a cache at its first allocation and gives it back when it exits.
//!
//! No libc function is called before or during start-up. Later calls go through weak references, so that programs without
//! a libc link. Readings of statistics run on a system stack ([`on_system_stack`]), where nothing may be allocated or freed.
//!
//! Invariant: [`local::cache`] is null, or a cache of [`ALLOCATOR`] that this thread owns, and the spans of that cache bear
//! this thread's id.

mod adopt;
#[cfg(feature = "allocator-api2")]
mod allocator_api;
mod audit;
mod check;
mod environment;
mod exit;
mod exit_report;
mod fork;
mod front_end;
mod heaps;
mod hooks;
pub mod inside;
mod instance;
pub mod metrics;
mod pin;
mod read;
mod rust;
mod settings;
pub mod stack;
mod startup;
mod streams;
mod system_stacks;
mod thread_exit;
mod trim;

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use adopt::cache;
use instance::{central, heap};

use crate::api::{self, Other};
use crate::arch;
use crate::cache::{Cache, Freed};
use crate::size_class::{Class, QUICK_MAX, SMALL_MAX};
use crate::span::{ListState, Span};
use crate::{local, system_stack};

pub use audit::audit;
pub use check::{crossfoot, crossfoot_with};
pub use environment::keeps_deepbind;
pub use exit::{at_exit, at_immediate_exit};
pub use exit_report::claim_report;
pub use front_end::{at_process_exit, at_process_start};
pub use instance::ALLOCATOR;
pub use read::{exchange, last, mem_stats, read, read_posted, read_totals};
pub use rust::Crossfoot;
pub use system_stacks::on_system_stack;
pub use thread_exit::retire_cache;
pub use trim::{release_free, release_free_above};

/// `ENOMEM` of `errno.h`.
const ENOMEM: c_int = 12;

/// Allocates `size` bytes. Null: no memory; `errno` is set where the home has one.
#[inline(always)]
pub fn allocate(size: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    let cache = local::cache_or_empty::<Cache>();
    // Two ways out to two functions: with one, the compiler would make one condition of two, and compute it.
    if size > QUICK_MAX {
        return allocate_more(size);
    }
    // SAFETY: the thread's word is its cache, or leads to zero bytes.
    let p = unsafe { Cache::pop_quick_of(cache, size) };
    if p.is_null() { allocate_slow(size) } else { p }
}

/// As [`allocate`], for a `size` that the compiler may know: then there is nothing left to look up.
#[inline(always)]
pub fn allocate_known(size: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    let cache = local::cache_or_empty::<Cache>();
    if size > QUICK_MAX {
        return allocate_more(size);
    }
    // SAFETY: as in `allocate`.
    let p = unsafe { Cache::pop_known_of(cache, size) };
    if p.is_null() { allocate_slow(size) } else { p }
}

/// The second step of [`allocate`]: sizes that the quick table does not reach.
#[inline(never)]
fn allocate_more(size: usize) -> *mut u8 {
    if size > SMALL_MAX {
        return allocate_slow(size);
    }
    let class = Class::middle(size);
    let cache = local::cache_or_empty();
    // SAFETY: as in `allocate`.
    let p = unsafe { Cache::pop_of(cache, class) };
    if p.is_null() { allocate_class_slow(class) } else { p }
}

#[cold]
#[inline(never)]
fn allocate_class_slow(class: Class) -> *mut u8 {
    or_enomem(cache().map_or(null_mut(), |cache| cache.refill(heap(), central(), class)))
}

#[cold]
#[inline(never)]
fn allocate_slow(size: usize) -> *mut u8 {
    or_enomem(cache().map_or(null_mut(), |cache| api::allocate(heap(), central(), cache, size)))
}

/// Allocates `size` zero bytes. Null: no memory.
#[inline]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    or_enomem(cache().map_or(null_mut(), |cache| api::allocate_zeroed(heap(), central(), cache, size)))
}

/// Allocates `size` bytes aligned to `align`, a power of two. Null: no memory. Does not set `errno`.
#[inline]
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    if let Some(class) = Class::of_aligned(size, align) {
        // SAFETY: as in `allocate`.
        let p = unsafe { Cache::pop_of(local::cache_or_empty(), class) };
        if !p.is_null() {
            return p;
        }
    }
    allocate_aligned_slow(size, align)
}

#[cold]
#[inline(never)]
fn allocate_aligned_slow(size: usize, align: usize) -> *mut u8 {
    cache().map_or(null_mut(), |cache| api::allocate_aligned(heap(), central(), cache, size, align))
}

/// Frees an object.
///
/// # Safety
/// As for [`api::free`].
#[inline(always)]
pub unsafe fn free(p: *mut u8) {
    system_stack::abort_if_active("free", p.addr());
    // SAFETY: the caller's promise.
    match unsafe { api::free_quick(heap(), local::thread_id(), p) } {
        Freed::Done => {}
        Freed::Last => free_last(p),
        // SAFETY: the caller's promise; two functions, so that the fast path need not say which.
        Freed::Not => unsafe { free_other(p) },
    }
}

#[cold]
#[inline(never)]
fn free_last(p: *mut u8) {
    // SAFETY: it is null or this thread's cache.
    api::free_last(heap(), || unsafe { local::cache::<Cache>().as_ref() }, p);
}

/// The second step of [`free`]: objects that another thread allocated, and objects of full spans.
///
/// # Safety
/// As for [`free`]; [`api::free_quick`] did nothing.
#[inline(never)]
unsafe fn free_other(p: *mut u8) {
    // SAFETY: the caller's promise.
    match unsafe { api::free_pending(heap(), local::cache_or_empty(), p) } {
        Other::Done => {}
        Other::Send(cache, span) => cache.flush_pending_of(heap(), central(), span),
        // SAFETY: as above.
        Other::Own(cache, span) => unsafe { free_own(cache, span, p) },
        // SAFETY: as above.
        Other::Rest => unsafe { free_rest(p) },
    }
}

/// The third step, for an object of a span that `cache` owns, this thread's.
///
/// # Safety
/// As for [`free_other`].
#[inline(never)]
unsafe fn free_own(cache: &Cache, span: &Span, p: *mut u8) {
    // SAFETY: the caller's promise, and the cache is this thread's and owns the span.
    unsafe {
        match span.list_state.get() {
            ListState::Full if !cache.is_checked() => cache.free_into_full(heap(), span, p.cast()),
            _ => free_rest(p),
        }
    }
}

/// The third step, for all others.
///
/// # Safety
/// As for [`free_other`].
#[cold]
#[inline(never)]
unsafe fn free_rest(p: *mut u8) {
    // SAFETY: it is null or this thread's cache.
    match unsafe { local::cache::<Cache>().as_ref() } {
        // SAFETY: the caller's promise.
        Some(cache) => unsafe { api::free_other(heap(), central(), cache, p, "free") },
        // SAFETY: as above.
        None => with_cache_to_free(p, |cache| unsafe { api::free_slow(heap(), central(), cache, p, "free") }),
    }
}

/// Frees an object of which the caller knows how many bytes it asked for, aligned to what; null: nothing. `function` is
/// what the caller was called by.
///
/// With `check:on` that must be so. Otherwise the size is not needed: the object's span is looked up for its owner.
///
/// # Safety
/// As for [`api::free`].
#[inline(always)]
pub unsafe fn free_sized(p: *mut u8, size: usize, align: usize, function: &'static str) {
    system_stack::abort_if_active(function, p.addr());
    // SAFETY: the caller's promise.
    match unsafe { api::free_quick(heap(), local::thread_id(), p) } {
        Freed::Done => {}
        Freed::Last => free_last(p),
        // SAFETY: the caller's promise.
        Freed::Not => unsafe { free_sized_other(p, size, align, function) },
    }
}

/// As [`free_sized`], for callers that promise more: with `check:on` it is seen if they were wrong.
///
/// # Safety
/// `p` is a live object of this allocator, of `size` bytes aligned to `align`, and nobody uses it any more.
#[inline(always)]
pub unsafe fn free_live(p: *mut u8, size: usize, align: usize, function: &'static str) {
    system_stack::abort_if_active(function, p.addr());
    // SAFETY: the caller's promise.
    match unsafe { api::free_live(heap(), local::thread_id(), p) } {
        Freed::Done => {}
        Freed::Last => free_last(p),
        // SAFETY: the caller's promise.
        Freed::Not => unsafe { free_sized_other(p, size, align, function) },
    }
}

/// The second step of [`free_sized`] and [`free_live`].
///
/// # Safety
/// As for [`free_sized`]; the first step did nothing.
#[inline(never)]
unsafe fn free_sized_other(p: *mut u8, size: usize, align: usize, function: &'static str) {
    // SAFETY: the caller's promise. Where frees are validated, nothing is found here but what is the cache's own.
    match unsafe { api::free_pending(heap(), local::cache_or_empty(), p) } {
        Other::Done => return,
        Other::Send(cache, span) => return cache.flush_pending_of(heap(), central(), span),
        Other::Own(cache, span) if span.list_state.get() == ListState::Full && !cache.is_checked() => {
            // SAFETY: as above, and the cache is this thread's and owns the span.
            return unsafe { cache.free_into_full(heap(), span, p.cast()) };
        }
        Other::Own(..) | Other::Rest => {}
    }
    // SAFETY: it is null or this thread's cache.
    match unsafe { local::cache::<Cache>().as_ref() } {
        // SAFETY: the caller's promise.
        Some(cache) if !cache.is_checked() => unsafe { api::free_other(heap(), central(), cache, p, function) },
        _ => with_cache_to_free(p, |cache| {
            // SAFETY: as above.
            unsafe { api::free_sized_slow(heap(), central(), cache, p, size, align, function) }
        }),
    }
}

/// Runs `f` with a cache that may free `p`, unless that is null.
#[inline(always)]
fn with_cache_to_free(p: *mut u8, f: impl FnOnce(&Cache)) {
    if p.is_null() {
        return;
    }
    // A thread that has ended gets no cache for a free: nobody would take it back.
    let cache = if local::cache::<Cache>().is_null() && local::ended() { None } else { cache() };
    match cache {
        Some(cache) => f(cache),
        // The shared cache owns no span, so nothing was done with it yet.
        None => {
            let _busy = inside::busy("free");
            ALLOCATOR.caches().with_shared(|cache| {
                f(cache);
                cache.flush_pending(heap(), central());
            });
        }
    }
}

/// Changes an object's size. Null: no memory; the old object is as it was.
///
/// # Safety
/// As for [`api::reallocate`].
#[inline]
pub unsafe fn reallocate(p: *mut u8, size: usize, align: usize) -> *mut u8 {
    system_stack::abort_if_active("realloc", p.addr());
    match cache() {
        // SAFETY: the caller's promise.
        Some(cache) => or_enomem(unsafe { api::reallocate(heap(), central(), cache, p, size, align) }),
        None => or_enomem(null_mut()),
    }
}

/// How many bytes of an object may be used; 0 for null.
///
/// # Safety
/// As for [`api::usable_size`].
pub unsafe fn usable_size(p: *mut u8) -> usize {
    // It may be the first call of all, and find that the address is nobody's.
    startup::begin();
    // SAFETY: the caller's promise.
    unsafe { api::usable_size(heap(), p) }
}

#[inline]
fn or_enomem(p: *mut u8) -> *mut u8 {
    if p.is_null() {
        set_errno(ENOMEM);
    }
    p
}

/// Sets the libc's `errno`, where there is one.
#[cold]
pub fn set_errno(number: c_int) {
    let location = arch::errno_location();
    if !location.is_null() {
        // SAFETY: the symbol is the libc's function of this type, which returns this thread's `errno`.
        unsafe { *core::mem::transmute::<*const c_void, unsafe extern "C" fn() -> *mut c_int>(location)() = number };
    }
}
