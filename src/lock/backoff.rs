//! How long somebody waits who can do without.

use crate::os::Platform;

/// How often somebody who waits looks before it yields between looks.
const SPINS: u32 = 200;
/// How often it yields before it gives up, in a home without a clock.
const YIELDS: u32 = 20_000;

/// Gives up after this many nanoseconds, or yields where there is no clock: spins at first, then yields.
pub fn backoff<P: Platform>(nanos: u64) -> impl FnMut() -> bool {
    let (mut looks, mut since) = (0, None);
    move || {
        looks += 1;
        if looks < SPINS {
            core::hint::spin_loop();
            return true;
        }
        P::yield_now();
        let now = P::now();
        let since = *since.get_or_insert(now);
        if now == 0 { looks < SPINS + YIELDS } else { now.saturating_sub(since) < nanos }
    }
}
