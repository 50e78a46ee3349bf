//! Checks of every identity of the statistics.

use super::inside;
use super::instance::{ALLOCATOR, heap, own_cache};
use super::read::exchange;
use super::system_stacks::on_system_stack;
use crate::local;
use crate::lock::stand_back;
use crate::mem_stats::Balance;
use crate::os::Linux;

/// Checks every identity of the process's statistics. Returns `None` before the first allocation.
///
/// The result takes 12 KiB of the caller's stack, and as much again where it is passed on. [`crossfoot_with`] needs none of
/// the caller's stack.
pub fn crossfoot() -> Option<Balance> {
    stand_back::<Linux>();
    exchange();
    on_system_stack(balance)
}

/// Checks as [`crossfoot`] does, and calls `f` with the result on the system stack: see [`on_system_stack`].
pub fn crossfoot_with<R>(f: impl FnOnce(Option<&Balance>) -> R) -> R {
    stand_back::<Linux>();
    exchange();
    on_system_stack(|| f(balance().as_ref()))
}

fn balance() -> Option<Balance> {
    let cache = own_cache();
    let _inside = cache.map(|cache| cache.enter(|| ("a check of the books", 0)));
    ALLOCATOR.crossfoot(cache)
}

/// Checks as [`crossfoot_with`] does, but compares no objects: a signal handler may have interrupted a fast path between
/// the few instructions where an object is neither live nor free.
pub(super) fn crossfoot_without_objects<R>(f: impl FnOnce(Option<&Balance>) -> R) -> R {
    on_system_stack(|| {
        if let Some(cache) = own_cache() {
            let _inside = cache.enter(|| ("a check of the books", 0));
            cache.post_all(heap());
        }
        // Without a cache given, objects are not scanned.
        f(ALLOCATOR.crossfoot(None).as_ref())
    })
}

/// Checks what can be checked at an exit inside the allocator or beside other threads, and calls `f` with the result: a
/// snapshot, or the last complete one, and the identities within it. Waits at most 10 ms, for another reader.
///
/// `f` runs on a stack of its own and must not allocate. The process ends afterwards.
pub(super) fn crossfoot_at_once<R>(f: impl FnOnce(Option<&Balance>) -> R) -> R {
    let interrupted = inside::is_interrupted();
    // A handler on a small alternate stack may have interrupted a reading, whose system stack must not be used again.
    let stack = local::stack();
    local::set_exiting(true);
    local::set_stack(0);
    let result = on_system_stack(|| f(ALLOCATOR.crossfoot_at_once(interrupted).as_ref()));
    local::set_stack(stack);
    local::set_exiting(false);
    result
}
