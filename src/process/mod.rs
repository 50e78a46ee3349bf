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

use adopt::cache;
use instance::{central, heap, own_cache};

use crate::arch;
use crate::cache::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::malloc::{self, Binding};
use crate::os::Linux;
use crate::{local, system_stack};

pub use audit::audit;
pub use check::{crossfoot, crossfoot_with};
pub use environment::keeps_deepbind;
pub use exit::{at_exit, at_immediate_exit};
pub use exit_report::claim_report;
pub use fork::{at_fork_of_libc, let_libc_fork};
pub use front_end::{at_process_exit, at_process_start};
pub use instance::ALLOCATOR;
pub use read::{exchange, last, mem_stats, read, read_posted, read_totals};
pub use rust::Crossfoot;
pub use system_stacks::on_system_stack;
pub use thread_exit::retire_cache;
pub use trim::{release_free, release_free_above};

/// `ENOMEM` of `errno.h`.
const ENOMEM: c_int = 12;

/// Binds calls to the process's allocator and the calling thread's cache.
#[derive(Clone, Copy)]
struct Process;

impl Binding for Process {
    type Os = Linux;

    #[inline(always)]
    fn heap(&self) -> &Heap<Linux> {
        heap()
    }

    #[inline(always)]
    fn central(&self) -> &Central<Linux> {
        central()
    }

    #[inline(always)]
    fn thread_id(&self) -> usize {
        local::thread_id()
    }

    #[inline(always)]
    fn cache_or_empty(&self) -> *const Cache {
        local::cache_or_empty()
    }

    #[inline(always)]
    fn cache(&self) -> Option<&Cache> {
        own_cache()
    }

    #[inline(always)]
    fn cache_or_adopt(&self) -> Option<&Cache> {
        cache()
    }

    /// A thread past its last destructor adopts no cache for a free, because it could not give it back.
    #[inline(always)]
    fn with_cache_to_free(&self, f: impl FnOnce(&Cache)) {
        match if local::ended() { None } else { cache() } {
            Some(cache) => f(cache),
            None => {
                let _busy = inside::busy("free");
                ALLOCATOR.caches().with_shared(|cache| {
                    f(cache);
                    cache.flush_pending(heap(), central());
                });
            }
        }
    }

    #[inline(always)]
    fn report_no_memory(&self) {
        set_errno(ENOMEM);
    }
}

/// Allocates `size` bytes. Returns null if there is no memory, and sets C's `errno`.
#[inline(always)]
pub fn allocate(size: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    malloc::allocate(Process, size)
}

/// As [`allocate`], for a `size` that the compiler may know.
#[inline(always)]
pub fn allocate_known(size: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    malloc::allocate_known(Process, size)
}

/// Allocates `size` zero bytes. Returns null if there is no memory, and sets C's `errno`.
#[inline]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    malloc::allocate_zeroed(Process, size)
}

/// Allocates `size` bytes aligned to `align`, a power of two. Returns null if there is no memory. Does not set `errno`.
#[inline]
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    system_stack::abort_if_active("malloc", 0);
    malloc::allocate_aligned(Process, size, align)
}

/// Frees `p`. Null is a no-op.
///
/// # Safety
/// As for [`malloc::free()`].
#[inline(always)]
pub unsafe fn free(p: *mut u8) {
    system_stack::abort_if_active("free", p.addr());
    // SAFETY: the caller's promise.
    unsafe { malloc::free(Process, p) };
}

/// Frees `p`, allocated with `size` and `align`. Null is a no-op. `function` is the public entry point, for messages.
///
/// # Safety
/// As for [`malloc::free_sized`].
#[inline(always)]
pub unsafe fn free_sized(p: *mut u8, size: usize, align: usize, function: &'static str) {
    system_stack::abort_if_active(function, p.addr());
    // SAFETY: the caller's promise.
    unsafe { malloc::free_sized(Process, p, size, align, function) };
}

/// As [`free_sized`], for callers that promise more.
///
/// # Safety
/// As for [`malloc::free_live`].
#[inline(always)]
pub unsafe fn free_live(p: *mut u8, size: usize, align: usize, function: &'static str) {
    system_stack::abort_if_active(function, p.addr());
    // SAFETY: the caller's promise.
    unsafe { malloc::free_live(Process, p, size, align, function) };
}

/// Changes an object's size. Returns null if there is no memory, and sets C's `errno`; then the old object is unchanged.
///
/// # Safety
/// As for [`malloc::reallocate`].
#[inline]
pub unsafe fn reallocate(p: *mut u8, size: usize, align: usize) -> *mut u8 {
    system_stack::abort_if_active("realloc", p.addr());
    // SAFETY: the caller's promise.
    unsafe { malloc::reallocate(Process, p, size, align) }
}

/// Returns how many bytes of an object may be used, or 0 for null.
///
/// # Safety
/// As for [`malloc::usable_size`].
pub unsafe fn usable_size(p: *mut u8) -> usize {
    // It may be the first call of the process, and abort.
    startup::begin();
    // SAFETY: the caller's promise.
    unsafe { malloc::usable_size(heap(), p) }
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
