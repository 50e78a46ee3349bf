//! The system calls for memory, each counted, under rustix's names. Every one of ours goes through here, and each stands
//! in the object once: what it does takes longer than a call.

use core::ffi::c_void;
use core::ptr::null_mut;

use rustix::io::Result;
use rustix::mm;
pub(super) use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};

use super::MADE;
use crate::arch;
use crate::os::calls::Call;

/// Anonymous memory of the system's choice, which disturbs nothing.
#[inline(never)]
pub(super) fn anywhere(size: usize, prot: ProtFlags, flags: MapFlags) -> Result<*mut c_void> {
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
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

/// Advice that rustix does not know, by its number.
///
/// # Safety
/// As for [`mm::madvise`].
#[inline(never)]
pub(super) unsafe fn madvise_number(at: usize, size: usize, advice: usize) -> Result<()> {
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

/// Returns how many bytes of a range are resident. `None`: refused.
#[inline(never)]
pub(super) fn resident(at: usize, size: usize, page: usize) -> Option<usize> {
    // One byte for each page, on the caller's stack.
    let mut pages = [0u8; 512];
    let (mut seen, mut resident) = (0, 0);
    while seen < size {
        let part = (size - seen).min(pages.len() * page);
        let told = (&raw mut pages).expose_provenance();
        // SAFETY: the call writes one byte for each page of the part, which are not more than there are bytes.
        MADE.count(Call::Mincore, || match unsafe { arch::syscall3(arch::SYS_MINCORE, at + seen, part, told) } {
            0 => Ok(()),
            r => Err(r),
        })
        .ok()?;
        resident += pages.iter().take(part.div_ceil(page)).filter(|&&told| told & 1 != 0).count() * page;
        seen += part;
    }
    Some(resident)
}
