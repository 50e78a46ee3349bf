//! Returns free memory to the OS on the program's request.

use super::adopt::cache;
use super::instance::{ALLOCATOR, central, heap};
use crate::lock::stand_back;
use crate::os::Linux;
use crate::stats::Account;
use crate::units::{PAGE_SIZE, Pages};

/// Returns all free pages to the OS, as C's `malloc_trim(0)` does. Returns whether any page was released: see
/// [`release_free_above`].
pub fn release_free() -> bool {
    release_free_above(0)
}

/// Returns all but `keep` bytes of free pages to the OS, highest addresses first. Returns whether any page was released.
/// Free stacks are released too, but not the system stacks that threads' caches keep.
///
/// First it collects the calling thread's inbox and returns the thread's empty spans and local pages to the heap. Other
/// threads' local pages stay, and so do free slots in spans that hold objects. It takes the heap's lock; the system calls
/// run without the lock.
pub fn release_free_above(keep: usize) -> bool {
    let Some(cache) = cache() else { return false };
    stand_back::<Linux>();
    let was_inside = cache.is_inside();
    let _inside = cache.enter(|| ("malloc_trim", 0));
    let heap = heap();
    // In a signal handler that interrupted its thread inside the allocator, the cache may be half changed.
    if !was_inside {
        cache.exchange(heap, central());
        cache.give_back_empty(heap);
    }
    ALLOCATOR.stacks().release(heap, cache.writer());
    heap.empty_local(cache.client());
    // The account may lag behind other threads' changes, and it includes their local pages. So a little more or less than
    // `keep` may stay.
    let free = if keep == 0 { usize::MAX } else { heap.accounts().get(Account::HeapFree) };
    heap.release(cache.writer(), Pages(free.saturating_sub(keep) / PAGE_SIZE)) != Pages(0)
}
