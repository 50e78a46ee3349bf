//! Bounded back-off for threads that can do without the lock.

use crate::os::Platform;

/// How often a waiting thread polls before it yields between polls.
const SPINS: u32 = 200;
/// How many yields it makes before it gives up, in an environment without a clock.
const YIELDS: u32 = 20_000;

/// Returns a function for a bounded wait: it spins, then yields. It returns false once `nanos` nanoseconds
/// have passed, or after `YIELDS` yields if there is no clock.
pub fn backoff<P: Platform>(nanos: u64) -> impl FnMut() -> bool {
    let (mut polls, mut since) = (0, None);
    move || {
        polls += 1;
        if polls < SPINS {
            core::hint::spin_loop();
            return true;
        }
        P::yield_now();
        let now = P::now();
        let since = *since.get_or_insert(now);
        if now == 0 { polls < SPINS + YIELDS } else { now.saturating_sub(since) < nanos }
    }
}
