//! Descriptors that the allocator keeps open for the exit.

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use rustix::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{Stat, fstat};
use rustix::io;

use super::base::error;
use crate::os::OsError;

/// The lowest numbers tried for a kept descriptor: above those that programs choose for themselves and, if the limit
/// (`ulimit -n`) is lower, above the standard ones.
const KEPT_FROM: [i32; 3] = [100, 10, 3];
/// The number while no descriptor is kept.
const NONE: i32 = -1;

/// A descriptor that the allocator keeps. The program does not know it and may close it, so the file's device and inode are
/// kept, too: another file with the same descriptor is not mistaken for it.
pub(super) struct KeptFile {
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

/// Borrows a descriptor that may be closed.
pub(super) fn borrow(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: the descriptors are only queried and written to, which fails if one is closed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

impl KeptFile {
    /// Returns a value that keeps no file.
    pub(super) const fn new() -> KeptFile {
        KeptFile { fd: AtomicI32::new(NONE), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
    }

    /// Keeps a copy of `file`. Does nothing if one is kept.
    pub(super) fn keep(&self, file: BorrowedFd<'_>) -> Result<(), OsError> {
        if self.fd.load(Ordering::Relaxed) != NONE {
            return Ok(());
        }
        let stat = fstat(file).map_err(error)?;
        let copies = KEPT_FROM.map(|from| move || io::fcntl_dupfd_cloexec(file, from));
        let [first, second, third] = copies;
        let copy = first().or_else(|_| second()).or_else(|_| third()).map_err(error)?;
        self.device.store(stat.st_dev, Ordering::Relaxed);
        self.inode.store(stat.st_ino, Ordering::Relaxed);
        self.fd.store(copy.into_raw_fd(), Ordering::Relaxed);
        Ok(())
    }

    /// Returns the kept descriptor's number, or `None` if no file is kept.
    pub(super) fn descriptor(&self) -> Option<i32> {
        Some(self.fd.load(Ordering::Relaxed)).filter(|&fd| fd != NONE)
    }

    /// Returns the kept descriptor and the state of its file. Returns `None` if nothing is kept, or if the program has since
    /// reused the descriptor for another file.
    pub(super) fn get(&self) -> Option<(BorrowedFd<'static>, Stat)> {
        self.is_it(self.descriptor()?)
    }

    /// Returns the descriptor `fd` and its state if it leads to the kept file.
    pub(super) fn is_it(&self, fd: i32) -> Option<(BorrowedFd<'static>, Stat)> {
        let wanted = (self.device.load(Ordering::Relaxed), self.inode.load(Ordering::Relaxed));
        let stat = fstat(borrow(fd)).ok().filter(|stat| (stat.st_dev, stat.st_ino) == wanted)?;
        Some((borrow(fd), stat))
    }

    /// Closes the descriptor, unless the program has reused it.
    pub(super) fn forget(&self) {
        let fd = self.fd.swap(NONE, Ordering::Relaxed);
        if fd != NONE && self.is_it(fd).is_some() {
            // SAFETY: it is the copy that this process kept, and it is used nowhere else.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}
