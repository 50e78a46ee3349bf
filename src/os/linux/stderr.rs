//! Standard error, which must reach the user even if the program closes its own.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{self, Errno};

use super::base::{Linux, error};
use super::kept::{KeptFile, borrow};
use crate::arch;
use crate::os::OsError;

/// `POLLOUT` of `poll.h`.
const POLLOUT: u32 = 4;
/// How long a write waits for the reader of a non-blocking descriptor, in milliseconds.
const WAIT_MILLIS: usize = 1_000;

/// The copy of standard error.
static STDERR: KeptFile = KeptFile::new();

impl Linux {
    /// Returns standard error, or the kept copy of it. Returns `None` if a copy was kept, and the program has since reused
    /// both descriptors for other files.
    pub fn stderr() -> Option<BorrowedFd<'static>> {
        let Some(kept) = STDERR.descriptor() else { return Some(borrow(2)) };
        [kept, 2].into_iter().find_map(|fd| STDERR.is_it(fd)).map(|(fd, _)| fd)
    }

    /// Keeps a copy of standard error for lines at the exit. Many programs close theirs before that, to check that everything
    /// was written.
    pub fn keep_stderr() {
        // If standard error is closed, or no descriptor is left, lines go to descriptor 2 as before.
        let _ = STDERR.keep(borrow(2));
    }

    /// Closes the copy of standard error, in the child of a fork.
    pub(super) fn forget_stderr() {
        STDERR.forget();
    }

    /// Writes all of `text` to a descriptor. Returns the first error.
    pub fn write_all<Fd: AsFd>(fd: Fd, mut text: &[u8]) -> Result<(), OsError> {
        while !text.is_empty() {
            match io::write(&fd, text) {
                Ok(0) => return Err(OsError::Errno(0)),
                Ok(n) => text = text.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // The program made the descriptor non-blocking, and the pipe is full.
                Err(Errno::AGAIN) if can_write_soon(fd.as_fd()) => {}
                Err(e) => return Err(error(e)),
            }
        }
        Ok(())
    }

    /// Writes `text` to standard error. Errors are ignored.
    pub fn print(text: &[u8]) {
        if let Some(stderr) = Linux::stderr() {
            let _ = Linux::without_signals(|| Linux::write_all(stderr, text));
        }
    }
}

/// Waits until a descriptor is writable, at most [`WAIT_MILLIS`]. Returns whether it is.
fn can_write_soon(fd: BorrowedFd<'_>) -> bool {
    use rustix::fd::AsRawFd;
    // `struct pollfd`: the descriptor, the requested events, the returned events.
    let mut poll = [fd.as_raw_fd() as u32, POLLOUT];
    // SAFETY: the call reads and writes this frame's two words.
    unsafe { arch::poll(poll.as_mut_ptr().expose_provenance(), 1, WAIT_MILLIS) == 1 }
}
