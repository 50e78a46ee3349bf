//! Memory shared with other processes that may trace this one.
//!
//! Two files in memory (`memfd_create`) are mapped and kept open. Another process opens them through `/proc/PID/fd`, for
//! which it needs the right to trace this one (`PTRACE_MODE_READ`). The page's file is sealed as soon as it is mapped, so
//! that no other process can write it; the file of control words stays writable. Neither can shrink: an access behind the
//! end would raise `SIGBUS`. The reasons are in `docs/decisions/0027-carrier-of-the-stats-page.md`.

use core::ffi::CStr;
use core::ptr::null_mut;

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{self, MemfdFlags, SealFlags};
use rustix::io::{self, Errno};
use rustix::mm::{self, MapFlags, ProtFlags};
use rustix::process::{Resource, getrlimit};

use super::base::Linux;
use crate::arch;
use crate::os::{Shared, SharedFile, Sharing};
use crate::units::Addr;

/// The name of the page's file. `/proc/PID/fd` and `/proc/PID/maps` show it behind `memfd:`.
pub const PAGE_NAME: &CStr = c"crossfoot-stats";
/// The name of the control words' file.
pub const CONTROL_NAME: &CStr = c"crossfoot-control";

/// The lowest descriptors to try, in this order: above those that programs choose for themselves and, if fewer descriptors
/// are allowed, above those that shells choose.
pub const FROM: [i32; 2] = [100, 10];

/// `KCMP_VM` of `linux/kcmp.h`: compares the memory of two processes.
const KCMP_VM: usize = 1;
/// `ESRCH` of `errno.h`.
const ESRCH: isize = 3;

/// The seals of both files: the size is fixed.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

impl Sharing for Linux {
    fn share(&self, page: usize, control: usize) -> Option<Shared> {
        // Growing a file beyond this limit raises `SIGXFSZ`.
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

    fn take_over(&self, [page, control]: [i32; 2], sizes: [usize; 2]) -> Option<Shared> {
        let first = Linux::take_over_file(page, sizes[0])?;
        match Linux::take_over_file(control, sizes[1]) {
            Some(second) => Some(Shared { page: first, control: second }),
            None => {
                Linux::unmap_file(&first, sizes[0]);
                None
            }
        }
    }

    fn close_share(&self, shared: &Shared) {
        Linux::close_file(&shared.page);
        Linux::close_file(&shared.control);
    }

    unsafe fn end_share(&self, shared: &Shared, [page, control]: [usize; 2]) {
        Linux::unmap_file(&shared.page, page);
        Linux::unmap_file(&shared.control, control);
    }

    unsafe fn replace_share(&self, shared: &Shared, [page, control]: [usize; 2]) {
        Linux::replace_file(&shared.page, page);
        Linux::replace_file(&shared.control, control);
    }

    fn is_inherited(&self, maker: i32) -> bool {
        let own = Linux::pid() as usize;
        // `kcmp` returns 0 if both processes have the same memory, a positive number if not, a negative error. If it is not
        // available, `kill` without a signal tells whether the maker exists.
        // SAFETY: the calls have no effect.
        unsafe {
            match arch::syscall3(arch::SYS_KCMP, own, maker as usize, KCMP_VM) {
                0 => false,
                answer if answer > 0 || answer == -ESRCH => true,
                _ => arch::syscall3(arch::SYS_KILL, maker as usize, 0, 0) == -ESRCH,
            }
        }
    }
}

impl Linux {
    /// Creates and maps a file with these seals.
    fn share_file(name: &CStr, size: usize, seals: SealFlags) -> Option<SharedFile> {
        // Linux before 6.3 refuses the flag; later versions may require it (`vm.memfd_noexec`).
        let made = match fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING),
            made => made,
        };
        let file = raised(made.ok()?)?;
        fs::ftruncate(&file, size as u64).ok()?;
        let shared = map_file(file.as_fd(), size)?;
        let seals = FIXED | SealFlags::SEAL | seals;
        // Linux before 5.1 lacks the seal; then other processes can write the page.
        if fs::fcntl_add_seals(&file, seals) == Err(Errno::INVAL) {
            let _ = fs::fcntl_add_seals(&file, seals & !SealFlags::FUTURE_WRITE);
        }
        let _ = file.into_raw_fd();
        Some(shared)
    }

    /// Maps the file behind an inherited descriptor, if it is sealed and has this size.
    fn take_over_file(descriptor: i32, size: usize) -> Option<SharedFile> {
        if descriptor < 0 {
            return None;
        }
        // SAFETY: it is only queried and mapped, which fails if it is closed.
        let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let sealed = fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(FIXED));
        if !sealed || fs::fstat(file).ok()?.st_size != size as i64 {
            return None;
        }
        map_file(file, size)
    }

    /// Closes the descriptor of a shared file, unless the program has closed it and reused the number.
    fn close_file(shared: &SharedFile) {
        if shared.descriptor < 0 {
            return;
        }
        // SAFETY: it is only queried, which fails if it is closed.
        let stat = fs::fstat(unsafe { BorrowedFd::borrow_raw(shared.descriptor) });
        if stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (shared.device, shared.inode)) {
            // SAFETY: it is the file that was opened here, or that was passed to this process for this use.
            drop(unsafe { OwnedFd::from_raw_fd(shared.descriptor) });
        }
    }

    /// Unmaps a shared file.
    fn unmap_file(shared: &SharedFile, size: usize) {
        // SAFETY: mapped by `map_file`, and its content is not needed here.
        let _ = unsafe { mm::munmap(shared.addr.ptr(), size) };
    }

    /// Replaces the mapping of a shared file by private zero bytes.
    fn replace_file(shared: &SharedFile, size: usize) {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: mapped by `map_file`; the replacement may be accessed in the same way. If the call fails, the file stays mapped
        // and is written until the interrupted call ends.
        let _ = unsafe { mm::mmap_anonymous(shared.addr.ptr(), size, access, flags) };
    }
}

/// Returns a duplicate of the descriptor with a high number, or `None` if there is none left.
fn raised(low: OwnedFd) -> Option<OwnedFd> {
    FROM.into_iter().find_map(|from| io::fcntl_dupfd_cloexec(&low, from).ok())
}

/// Maps `size` bytes of a file.
fn map_file(file: BorrowedFd<'_>, size: usize) -> Option<SharedFile> {
    let stat = fs::fstat(file).ok()?;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of Linux's choice replaces no other.
    let at = unsafe { mm::mmap(null_mut(), size, prot, MapFlags::SHARED, file, 0) }.ok()?;
    use rustix::fd::AsRawFd;
    let (descriptor, addr) = (file.as_raw_fd(), Addr::of(at.cast::<u8>()));
    Some(SharedFile { addr, descriptor, device: stat.st_dev, inode: stat.st_ino })
}
