//! Time and scheduling: the operations that need no instance.

/// Time and scheduling. Locks need nothing else of an OS.
pub trait Platform: 'static {
    /// Lets another thread run. A lock calls it after a short spin.
    fn yield_now();
    /// Returns the nanoseconds of a monotonic clock, or 0 if the environment has no clock.
    fn now() -> u64;

    /// Called by a writer of the statistics in the middle of each posting. Does nothing but in the simulated OS, where a test
    /// can stop the thread there.
    #[inline(always)]
    fn halfway() {}
}
