//! Linux: memory that other processes can read, where they may look into this one.
//!
//! Two files in memory (`memfd_create`), mapped and kept open: another process finds them in `/proc/PID/fd`, for which it
//! needs the right to trace this one (`PTRACE_MODE_READ`). The one of the page is sealed as soon as it is mapped, so that
//! nobody else can write there; the one with control words may be written. Neither can be made smaller, which would have a
//! touch end this process by `SIGBUS`. `docs/decisions/0027-carrier-of-the-stats-page.md` says why it is as it is.

use core::ffi::CStr;
use core::ptr::null_mut;

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{self, MemfdFlags, SealFlags};
use rustix::io::{self, Errno};
use rustix::mm::{self, MapFlags, ProtFlags};
use rustix::process::{Resource, getrlimit};

use super::Linux;
use crate::arch;
use crate::os::{Shared, SharedFile};
use crate::units::Addr;

/// How the files are called, as `/proc/PID/fd` and `/proc/PID/maps` show them behind `memfd:`.
pub const PAGE_NAME: &CStr = c"crossfoot-stats";
/// The same for control words.
pub const CONTROL_NAME: &CStr = c"crossfoot-control";

/// The lowest numbers of descriptors that are tried, one after the other: above those that programs choose for themselves,
/// and where fewer descriptors are allowed, above those that shells do.
pub const FROM: [i32; 2] = [100, 10];

/// `KCMP_VM` of `linux/kcmp.h`: whether two processes have the same memory.
const KCMP_VM: usize = 1;
/// `ESRCH` of `errno.h`.
const ESRCH: isize = 3;

/// What every file of ours has: its size stays.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

impl Linux {
    /// See [`Os::share`](crate::os::Os::share).
    pub(super) fn share(page: usize, control: usize) -> Option<Shared> {
        // A file may not grow beyond this limit, and `SIGXFSZ` ends a process that tries.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < page.max(control) as u64) {
            return None;
        }
        let first = Linux::share_file(PAGE_NAME, page, SealFlags::FUTURE_WRITE)?;
        match Linux::share_file(CONTROL_NAME, control, SealFlags::empty()) {
            Some(second) => Some(Shared { page: first, control: second }),
            None => {
                Linux::close_file(&first);
                Linux::unmap_file(&first, page);
                None
            }
        }
    }

    fn share_file(name: &CStr, size: usize, seals: SealFlags) -> Option<SharedFile> {
        // Refused before Linux 6.3; later ones may demand it (`vm.memfd_noexec`).
        let made = match fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING),
            made => made,
        };
        let file = raised(made.ok()?)?;
        fs::ftruncate(&file, size as u64).ok()?;
        let shared = map_file(file.as_fd(), size)?;
        let seals = FIXED | SealFlags::SEAL | seals;
        // Before Linux 5.1, others may write to the page.
        if fs::fcntl_add_seals(&file, seals) == Err(Errno::INVAL) {
            let _ = fs::fcntl_add_seals(&file, seals & !SealFlags::FUTURE_WRITE);
        }
        let _ = file.into_raw_fd();
        Some(shared)
    }

    /// See [`Os::take_over`](crate::os::Os::take_over).
    pub(super) fn take_over([page, control]: [i32; 2], sizes: [usize; 2]) -> Option<Shared> {
        let first = Linux::take_over_file(page, sizes[0])?;
        match Linux::take_over_file(control, sizes[1]) {
            Some(second) => Some(Shared { page: first, control: second }),
            None => {
                Linux::unmap_file(&first, sizes[0]);
                None
            }
        }
    }

    fn take_over_file(descriptor: i32, size: usize) -> Option<SharedFile> {
        if descriptor < 0 {
            return None;
        }
        // SAFETY: it is only asked about and mapped; where it is closed, that fails.
        let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let sealed = fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(FIXED));
        if !sealed || fs::fstat(file).ok()?.st_size != size as i64 {
            return None;
        }
        map_file(file, size)
    }

    /// Closes what [`Linux::share`] or [`Linux::take_over`] left open, unless the program has, and uses the number for
    /// something else.
    pub(super) fn close_file(shared: &SharedFile) {
        if shared.descriptor < 0 {
            return;
        }
        // SAFETY: it is only asked about; where it is closed, that fails.
        let stat = fs::fstat(unsafe { BorrowedFd::borrow_raw(shared.descriptor) });
        if stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (shared.device, shared.inode)) {
            // SAFETY: it is the file that was opened here, or handed to this process for this, and nobody else uses it.
            drop(unsafe { OwnedFd::from_raw_fd(shared.descriptor) });
        }
    }

    /// Ends a mapping of a file.
    pub(super) fn unmap_file(shared: &SharedFile, size: usize) {
        // SAFETY: mapped by `map_file`, and the callers need nothing of it.
        let _ = unsafe { mm::munmap(shared.addr.ptr(), size) };
    }

    /// Ends a mapping of a file, and puts zero bytes of this process alone in its place.
    pub(super) fn replace_file(shared: &SharedFile, size: usize) {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: mapped by `map_file`; what is there instead may be touched like it. Where it is refused the file stays
        // mapped, and is written to for as long as the call lasts that the signal handler interrupted.
        let _ = unsafe { mm::mmap_anonymous(shared.addr.ptr(), size, access, flags) };
    }

    /// See [`Os::is_inherited`](crate::os::Os::is_inherited). The system says whether the maker has this memory; where it does
    /// not say that, whether the maker is gone.
    pub(super) fn is_inherited(maker: i32) -> bool {
        let own = Linux::pid() as usize;
        // SAFETY: the calls only answer: the first one 0 for the same, more for another, less for an error; the second,
        // with no signal, whether there is a process.
        unsafe {
            match arch::syscall3(arch::SYS_KCMP, own, maker as usize, KCMP_VM) {
                0 => false,
                answer if answer > 0 || answer == -ESRCH => true,
                _ => arch::syscall3(arch::SYS_KILL, maker as usize, 0, 0) == -ESRCH,
            }
        }
    }
}

/// The same file under a number that is in nobody's way. `None`: there is none left.
fn raised(low: OwnedFd) -> Option<OwnedFd> {
    FROM.into_iter().find_map(|from| io::fcntl_dupfd_cloexec(&low, from).ok())
}

fn map_file(file: BorrowedFd<'_>, size: usize) -> Option<SharedFile> {
    let stat = fs::fstat(file).ok()?;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
    let at = unsafe { mm::mmap(null_mut(), size, prot, MapFlags::SHARED, file, 0) }.ok()?;
    use rustix::fd::AsRawFd;
    let (descriptor, addr) = (file.as_raw_fd(), Addr::of(at.cast::<u8>()));
    Some(SharedFile { addr, descriptor, device: stat.st_dev, inode: stat.st_ino })
}
