#![allow(unsafe_code)] // Protects and drops the real memory under the simulation.

//! The real address space under a simulated machine.
//!
//! One reservation per machine, made when the machine is first used and given back with it. Its
//! protections follow the simulated states, so that a touch of a page that is not Ready is a
//! real fault at the instruction that did it. A refusal of the host is not part of the
//! simulation and ends the test.

use core::ops::Range;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::states::State;
use crate::units::{Addr, MIB, align_up};

/// The reservation begins at a multiple of this: that of an arena on 64-bit CPUs.
const ALIGN: usize = 64 * MIB;

/// Where the search for a free place begins, if addresses have so many bits. Clear of programs,
/// their libraries and stacks, which lie at random places above, and of the window of `Linux`,
/// which tests in the same process may use. So the first machine of a process, and with it a test
/// that runs alone, gets the same addresses in every run.
#[cfg(target_pointer_width = "64")]
const PREFERRED: usize = 32 << 40;
/// Where the search for a free place begins.
#[cfg(target_pointer_width = "32")]
const PREFERRED: usize = 1 << 30;

/// At most so many places are tried from either start.
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
            // SAFETY: FIXED_NOREPLACE touches no mapping that exists.
            match unsafe { mmap_anonymous(ptr, size, ProtFlags::empty(), flags) } {
                Ok(got) if got == ptr => {
                    return Host { base: Addr::of(got.cast::<u8>()).0, size };
                }
                // A kernel from before Linux 4.17 takes the address as a hint only.
                // SAFETY: this mapping is a moment old and ours.
                Ok(got) => drop(unsafe { munmap(got, size) }),
                Err(_) => {}
            }
        }
        panic!("sim: the host has no {size:#x} bytes of address space below {limit:#x}");
    }

    /// The first address.
    pub(super) const fn base(&self) -> usize {
        self.base
    }

    /// The address after the last.
    pub(super) const fn end(&self) -> usize {
        self.base + self.size
    }

    /// Gives the pages of `range` the protection of `state`. Content stays where a page was
    /// accessible and remains so; otherwise the pages read as zero when they are next accessible.
    pub(super) fn show(&self, range: Range<usize>, state: State) {
        match state {
            State::None | State::Reserved | State::Prepared | State::Guarded => self.replace(range, ProtFlags::empty()),
            State::Sparse => self.replace(range, ProtFlags::READ),
            State::Ready | State::SparseReady => {
                let ptr = self.pointer(&range);
                // SAFETY: the range lies inside our own reservation, and more rights break nobody.
                let done = unsafe { mprotect(ptr, range.len(), MprotectFlags::READ | MprotectFlags::WRITE) };
                done.unwrap_or_else(|error| refused("mprotect", &range, error));
            }
        }
    }

    /// Copies what `from` holds to `to` and makes `from` read as zero. Both are Ready, as long as
    /// each other, and do not overlap.
    pub(super) fn carry(&self, from: Range<usize>, to: Range<usize>) {
        let (source, target) = (self.pointer(&from).cast::<u8>(), self.pointer(&to).cast::<u8>());
        // SAFETY: the caller saw that both are Ready, equally long and apart; both are ours.
        unsafe { core::ptr::copy_nonoverlapping(source, target, from.len()) };
        self.replace(from, ProtFlags::READ | ProtFlags::WRITE);
    }

    /// Puts fresh pages that read as zero in the place of `range`.
    fn replace(&self, range: Range<usize>, rights: ProtFlags) {
        let ptr = self.pointer(&range);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range lies inside our own reservation, and its content is given up.
        let done = unsafe { mmap_anonymous(ptr, range.len(), rights, flags) };
        if let Err(error) = done {
            refused("mmap", &range, error);
        }
    }

    /// A pointer to the first byte of `range`, which lies inside the reservation.
    fn pointer(&self, range: &Range<usize>) -> *mut core::ffi::c_void {
        assert!(self.base <= range.start && range.start <= range.end && range.end <= self.end());
        Addr(range.start).ptr()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours, and whoever drops the machine uses it no more.
        let done = unsafe { munmap(Addr(self.base).ptr(), self.size) };
        debug_assert!(done.is_ok());
    }
}

/// The host failed where the simulation had granted: nothing a test could go on with.
fn refused(call: &str, range: &Range<usize>, error: rustix::io::Errno) -> ! {
    panic!("sim: the host refused {call} of [{:#x}, {:#x}): {error}", range.start, range.end);
}
