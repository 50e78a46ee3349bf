//! The file of the exit report.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat, fcntl_setfl, fstat, ftruncate, seek, stat};
use rustix::io::Errno;

use super::base::{Linux, error};
use super::environment::open;
use super::kept::KeptFile;
use crate::os::OsError;

/// The kept file of the exit report.
static REPORT: KeptFile = KeptFile::new();

impl Linux {
    /// Closes kept descriptors in the child of a fork: the reader of a pipe would wait for the child, although the child may
    /// have closed its own descriptors. A regular file of the report stays open.
    pub fn forget_kept() {
        Linux::forget_stderr();
        if let Some((_, stat)) = REPORT.get()
            && !is_regular(&stat)
        {
            REPORT.forget();
        }
    }

    /// Opens the file of the exit report and keeps it open, before the program closes descriptors, changes its root or gives
    /// up rights. The file keeps its content until the report is written.
    pub fn keep_report(path: &[u8]) -> Result<(), OsError> {
        match open_target(path) {
            Ok(Target::Standard(fd)) => REPORT.keep(fd),
            Ok(Target::File(file)) => REPORT.keep(file.as_fd()),
            // The pipe has no reader yet. It may have one when the report is written.
            Err(Errno::NXIO) if is_fifo(path) => Ok(()),
            Err(e) => Err(error(e)),
        }
    }

    /// Calls `f` with the report's file: the kept one if `kept`, else the one at `path`. A regular file is truncated first,
    /// unless it is the program's standard output or standard error.
    pub fn with_report<R>(path: &[u8], kept: bool, f: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R, OsError> {
        if kept && let Some((file, stat)) = REPORT.get() {
            // A regular file without a link was replaced at its path meanwhile.
            if !is_regular(&stat) || stat.st_nlink > 0 {
                empty(file, &stat)?;
                return Ok(f(file));
            }
        }
        match open_target(path).map_err(error)? {
            Target::Standard(fd) => Ok(f(fd)),
            Target::File(file) => {
                empty(file.as_fd(), &fstat(&file).map_err(error)?)?;
                Ok(f(file.as_fd()))
            }
        }
    }
}

/// The target of a path.
enum Target {
    /// The file that is open as standard output or standard error. The report is appended.
    Standard(BorrowedFd<'static>),
    /// Any other file.
    File(OwnedFd),
}

/// Returns the standard descriptor that is open on the file `of`, or `None`.
fn standard(of: &Stat) -> Option<BorrowedFd<'static>> {
    // SAFETY: the descriptors are only queried and written to, which fails if one is closed.
    [1, 2]
        .map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
        .into_iter()
        .find(|fd| fstat(fd).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (of.st_dev, of.st_ino)))
}

/// Opens the file at `path` for writing, or creates it. Returns the standard descriptor if that is open on it.
fn open_target(path: &[u8]) -> Result<Target, Errno> {
    if let Ok(there) = stat(path)
        && let Some(fd) = standard(&there)
    {
        return Ok(Target::Standard(fd));
    }
    // Non-blocking, so that opening a pipe without a reader fails instead of waiting for ever. Later writes may block.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = loop {
        match open(path, flags, Mode::from_raw_mode(0o644)) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(Target::File(file))
}

/// Truncates a regular file and seeks to its beginning, unless it is open as a standard descriptor.
fn empty(file: BorrowedFd<'_>, stat: &Stat) -> Result<(), OsError> {
    if is_regular(stat) && standard(stat).is_none() {
        ftruncate(file, 0).map_err(error)?;
        seek(file, SeekFrom::Start(0)).map_err(error)?;
    }
    Ok(())
}

/// Returns whether it is a regular file.
fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Returns whether a FIFO is at `path`.
fn is_fifo(path: &[u8]) -> bool {
    stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
