//! Linux: memory that other processes of the same user can find and read.
//!
//! A segment of System V's, private and marked for removal as soon as it is attached: it needs no descriptor, no file and
//! no signal, ends with the last process that has it, however that ends, and until then can be attached by its number,
//! which `/proc/PID/maps` shows as the mapping's inode. Where the system refuses that, a file in memory, mapped and
//! closed: it is found by its name, and read through `/proc/PID/mem`, for which a reader needs more rights.

use core::ptr::null_mut;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{self, MapFlags, ProtFlags};

use super::{Linux, Shared};
use crate::arch;
use crate::units::Addr;

/// `IPC_PRIVATE` of `linux/ipc.h`: a segment that no key leads to.
const IPC_PRIVATE: usize = 0;
/// `IPC_CREAT` and `SHM_NORESERVE`, and reading and writing for the owner.
const NEW_SEGMENT: usize = 0o1000 | 0o10000 | 0o600;
/// `IPC_RMID`: the segment ends when nobody is attached any more.
const IPC_RMID: usize = 0;
/// `IPC_STAT`: what is known of a segment.
const IPC_STAT: usize = 2;

/// How many words the kernel's `struct shmid64_ds` has, and which of them says how many are attached.
const SEGMENT_WORDS: usize = 14;
const ATTACHED: usize = 11;

/// `KCMP_VM` of `linux/kcmp.h`: whether two processes have the same memory.
const KCMP_VM: usize = 1;
/// `ESRCH` of `errno.h`.
const ESRCH: isize = 3;

impl Linux {
    /// See [`Os::share`](super::Os::share).
    pub(super) fn share(size: usize) -> Option<Shared> {
        Linux::share_segment(size).or_else(|| Linux::share_file(size))
    }

    fn share_segment(size: usize) -> Option<Shared> {
        // SAFETY: a new segment, attached where the system likes, disturbs nothing; marked for removal, it stays as long
        // as it is attached.
        unsafe {
            let id = arch::syscall3(arch::SYS_SHMGET, IPC_PRIVATE, size, NEW_SEGMENT);
            let number = usize::try_from(id).ok()?;
            let at = arch::syscall3(arch::SYS_SHMAT, number, 0, 0);
            arch::syscall3(arch::SYS_SHMCTL, number, IPC_RMID, 0);
            // An address of a program is never negative.
            let addr = Addr(usize::try_from(at).ok()?);
            Some(Shared { addr, number: number as u64 + 1 })
        }
    }

    fn share_file(size: usize) -> Option<Shared> {
        let file = memfd_create(c"crossfoot-ledger", MemfdFlags::CLOEXEC).ok()?;
        ftruncate(&file, size as u64).ok()?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let at = unsafe { mm::mmap(null_mut(), size, prot, MapFlags::SHARED, &file, 0) }.ok()?;
        Some(Shared { addr: Addr::of(at.cast::<u8>()), number: 0 })
    }

    /// See [`Os::is_inherited`](super::Os::is_inherited): the system says whether the maker has this memory. Where it does
    /// not say that, there are two that have the segment after a fork, or the maker is gone; a reader counts as one, too.
    pub(super) fn is_inherited(shared: Shared, maker: i32) -> bool {
        let own = Linux::pid() as usize;
        // SAFETY: the call only answers: 0 for the same, more for another, less for an error.
        match unsafe { arch::syscall3(arch::SYS_KCMP, own, maker as usize, KCMP_VM) } {
            0 => return false,
            answer if answer > 0 || answer == -ESRCH => return true,
            _ => {}
        }
        let Some(number) = shared.number.checked_sub(1) else { return false };
        let mut segment = [0u64; SEGMENT_WORDS];
        let place = (&raw mut segment).expose_provenance();
        // SAFETY: the first call writes to this frame; the second, with no signal, only asks whether there is a process.
        unsafe {
            arch::syscall3(arch::SYS_SHMCTL, number as usize, IPC_STAT, place) == 0
                && (segment[ATTACHED] > 1 || arch::syscall3(arch::SYS_KILL, maker as usize, 0, 0) == -ESRCH)
        }
    }
}
