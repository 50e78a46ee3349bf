//! Reads the process's statistics. All but [`last`] run on the system stack; the caller's stack needs 2 KiB beside `out`.

use super::instance::{ALLOCATOR, central, heap, own_cache};
use super::system_stacks::on_system_stack;
use crate::local;
use crate::lock::stand_back;
use crate::mem_stats::MemStats;
use crate::os::Linux;
use crate::stats::{Answer, Snapshot, Totals};

/// Collects the calling thread's inbox and flushes its outbox, so that a later reading shows its live objects. Does
/// nothing if the thread is inside the allocator: then the caller is a signal handler.
///
/// Must not run on the system stack, where nothing may be freed.
pub fn exchange() {
    let Some(cache) = own_cache() else { return };
    if local::stack() != 0 || cache.is_inside() {
        return;
    }
    let _inside = cache.enter_to_change(|| ("a reading of statistics", 0));
    cache.exchange(heap(), central());
}

/// Reads one consistent snapshot of the process's statistics. Returns `None` before the first allocation.
///
/// Any thread may call it at any time, but not a signal handler. Allocates nothing, and waits for no thread that
/// allocates. Waits at most 10 ms for another reader; then it returns the last complete snapshot, as stale.
pub fn read(out: &mut Snapshot) -> Option<Answer> {
    stand_back::<Linux>();
    on_system_stack(|| ALLOCATOR.snapshot(out))
}

/// Reads as [`read`] does, after posting the calling thread's frees and collecting its inbox.
pub fn read_posted(out: &mut Snapshot) -> Option<Answer> {
    stand_back::<Linux>();
    exchange();
    on_system_stack(|| {
        if let Some(cache) = own_cache() {
            let _inside = cache.enter(|| ("a reading of statistics", 0));
            cache.post_all(heap());
        }
        ALLOCATOR.snapshot(out)
    })
}

/// Reads the totals only: cheaper than [`read`], for frequent readings.
pub fn read_totals(out: &mut Totals) -> Option<Answer> {
    stand_back::<Linux>();
    on_system_stack(|| ALLOCATOR.totals(out))
}

/// Returns the last snapshot that a [`read`] or [`mem_stats`] completed, as stale, or [`Answer::Unavailable`] if there is
/// none. [`read_totals`] does not update it. Returns `None` before the first allocation.
///
/// A signal handler may call it, whatever it interrupts.
pub fn last(out: &mut Snapshot) -> Option<Answer> {
    ALLOCATOR.last_snapshot(out)
}

/// Reads the process's statistics in the form of Go's `runtime.ReadMemStats`. Returns `None` before the first allocation.
///
/// Posts the calling thread's frees and collects its inbox first; otherwise the same as [`read`]. With `double_check:on` it
/// takes all the locks of [`crossfoot`](super::crossfoot), may wait a second for a posting in progress, and prints what
/// fails.
pub fn mem_stats(out: &mut MemStats) -> Option<Answer> {
    stand_back::<Linux>();
    exchange();
    on_system_stack(|| {
        let cache = own_cache();
        let _inside = cache.map(|cache| cache.enter(|| ("a reading of statistics", 0)));
        ALLOCATOR.mem_stats(cache, out)
    })
}
