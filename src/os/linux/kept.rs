//! Descriptors that the process keeps for its end: a copy of standard error, and the file of the exit report. And writing
//! to them without a signal.

use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{Stat, fstat};
use rustix::io::{self, Errno};

use super::{Linux, SIG_UNBLOCK, error};
use crate::arch;
use crate::os::OsError;

/// The lowest number of a kept descriptor: above those that programs choose for themselves, and where the limit
/// (`ulimit -n`) is below that, above the standard ones.
const KEPT_FROM: [i32; 3] = [100, 10, 3];
/// No descriptor is kept.
const NONE: i32 = -1;

/// `SIGPIPE` of `signal.h`.
const SIGPIPE: usize = 13;
/// `SIGXFSZ` there.
const SIGXFSZ: usize = 25;
/// `SIG_BLOCK` and `SIG_SETMASK` there.
const SIG_BLOCK: usize = SIG_UNBLOCK - 1;
const SIG_SETMASK: usize = SIG_UNBLOCK + 1;
/// `POLLOUT` of `poll.h`.
const POLLOUT: u32 = 4;
/// How long a write waits for a reader of a descriptor that does not block, in milliseconds.
const WAIT_MILLIS: usize = 1_000;

/// A descriptor of this process's own, which the program does not know of and may close. The file's identity is kept
/// too, so that another file under the same number is not taken for it.
pub(super) struct KeptFile {
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

/// The copy of standard error.
static STDERR: KeptFile = KeptFile::new();
/// The file of the exit report.
pub(super) static REPORT: KeptFile = KeptFile::new();

/// Borrows a descriptor that may be closed.
fn borrow(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: the descriptors are only asked about and written to; where one is closed, that fails.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

impl KeptFile {
    const fn new() -> KeptFile {
        KeptFile { fd: AtomicI32::new(NONE), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
    }

    /// Keeps a copy of `file`, unless one is kept.
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

    /// Returns the kept descriptor and the state of its file. `None`: nothing is kept, or the number belongs to another
    /// file of the program by now.
    pub(super) fn get(&self) -> Option<(BorrowedFd<'static>, Stat)> {
        let fd = self.fd.load(Ordering::Relaxed);
        if fd == NONE { None } else { self.is_it(fd) }
    }

    /// Whether a descriptor leads to the file that is kept.
    fn is_it(&self, fd: i32) -> Option<(BorrowedFd<'static>, Stat)> {
        let wanted = (self.device.load(Ordering::Relaxed), self.inode.load(Ordering::Relaxed));
        let stat = fstat(borrow(fd)).ok().filter(|stat| (stat.st_dev, stat.st_ino) == wanted)?;
        Some((borrow(fd), stat))
    }

    /// Closes the descriptor, if it is still the one that was kept.
    pub(super) fn forget(&self) {
        let fd = self.fd.swap(NONE, Ordering::Relaxed);
        if fd != NONE && self.is_it(fd).is_some() {
            // SAFETY: it is the copy that this process kept, and nobody else knows of it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

impl Linux {
    /// Returns standard error, or the copy that was kept of it. `None`: a copy was kept, and by now its number and that
    /// of standard error belong to other files of the program.
    pub fn stderr() -> Option<BorrowedFd<'static>> {
        let kept = STDERR.fd.load(Ordering::Relaxed);
        if kept == NONE {
            return Some(borrow(2));
        }
        [kept, 2].into_iter().find_map(|fd| STDERR.is_it(fd)).map(|(fd, _)| fd)
    }

    /// Keeps a copy of standard error, for what is written when the process exits: many programs close theirs before
    /// that, to see whether everything they wrote arrived.
    pub fn keep_stderr() {
        // Where standard error is closed, or there are no descriptors left, lines go where they went before.
        let _ = STDERR.keep(borrow(2));
    }

    /// Gives up kept descriptors in the child of a fork: whoever reads the other end of a pipe would wait for the
    /// child, though it may have closed its own. The file of the report stays, if it is a regular one.
    pub fn forget_kept() {
        STDERR.forget();
        if let Some((_, stat)) = REPORT.get()
            && !super::files::is_regular(&stat)
        {
            REPORT.forget();
        }
    }

    /// Writes all of `text` to a descriptor, as far as it goes.
    pub fn write_all<Fd: AsFd>(fd: Fd, mut text: &[u8]) -> Result<(), OsError> {
        while !text.is_empty() {
            match io::write(&fd, text) {
                Ok(0) => return Err(OsError::Errno(0)),
                Ok(n) => text = text.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // The program made it so: a pipe whose reader is slow.
                Err(Errno::AGAIN) if can_write_soon(fd.as_fd()) => {}
                Err(e) => return Err(error(e)),
            }
        }
        Ok(())
    }

    /// Writes `text` to standard error, as far as it goes.
    pub fn print(text: &[u8]) {
        if let Some(stderr) = Linux::stderr() {
            // Where nobody can be told, nobody is.
            let _ = Linux::without_signals(|| Linux::write_all(stderr, text));
        }
    }

    /// Runs `f`, which writes, without the signals that a refused write sends to the thread: `SIGPIPE` where nobody
    /// reads, `SIGXFSZ` above the limit on the size of files. They would end a program that did not write itself.
    pub fn without_signals<E>(f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let ours = (1u64 << (SIGPIPE - 1)) | (1 << (SIGXFSZ - 1));
        let (mut pending, mut mask) = (0u64, 0u64);
        let at = |place: *const u64| place.expose_provenance();
        // SAFETY: the calls read and write words of this frame.
        unsafe {
            arch::syscall3(arch::SYS_RT_SIGPENDING, at(&raw mut pending), 8, 0);
            arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_BLOCK, at(&raw const ours), at(&raw mut mask), 8);
        }
        let done = f();
        if done.is_err() {
            // What was pending before is the program's.
            let (sent, now) = (ours & !pending, [0u64; 2]);
            // SAFETY: as above; the call waits for no time.
            unsafe { arch::syscall4(arch::SYS_RT_SIGTIMEDWAIT, at(&raw const sent), 0, at(now.as_ptr()), 8) };
        }
        // SAFETY: as above.
        unsafe { arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_SETMASK, at(&raw const mask), 0, 8) };
        done
    }
}

/// Waits, for a bounded time, until a descriptor takes more.
fn can_write_soon(fd: BorrowedFd<'_>) -> bool {
    use rustix::fd::AsRawFd;
    // `struct pollfd`: the descriptor, what is waited for, what came.
    let mut poll = [fd.as_raw_fd() as u32, POLLOUT];
    // SAFETY: the call reads and writes this frame's two words.
    unsafe { arch::syscall3(arch::SYS_POLL, poll.as_mut_ptr().expose_provenance(), 1, WAIT_MILLIS) == 1 }
}
