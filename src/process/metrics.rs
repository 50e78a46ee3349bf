//! Reading the process's metrics.

use super::{ALLOCATOR, allocate, free, stack};
use crate::cache::Cache;
use crate::local;
use crate::lock::stand_back;
use crate::metrics::{Aggregates, Memory, Metric, Reading, Sample, TABLE};
use crate::os::Linux;
use crate::stats::Answer;

/// The process's own allocator gives samples their memory.
const MEMORY: Memory = Memory { allocate, free };

/// Every metric, sorted by name.
pub fn all() -> &'static [Metric] {
    &TABLE
}

/// Reads these metrics: computes what they need from one consistent snapshot and from what else is asked for, and nothing
/// else. `None` before the first allocation of the process; then every value is absent.
///
/// The first call with a sample finds its metric and allocates if it is a vector or a histogram; later ones with the same
/// sample allocate nothing. The calling thread's frees are counted first, and what others
/// freed for it is taken in. Takes the metrics lock, for which it
/// may wait for another reader, then as [`super::read`]. Any thread may call it at any time, but no signal handler, for
/// which [`super::last`] is there.
pub fn read(samples: &mut [Sample<'_>]) -> Option<Answer> {
    samples.iter_mut().for_each(|sample| sample.prepare(&MEMORY));
    with_metrics(|metrics| metrics.read_locked(samples))
}

/// Reads what is wanted, and hands it to `f`. Allocates nothing; otherwise as [`read`]. `None` before the first
/// allocation.
pub fn with_reading<R>(wanted: Aggregates, f: impl FnOnce(&Reading) -> R) -> Option<(Answer, R)> {
    with_metrics(|metrics| metrics.with(wanted, f))
}

/// Takes the lock on the caller's stack, where it may wait, and does the rest on the system stack.
fn with_metrics<R>(f: impl FnOnce(&mut crate::boot::Metrics<'_, Linux>) -> R) -> Option<R> {
    stand_back::<Linux>();
    super::exchange();
    // SAFETY: it is null or this thread's cache.
    let cache = unsafe { local::cache::<Cache>().as_ref() };
    let _inside = cache.map(|cache| cache.enter(|| ("a reading of metrics", 0)));
    let mut metrics = ALLOCATOR.metrics(cache, Linux::pid)?;
    Some(stack::on_system_stack(|| f(&mut metrics)))
}
