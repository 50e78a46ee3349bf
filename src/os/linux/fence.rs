//! The fence on all threads: `membarrier`.

use core::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::{self, MembarrierCommand};

use super::base::Linux;
use super::mm::MADE;
use crate::os::{Call, Fence};

/// Whether `membarrier` may be called.
static MEMBARRIER: AtomicBool = AtomicBool::new(true);

impl Linux {
    /// Sets whether `membarrier` may be called, before the first fence. Without it, both sides of a protocol use a real
    /// fence.
    pub fn set_membarrier(on: bool) {
        MEMBARRIER.store(on, Ordering::Relaxed);
    }
}

impl Fence for Linux {
    fn register_fence(&self) -> bool {
        MEMBARRIER.load(Ordering::Relaxed)
            && MADE.count(Call::Membarrier, || thread::membarrier(MembarrierCommand::RegisterPrivateExpedited)).is_ok()
    }

    fn fence_all(&self) -> bool {
        MEMBARRIER.load(Ordering::Relaxed)
            && MADE.count(Call::Membarrier, || thread::membarrier(MembarrierCommand::PrivateExpedited)).is_ok()
    }
}
