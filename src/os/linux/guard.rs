//! Guards: pages that fault at a touch and stay where they are.
//!
//! By markers in the page tables (Linux 6.13), which leave the mapping whole. Where the system does not know them, or
//! refuses them since the memory is locked, by a change of protection: then the mapping falls into two or three, of which
//! a process may have 65,530.

use core::sync::atomic::{AtomicBool, Ordering};

use super::mm::{self, MprotectFlags};
use super::{advise, error, void};
use crate::os::OsError;
use crate::units::Addr;

/// `MADV_GUARD_INSTALL` of `asm-generic/mman-common.h`.
const INSTALL: usize = 102;
/// `MADV_GUARD_REMOVE` of the same.
const REMOVE: usize = 103;

/// Whether a marker was ever set: then the system knows them, and what it says about taking one away counts.
static MARKED: AtomicBool = AtomicBool::new(false);

/// # Safety
/// As for [`Os::guard`](crate::os::Os::guard).
pub(super) unsafe fn install(addr: Addr, size: usize) -> Result<(), OsError> {
    // SAFETY: the caller needs nothing of the range.
    if unsafe { advise(addr, size, INSTALL) }.is_ok() {
        MARKED.store(true, Ordering::Relaxed);
        return Ok(());
    }
    // SAFETY: as above; markers in a part of the range go when the guard does.
    unsafe { mm::mprotect(void(addr), size, MprotectFlags::empty()) }.map_err(|e| {
        // SAFETY: as above: nothing is left of a guard that could not be set.
        let _ = unsafe { advise(addr, size, REMOVE) };
        error(e)
    })
}

/// # Safety
/// As for [`Os::unguard`](crate::os::Os::unguard).
pub(super) unsafe fn remove(addr: Addr, size: usize) -> Result<(), OsError> {
    // How the range was guarded is not noted: a marker that is not there, and rights that are, cost a call.
    // SAFETY: the caller's range, which was Ready before.
    unsafe {
        match advise(addr, size, REMOVE) {
            Err(e) if MARKED.load(Ordering::Relaxed) => return Err(e),
            _ => {}
        }
        mm::mprotect(void(addr), size, MprotectFlags::READ | MprotectFlags::WRITE).map_err(error)
    }
}
