//! Files: what the process was told at its start, and what it writes at its end.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, Stat, fcntl_setfl, fstat, ftruncate, openat, seek, stat};
use rustix::io::Errno;

use super::kept::REPORT;
use super::{Linux, error};
use crate::arch;
use crate::os::OsError;

/// Opens a file by `openat`, which libcs call: filters of system calls may know no `open`.
fn open<P: rustix::path::Arg>(path: P, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

impl Linux {
    /// The value of an environment variable at the start of the process, copied to `buffer`; `None` where it
    /// is not set, [`OsError::OutOfMemory`] where it does not fit, another error where the environment cannot be read.
    ///
    /// Read from `/proc`, because a libc may not have set its own `environ` yet when the first
    /// allocation happens, and there may be no libc.
    pub fn environment<'a>(name: &str, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, OsError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = open("/proc/self/environ", flags, Mode::empty()).map_err(|e| OsError::Errno(e.raw_os_error()))?;
        let mut chunk = [0u8; 1024];
        let mut scan = Scan { name: name.as_bytes(), matched: 0, state: State::Name, len: 0 };
        loop {
            let n = match rustix::io::read(&file, &mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(OsError::Errno(e.raw_os_error())),
            };
            for &byte in chunk.get(..n).unwrap_or_default() {
                if scan.byte(byte, buffer) {
                    return if scan.len <= buffer.len() {
                        Ok(buffer.get(..scan.len))
                    } else {
                        Err(OsError::OutOfMemory)
                    };
                }
            }
        }
        Ok(None)
    }

    /// Whether the process runs with more rights than whoever started it, so that its environment is not to be
    /// trusted (`AT_SECURE`). `None`: neither `/proc` nor a libc says so.
    pub fn secure() -> Option<bool> {
        const AT_SECURE: usize = 23;
        const WORD: usize = size_of::<usize>();
        let Ok(file) = open("/proc/self/auxv", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            let find = arch::getauxval();
            type Find = unsafe extern "C" fn(usize) -> usize;
            // SAFETY: the symbol is the libc's function of this type, which only answers.
            return (!find.is_null())
                .then(|| unsafe { core::mem::transmute::<*const core::ffi::c_void, Find>(find)(AT_SECURE) != 0 });
        };
        let mut pairs = [0u8; 64 * 2 * WORD];
        let n = rustix::io::read(&file, &mut pairs).unwrap_or(0);
        let word = |b: &[u8]| b.iter().rev().fold(0usize, |w, &byte| (w << 8) | byte as usize);
        let little = cfg!(target_endian = "little");
        for pair in pairs.get(..n).unwrap_or_default().chunks_exact(2 * WORD) {
            let (key, value) = pair.split_at(WORD);
            if little && word(key) == AT_SECURE {
                return Some(word(value) != 0);
            }
        }
        None
    }

    /// The name of the program that this process runs, as far as the system keeps it: 15 bytes. Without `/proc`, that of the
    /// calling thread, which is the same as a rule.
    pub fn command(name: &mut [u8; 16]) -> &[u8] {
        const PR_GET_NAME: usize = 16;
        let read = open("/proc/self/comm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| rustix::io::read(file, name.as_mut_slice()));
        if read.is_err() {
            // SAFETY: the call writes 16 bytes at most to the caller's array.
            unsafe { arch::syscall3(arch::SYS_PRCTL, PR_GET_NAME, name.as_mut_ptr().expose_provenance(), 0) };
        }
        let length = name.iter().position(|&byte| byte == 0 || byte == b'\n').unwrap_or(name.len());
        name.get(..length).unwrap_or_default()
    }

    /// Writes the absolute form of `path`, which the process may leave by changing its directory. `None`: it does not
    /// fit, or the directory has no name.
    pub fn absolute<const N: usize>(path: &[u8]) -> Option<heapless::Vec<u8, N>> {
        let mut whole = heapless::Vec::new();
        if path.first() != Some(&b'/') {
            let mut here = [0u8; N];
            // SAFETY: the call writes at most so many bytes to this frame.
            let n = unsafe { arch::syscall3(arch::SYS_GETCWD, here.as_mut_ptr().expose_provenance(), N, 0) };
            // With its null byte. A directory that cannot be reached has a name without a slash.
            let here =
                here.get(..usize::try_from(n).ok()?.checked_sub(1)?).filter(|name| name.first() == Some(&b'/'))?;
            whole.extend_from_slice(here).ok()?;
            if here.len() > 1 {
                whole.push(b'/').ok()?;
            }
        }
        whole.extend_from_slice(path).ok()?;
        Some(whole)
    }

    /// Opens the file of the exit report, before the program closes descriptors, changes its root or gives up rights, and
    /// keeps it open. What is in the file stays until the report is written.
    pub fn keep_report(path: &[u8]) -> Result<(), OsError> {
        match open_target(path) {
            Ok(Target::Standard(fd)) => REPORT.keep(fd),
            Ok(Target::File(file)) => REPORT.keep(file.as_fd()),
            // Somebody may read the pipe by the time the report is written.
            Err(Errno::NXIO) if is_fifo(path) => Ok(()),
            Err(e) => Err(error(e)),
        }
    }

    /// Hands `f` the file for a report: the kept one if `kept`, else the one at `path`. A regular file is emptied before,
    /// unless it is the program's standard output or standard error.
    pub fn with_report<R>(path: &[u8], kept: bool, f: impl FnOnce(BorrowedFd<'_>) -> R) -> Result<R, OsError> {
        if kept && let Some((file, stat)) = REPORT.get() {
            // A regular file without a name was replaced meanwhile.
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

/// What a path leads to.
enum Target {
    /// The file that is open as standard output or standard error: it is written on behind what is there.
    Standard(BorrowedFd<'static>),
    /// A file.
    File(OwnedFd),
}

/// Returns the standard descriptor whose file this is.
fn standard(of: &Stat) -> Option<BorrowedFd<'static>> {
    // SAFETY: the descriptors are only asked about and written to; where one is closed, that fails.
    [1, 2].map(|fd| unsafe { BorrowedFd::borrow_raw(fd) }).into_iter().find(|fd| {
        // A terminal or a device can be opened anew; a file or a pipe of the program's goes on where it is.
        fstat(fd).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (of.st_dev, of.st_ino))
    })
}

fn open_target(path: &[u8]) -> Result<Target, Errno> {
    if let Ok(there) = stat(path)
        && let Some(fd) = standard(&there)
    {
        return Ok(Target::Standard(fd));
    }
    // Not to wait for ever at a pipe that nobody reads; where somebody does, writes may wait.
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

/// Empties a regular file, and writes from its beginning.
fn empty(file: BorrowedFd<'_>, stat: &Stat) -> Result<(), OsError> {
    if is_regular(stat) && standard(stat).is_none() {
        ftruncate(file, 0).map_err(error)?;
        seek(file, SeekFrom::Start(0)).map_err(error)?;
    }
    Ok(())
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn is_fifo(path: &[u8]) -> bool {
    stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// Where in a list of `NAME=value\0` a scan is.
#[derive(PartialEq, Eq)]
enum State {
    Name,
    Other,
    Value,
}

/// A scan for one variable, byte by byte.
struct Scan<'a> {
    name: &'a [u8],
    matched: usize,
    state: State,
    len: usize,
}

impl Scan<'_> {
    /// Takes one byte; `true` when the value is complete in `buffer`.
    fn byte(&mut self, byte: u8, buffer: &mut [u8]) -> bool {
        match self.state {
            State::Name if self.matched == self.name.len() && byte == b'=' => self.state = State::Value,
            State::Name if self.name.get(self.matched) == Some(&byte) => self.matched += 1,
            State::Value if byte == 0 => return true,
            State::Value => {
                if let Some(place) = buffer.get_mut(self.len) {
                    *place = byte;
                }
                self.len += 1;
            }
            _ => self.state = State::Other,
        }
        if byte == 0 {
            self.state = State::Name;
            self.matched = 0;
        }
        false
    }
}
