//! The system calls for memory, each counted, under rustix's names. All calls of this crate go through here. They are not
//! inlined: a system call takes much longer than a function call, and the code is smaller.

use core::ffi::c_void;
use core::ptr::null_mut;

use rustix::io::Result;
use rustix::mm;
pub(super) use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};

use super::base::error;
use crate::arch;
use crate::os::OsError;
use crate::os::calls::{Call, Counts};
use crate::units::Addr;

/// The counts of this process's calls.
pub(super) static MADE: Counts = Counts::new();

/// Calls `madvise` with advice that rustix does not know.
///
/// # Safety
/// The range is the caller's, and the advice's effect is as the caller wants.
pub(super) unsafe fn advise(addr: Addr, size: usize, advice: usize) -> core::result::Result<(), OsError> {
    // SAFETY: the caller's promise.
    unsafe { madvise_number(addr.0, size, advice) }.map_err(error)
}

/// Maps anonymous memory at an address of Linux's choice.
#[inline(never)]
pub(super) fn anywhere(size: usize, prot: ProtFlags, flags: MapFlags) -> Result<*mut c_void> {
    // SAFETY: a new mapping at an address of Linux's choice replaces no other.
    MADE.count(Call::Mmap, || unsafe { mm::mmap_anonymous(null_mut(), size, prot, flags) })
}

/// # Safety
/// As for [`mm::mmap_anonymous`].
#[inline(never)]
pub(super) unsafe fn mmap_anonymous(
    at: *mut c_void,
    size: usize,
    prot: ProtFlags,
    flags: MapFlags,
) -> Result<*mut c_void> {
    // SAFETY: the caller's promise.
    MADE.count(Call::Mmap, || unsafe { mm::mmap_anonymous(at, size, prot, flags) })
}

/// # Safety
/// As for [`mm::munmap`].
#[inline(never)]
pub(super) unsafe fn munmap(at: *mut c_void, size: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    MADE.count(Call::Munmap, || unsafe { mm::munmap(at, size) })
}

/// # Safety
/// As for [`mm::mprotect`].
#[inline(never)]
pub(super) unsafe fn mprotect(at: *mut c_void, size: usize, flags: MprotectFlags) -> Result<()> {
    // SAFETY: the caller's promise.
    MADE.count(Call::Mprotect, || unsafe { mm::mprotect(at, size, flags) })
}

/// # Safety
/// As for [`mm::madvise`].
#[inline(never)]
pub(super) unsafe fn madvise(at: *mut c_void, size: usize, advice: Advice) -> Result<()> {
    // SAFETY: the caller's promise.
    MADE.count(Call::Madvise, || unsafe { mm::madvise(at, size, advice) })
}

/// Calls `madvise` with an advice given by number.
///
/// # Safety
/// As for [`mm::madvise`].
#[inline(never)]
unsafe fn madvise_number(at: usize, size: usize, advice: usize) -> Result<()> {
    MADE.count(Call::Madvise, || {
        // SAFETY: the caller's promise.
        match unsafe { arch::syscall3(arch::SYS_MADVISE, at, size, advice) } {
            0 => Ok(()),
            r => Err(rustix::io::Errno::from_raw_os_error(-r as i32)),
        }
    })
}

/// # Safety
/// As for [`mm::mremap`].
#[inline(never)]
pub(super) unsafe fn mremap(at: *mut c_void, old: usize, new: usize, flags: MremapFlags) -> Result<*mut c_void> {
    // SAFETY: the caller's promise.
    MADE.count(Call::Mremap, || unsafe { mm::mremap(at, old, new, flags) })
}

/// # Safety
/// As for [`mm::mremap_fixed`].
#[inline(never)]
pub(super) unsafe fn mremap_fixed(
    at: *mut c_void,
    old: usize,
    new: usize,
    flags: MremapFlags,
    to: *mut c_void,
) -> Result<*mut c_void> {
    // SAFETY: the caller's promise.
    MADE.count(Call::Mremap, || unsafe { mm::mremap_fixed(at, old, new, flags, to) })
}

/// Returns how many bytes of a range are resident, or `None` if Linux refuses the call.
#[inline(never)]
pub(super) fn resident(at: usize, size: usize, page: usize) -> Option<usize> {
    // `mincore` writes one byte for each page; 512 bytes of the caller's stack bound a call.
    let mut pages = [0u8; 512];
    let (mut seen, mut resident) = (0, 0);
    while seen < size {
        let part = (size - seen).min(pages.len() * page);
        let out = (&raw mut pages).expose_provenance();
        // SAFETY: the call writes one byte for each page of the part, at most `pages.len()`.
        MADE.count(Call::Mincore, || match unsafe { arch::syscall3(arch::SYS_MINCORE, at + seen, part, out) } {
            0 => Ok(()),
            r => Err(r),
        })
        .ok()?;
        resident += pages.iter().take(part.div_ceil(page)).filter(|&&page| page & 1 != 0).count() * page;
        seen += part;
    }
    Some(resident)
}
