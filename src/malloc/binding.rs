//! The trait for the differences between the process's allocator, an isolated heap and a test's allocator.

use crate::cache::Cache;
use crate::central::Central;
use crate::heap::Heap;
use crate::os::Os;

/// Connects a call to an allocator and to the calling thread's cache. Passed by value: the process's binding is zero
/// bytes.
pub trait Binding: Copy {
    /// The OS under the allocator.
    type Os: Os;

    /// Returns the page heap.
    fn heap(&self) -> &Heap<Self::Os>;
    /// Returns the central lists.
    fn central(&self) -> &Central<Self::Os>;

    /// Returns the calling thread's id. Spans bear the id of their owner's thread.
    fn thread_id(&self) -> usize;
    /// Returns the calling thread's cache, or if it has none, [`EMPTY_CACHE_BYTES`](crate::local::EMPTY_CACHE_BYTES) zero
    /// bytes, in which every slot is empty. So fast paths do not ask whether there is a cache.
    fn cache_or_empty(&self) -> *const Cache;
    /// Returns the calling thread's cache. Returns `None` if it has none.
    fn cache(&self) -> Option<&Cache>;
    /// Returns the calling thread's cache, adopting one if it has none. Returns `None` if there is no memory for one.
    fn cache_or_adopt(&self) -> Option<&Cache>;
    /// Calls `f` with a cache that may free: the calling thread's, an adopted one, or the shared one under its lock.
    /// Called only for a thread that had no cache.
    fn with_cache_to_free(&self, f: impl FnOnce(&Cache));

    /// Reports that an allocation returns null: C's `errno`.
    fn report_no_memory(&self);
}

/// A binding to a cache that the caller owns: an isolated heap's under its lock, or one that a test drives.
pub struct Bound<'a, O: Os> {
    /// The page heap of the allocator.
    pub heap: &'a Heap<O>,
    /// Its central lists.
    pub central: &'a Central<O>,
    /// A cache of the same allocator.
    pub cache: &'a Cache,
}

impl<O: Os> Clone for Bound<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Os> Copy for Bound<'_, O> {}

impl<O: Os> Binding for Bound<'_, O> {
    type Os = O;

    #[inline(always)]
    fn heap(&self) -> &Heap<O> {
        self.heap
    }

    #[inline(always)]
    fn central(&self) -> &Central<O> {
        self.central
    }

    #[inline(always)]
    fn thread_id(&self) -> usize {
        self.cache.thread_id()
    }

    #[inline(always)]
    fn cache_or_empty(&self) -> *const Cache {
        self.cache
    }

    #[inline(always)]
    fn cache(&self) -> Option<&Cache> {
        Some(self.cache)
    }

    #[inline(always)]
    fn cache_or_adopt(&self) -> Option<&Cache> {
        Some(self.cache)
    }

    #[inline(always)]
    fn with_cache_to_free(&self, f: impl FnOnce(&Cache)) {
        f(self.cache);
    }

    #[inline(always)]
    fn report_no_memory(&self) {}
}
