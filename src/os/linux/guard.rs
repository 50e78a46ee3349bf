//! Guards: pages that fault when accessed, inside a mapping.
//!
//! Markers in the page tables (`MADV_GUARD_INSTALL`, Linux 6.13) leave the mapping whole. Where Linux does not know them, or
//! refuses them because the memory is locked, `mprotect` splits the mapping into two or three; a process may have 65,530.

use core::sync::atomic::{AtomicBool, Ordering};

use super::base::{error, void};
use super::mm::{self, MprotectFlags, advise};
use crate::os::OsError;
use crate::units::Addr;

/// `MADV_GUARD_INSTALL` of `asm-generic/mman-common.h`.
const INSTALL: usize = 102;
/// `MADV_GUARD_REMOVE` of the same.
const REMOVE: usize = 103;

/// Whether a marker was ever set. Then Linux knows markers, and an error of removing one is real.
static MARKED: AtomicBool = AtomicBool::new(false);

/// Sets a guard.
///
/// # Safety
/// As for [`Memory::guard`](crate::os::Memory::guard).
pub(super) unsafe fn install(addr: Addr, size: usize) -> Result<(), OsError> {
    // SAFETY: the content of the range is not needed.
    if unsafe { advise(addr, size, INSTALL) }.is_ok() {
        MARKED.store(true, Ordering::Relaxed);
        return Ok(());
    }
    // SAFETY: as above; markers in a part of the range are removed with the guard.
    unsafe { mm::mprotect(void(addr), size, MprotectFlags::empty()) }.map_err(|e| {
        // SAFETY: as above; this removes the markers of a guard that could not be set.
        let _ = unsafe { advise(addr, size, REMOVE) };
        error(e)
    })
}

/// Removes a guard.
///
/// # Safety
/// As for [`Memory::unguard`](crate::os::Memory::unguard).
pub(super) unsafe fn remove(addr: Addr, size: usize) -> Result<(), OsError> {
    // The way in which the range was guarded is not recorded; undoing both costs one call more.
    // SAFETY: the caller's range, which was Ready before.
    unsafe {
        match advise(addr, size, REMOVE) {
            Err(e) if MARKED.load(Ordering::Relaxed) => return Err(e),
            _ => {}
        }
        mm::mprotect(void(addr), size, MprotectFlags::READ | MprotectFlags::WRITE).map_err(error)
    }
}
