//! The real address space under the simulated OS.
//!
//! Each simulated OS has one reservation, made at its first use and unmapped with it. The protections follow the simulated
//! states, so that an access to a page that is not Ready faults at the accessing instruction. A refusal by the host is not
//! part of the simulation and ends the test.

use core::ops::Range;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::states::State;
use crate::units::{Addr, MIB, align_up};

/// The alignment of the reservation, which is an arena's on 64-bit CPUs.
const ALIGN: usize = 64 * MIB;

/// Where the search for free address space begins, if addresses have enough bits. Programs, their libraries and stacks lie
/// above, and the window of `Linux`, which tests in the same process may use, lies below. So the first simulated OS of a
/// process, and with it a test that runs alone, gets the same addresses in every run.
#[cfg(target_pointer_width = "64")]
const PREFERRED: usize = 32 << 40;
/// Where the search for free address space begins.
#[cfg(target_pointer_width = "32")]
const PREFERRED: usize = 1 << 30;

/// How many addresses are tried from either start.
const TRIES: usize = 1024;

/// One piece of real address space.
pub(super) struct Host {
    base: usize,
    size: usize,
}

impl Host {
    /// Reserves `size` bytes below the address `limit`.
    pub(super) fn new(size: usize, limit: usize) -> Host {
        let size = align_up(size, ALIGN);
        let stride = align_up(size.max(limit / TRIES), ALIGN);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        let last = limit.saturating_sub(size);
        let lower = (align_up(limit / 16, ALIGN)..last).step_by(stride);
        for at in (PREFERRED..last).step_by(stride).chain(lower) {
            let ptr = Addr(at).ptr();
            // SAFETY: FIXED_NOREPLACE replaces no existing mapping.
            match unsafe { mmap_anonymous(ptr, size, ProtFlags::empty(), flags) } {
                Ok(got) if got == ptr => {
                    return Host { base: Addr::of(got.cast::<u8>()).0, size };
                }
                // Linux before 4.17 takes the address as a hint.
                // SAFETY: the mapping was made above and is used nowhere else.
                Ok(got) => drop(unsafe { munmap(got, size) }),
                Err(_) => {}
            }
        }
        panic!("sim: the host has no {size:#x} bytes of address space below {limit:#x}");
    }

    /// Returns the first address.
    pub(super) const fn base(&self) -> usize {
        self.base
    }

    /// Returns the address behind the last byte.
    pub(super) const fn end(&self) -> usize {
        self.base + self.size
    }

    /// Sets the protection of `range` by `state`. Pages that stay accessible keep their content; others read as zero when they
    /// are next accessible.
    pub(super) fn show(&self, range: Range<usize>, state: State) {
        match state {
            State::None | State::Reserved | State::Prepared | State::Guarded => self.replace(range, ProtFlags::empty()),
            State::Sparse => self.replace(range, ProtFlags::READ),
            State::Ready | State::SparseReady => {
                let ptr = self.pointer(&range);
                // SAFETY: the range lies inside our own reservation, and the call only adds rights.
                let done = unsafe { mprotect(ptr, range.len(), MprotectFlags::READ | MprotectFlags::WRITE) };
                done.unwrap_or_else(|error| refused("mprotect", &range, error));
            }
        }
    }

    /// Copies `from` to `to` and makes `from` read as zero. Both are Ready, of the same size, and do not overlap.
    pub(super) fn carry(&self, from: Range<usize>, to: Range<usize>) {
        let (source, target) = (self.pointer(&from).cast::<u8>(), self.pointer(&to).cast::<u8>());
        // SAFETY: the caller checked that both are Ready, of the same size and disjoint; both are ours.
        unsafe { core::ptr::copy_nonoverlapping(source, target, from.len()) };
        self.replace(from, ProtFlags::READ | ProtFlags::WRITE);
    }

    /// Replaces `range` by fresh pages that read as zero.
    fn replace(&self, range: Range<usize>, rights: ProtFlags) {
        let ptr = self.pointer(&range);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range lies inside our own reservation, and its content is not needed.
        let done = unsafe { mmap_anonymous(ptr, range.len(), rights, flags) };
        if let Err(error) = done {
            refused("mmap", &range, error);
        }
    }

    /// Returns a pointer to the first byte of `range`. Panics unless that lies inside the reservation.
    fn pointer(&self, range: &Range<usize>) -> *mut core::ffi::c_void {
        assert!(self.base <= range.start && range.start <= range.end && range.end <= self.end());
        Addr(range.start).ptr()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours, and the simulated OS is not used after its drop.
        let done = unsafe { munmap(Addr(self.base).ptr(), self.size) };
        debug_assert!(done.is_ok());
    }
}

/// Ends the test: the host refused what the simulation had granted.
fn refused(call: &str, range: &Range<usize>, error: rustix::io::Errno) -> ! {
    panic!("sim: the host refused {call} of [{:#x}, {:#x}): {error}", range.start, range.end);
}
