//! Reading the process's statistics, on the system stack but for [`last`]: the caller's needs room for `out` and 2 KiB.

use super::{ALLOCATOR, on_system_stack};
use crate::cache::Cache;
use crate::local;
use crate::lock::stand_back;
use crate::mem_stats::MemStats;
use crate::os::Linux;
use crate::stats::{Answer, Snapshot, Totals};

/// Takes in what other threads freed for the calling one, and sends what it freed for them, so that a reading that follows
/// shows what is live. Nothing where the thread is inside the allocator: then this is a signal handler.
///
/// Not on the system stack, where nothing is freed.
pub fn exchange() {
    // SAFETY: it is null or this thread's cache.
    let Some(cache) = (unsafe { local::cache::<Cache>().as_ref() }) else { return };
    if local::stack() != 0 || cache.is_inside() {
        return;
    }
    let _inside = cache.enter_to_change(|| ("a reading of statistics", 0));
    cache.exchange(ALLOCATOR.caches().central());
}

/// One consistent snapshot of the process's books. `None` before the first allocation.
///
/// Any thread may call it at any time, but not a signal handler. Allocates nothing, and waits for no thread that
/// allocates; for another reader at most 10 ms, and then answers with the last complete snapshot, as stale.
pub fn read(out: &mut Snapshot) -> Option<Answer> {
    stand_back::<Linux>();
    on_system_stack(|| ALLOCATOR.snapshot(out))
}

/// As [`read`], but the calling thread's frees are counted first, and what others freed for it is taken in.
pub fn read_posted(out: &mut Snapshot) -> Option<Answer> {
    stand_back::<Linux>();
    exchange();
    on_system_stack(|| {
        // SAFETY: it is null or this thread's cache.
        if let Some(cache) = unsafe { local::cache::<Cache>().as_ref() } {
            let _inside = cache.enter(|| ("a reading of statistics", 0));
            cache.post_all(ALLOCATOR.caches().central());
        }
        ALLOCATOR.snapshot(out)
    })
}

/// As [`read`], but the totals only: for those who read often.
pub fn read_totals(out: &mut Totals) -> Option<Answer> {
    stand_back::<Linux>();
    on_system_stack(|| ALLOCATOR.totals(out))
}

/// The last snapshot that anybody completed by [`read`] or [`mem_stats`], not [`read_totals`], as stale;
/// [`Answer::Unavailable`] if there is none yet. `None` before the first allocation.
///
/// A signal handler may call it, whatever it interrupts.
pub fn last(out: &mut Snapshot) -> Option<Answer> {
    ALLOCATOR.last_snapshot(out)
}

/// The process's statistics, as Go's `runtime.ReadMemStats` gives them. `None` before the first allocation.
///
/// Otherwise as [`read`], but the calling thread's frees are counted first, and what others freed for it is taken in. With `double_check:on` it takes
/// the locks of a crossfoot, may wait a second for a movement, and prints what fails.
pub fn mem_stats(out: &mut MemStats) -> Option<Answer> {
    stand_back::<Linux>();
    exchange();
    on_system_stack(|| {
        // SAFETY: it is null or this thread's cache.
        let cache = unsafe { local::cache::<Cache>().as_ref() };
        let _inside = cache.map(|cache| cache.enter(|| ("a reading of statistics", 0)));
        ALLOCATOR.mem_stats(cache, out)
    })
}
