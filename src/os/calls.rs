//! Counters of system calls, by call.

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! calls {
    ($($call:ident $name:literal,)+) => {
        /// A system call that is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Call {
            $(#[doc = concat!("`", $name, "`")] $call,)+
        }

        /// The number of counted calls.
        pub const CALLS: usize = [$($name),+].len();

        /// The names of the calls, by `Call as usize`.
        pub const CALL_NAMES: [&str; CALLS] = [$($name),+];
    };
}

calls! {
    Mmap "mmap",
    Munmap "munmap",
    Mprotect "mprotect",
    Madvise "madvise",
    Mremap "mremap",
    Membarrier "membarrier",
    SchedYield "sched_yield",
    Mincore "mincore",
}

/// How often a call was made, and how often it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Made {
    /// All calls.
    pub made: u64,
    /// The calls that failed.
    pub failed: u64,
}

/// Counters of all calls.
pub struct Counts {
    made: [AtomicU64; CALLS],
    failed: [AtomicU64; CALLS],
}

impl Counts {
    /// Returns counters of zero.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Counts {
        Counts { made: [const { AtomicU64::new(0) }; CALLS], failed: [const { AtomicU64::new(0) }; CALLS] }
    }

    /// Runs `make`, a system call, and counts it.
    pub fn count<T, E>(&self, call: Call, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.made[call as usize].fetch_add(1, Ordering::Relaxed);
        let result = make();
        if result.is_err() {
            // Release pairs with the acquire in `read`: a reader that sees the failure sees the call.
            self.failed[call as usize].fetch_add(1, Ordering::Release);
        }
        result
    }

    /// Returns the counts. Failures are read first, so that `failed <= made` always holds.
    pub fn read(&self) -> [Made; CALLS] {
        let failed = self.failed.each_ref().map(|n| n.load(Ordering::Acquire));
        core::array::from_fn(|i| Made { made: self.made[i].load(Ordering::Relaxed), failed: failed[i] })
    }
}
