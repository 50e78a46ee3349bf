//! Giving free memory back to the system because the program asks for it.

use super::{ALLOCATOR, cache, central};
use crate::lock::stand_back;
use crate::os::Linux;
use crate::stats::Account;
use crate::units::{PAGE_SIZE, Pages};

/// Gives all free pages back to the system, as C's `malloc_trim(0)`. Returns whether any went back: see
/// [`release_free_above`].
pub fn release_free() -> bool {
    release_free_above(0)
}

/// Gives free pages back to the system, highest addresses first, but for `keep` bytes of them. Returns whether any
/// went back. Free stacks are among them, but for those that threads' caches keep.
///
/// What other threads freed for the calling one is taken in first, and what it keeps for its next allocations goes back
/// too. Pages that other threads keep do not count, nor do free places in spans that hold objects. Takes the heap's lock;
/// the system is called without it.
pub fn release_free_above(keep: usize) -> bool {
    let Some(cache) = cache() else { return false };
    stand_back::<Linux>();
    let was_inside = cache.is_inside();
    let _inside = cache.enter(|| ("malloc_trim", 0));
    let heap = central().heap();
    // A signal handler that came while its thread was inside the allocator leaves the cache alone.
    if !was_inside {
        cache.exchange(central());
        cache.give_back_empty(central());
    }
    ALLOCATOR.stacks().release(heap, cache.writer());
    heap.empty_local(cache.client());
    // The account may lag behind by what others moved, and count what is in their hands. Then a little more or less
    // than `keep` stays, and nothing is wrong.
    let free = if keep == 0 { usize::MAX } else { heap.vm().accounts().get(Account::HeapFree) };
    heap.release(cache.writer(), Pages(free.saturating_sub(keep) / PAGE_SIZE)) != Pages(0)
}
