//! The process's allocator, and the calling thread's cache in it.

use crate::allocator::Allocator;
use crate::cache::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::local;
use crate::os::Linux;

/// The process's allocator.
pub static ALLOCATOR: Allocator<Linux> = Allocator::new(Linux);

/// Returns the central lists of the process's allocator.
#[inline(always)]
pub(super) fn central() -> &'static Central<Linux> {
    ALLOCATOR.central()
}

/// Returns the page heap of the process's allocator.
#[inline(always)]
pub(super) fn heap() -> &'static Heap<Linux> {
    ALLOCATOR.heap()
}

/// Returns the calling thread's cache, or `None` if it has none.
#[inline(always)]
pub(super) fn own_cache() -> Option<&'static Cache> {
    // SAFETY: the word is null or leads to this thread's cache, which is never unmapped.
    unsafe { local::cache::<Cache>().as_ref() }
}
