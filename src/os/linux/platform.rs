//! Time and scheduling.

use rustix::io::Errno;
use rustix::thread;

use super::base::Linux;
use super::mm::MADE;
use crate::arch;
use crate::os::{Call, Platform};

/// `CLOCK_MONOTONIC` of `linux/time.h`.
const CLOCK_MONOTONIC: usize = 1;

impl Platform for Linux {
    fn yield_now() {
        let _ = MADE.count(Call::SchedYield, || {
            thread::sched_yield();
            Ok::<(), Errno>(())
        });
    }

    fn now() -> u64 {
        // On 32 bits too, words suffice: this clock counts from the start of the machine.
        let mut time = [0usize; 2];
        // A system call and not the vDSO: rustix would look for the vDSO, which is not there under valgrind.
        // SAFETY: the call writes seconds and nanoseconds, two words.
        unsafe { arch::syscall3(arch::SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, (&raw mut time).expose_provenance(), 0) };
        time[0] as u64 * 1_000_000_000 + time[1] as u64
    }
}
