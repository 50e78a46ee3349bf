//! The process's options: set once, then read without a lock, since a fork could leave a lock held.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use crate::options::{Options, Report};
use crate::os::Linux;

/// The process's options.
pub(super) static OPTIONS: Settings = Settings { state: AtomicU8::new(UNSET), options: UnsafeCell::new(None) };
/// The options are not set.
const UNSET: u8 = 0;
/// A thread is setting them.
const SETTING: u8 = 1;
/// They are set for good.
const SET: u8 = 2;

/// Options that are set once.
pub(super) struct Settings {
    state: AtomicU8,
    options: UnsafeCell<Option<Options>>,
}

// SAFETY: the options are written by the one thread that moved the state from UNSET to SETTING, and read by
// others only once it is SET.
unsafe impl Sync for Settings {}

impl Settings {
    /// Returns the options, or `None` if they are not set yet.
    pub(super) fn get(&self) -> Option<&Options> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: set for good, see above.
        unsafe { (*self.options.get()).as_ref() }
    }

    /// Sets the options. Does nothing if another thread has set them or is setting them.
    pub(super) fn set(&self, options: Options) {
        if self.state.compare_exchange(UNSET, SETTING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // SAFETY: only this thread moved the state here, and the options are read only once it is SET.
        unsafe { *self.options.get() = Some(options) };
        self.state.store(SET, Ordering::Release);
    }

    /// Makes the options unset in the child of a fork, if a thread of the parent was setting them.
    pub(super) fn after_fork(&self) {
        let _ = self.state.compare_exchange(SETTING, UNSET, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The id of the process whose memory this is; 0 if unknown, or if nothing happens at its exit. A child of `vfork` has
/// another id and the same memory.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// Records the calling process as the owner of its memory, when the options are read and in the child of a fork.
pub(super) fn set_owner(options: &Options) {
    if wants_exit(options) {
        OWNER.store(Linux::pid(), Ordering::Relaxed);
    }
}

/// Returns whether this memory belongs to the process `pid`.
pub(super) fn is_owner(pid: i32) -> bool {
    OWNER.load(Ordering::Relaxed) == pid
}

/// Returns whether the options ask for a report or a check at the exit.
pub(super) fn wants_exit(options: &Options) -> bool {
    options.check || options.exit_report != Report::Off
}
