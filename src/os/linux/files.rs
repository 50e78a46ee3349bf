//! Files: what the process was told at its start, and what it writes at its end.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::{Linux, error};
use crate::os::OsError;

impl Linux {
    /// The value of an environment variable at the start of the process, copied to `buffer`; `None` where it
    /// is not set or cannot be read, an error where it does not fit.
    ///
    /// Read from `/proc`, because a libc may not have set its own `environ` yet when the first
    /// allocation happens, and there may be no libc.
    pub fn environment<'a>(name: &str, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, OsError> {
        let Ok(file) = open("/proc/self/environ", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            return Ok(None);
        };
        let mut chunk = [0u8; 1024];
        let mut scan = Scan { name: name.as_bytes(), matched: 0, state: State::Name, len: 0 };
        loop {
            let n = match rustix::io::read(&file, &mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(_) => return Ok(None),
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
    /// trusted (`AT_SECURE`). Where that cannot be read, it is assumed.
    pub fn secure() -> bool {
        const AT_SECURE: usize = 23;
        const WORD: usize = size_of::<usize>();
        let Ok(file) = open("/proc/self/auxv", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return true };
        let mut pairs = [0u8; 64 * 2 * WORD];
        let n = rustix::io::read(&file, &mut pairs).unwrap_or(0);
        let word = |b: &[u8]| b.iter().rev().fold(0usize, |w, &byte| (w << 8) | byte as usize);
        let little = cfg!(target_endian = "little");
        for pair in pairs.get(..n).unwrap_or_default().chunks_exact(2 * WORD) {
            let (key, value) = pair.split_at(WORD);
            if little && word(key) == AT_SECURE {
                return word(value) != 0;
            }
        }
        true
    }

    /// Whether a file has these bytes, at most 64, anywhere; `false` where there is none.
    pub fn file_has(path: &[u8], mark: &[u8]) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(file) = open(path, flags, Mode::empty()) else { return false };
        let mut text = [0; 4096];
        let mut kept = 0;
        while let Some(rest) = text.get_mut(kept..).filter(|rest| !rest.is_empty()) {
            let n = match rustix::io::read(&file, rest) {
                Ok(0) => break,
                Ok(n) => kept + n,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            let there = text.get(..n).unwrap_or_default();
            if there.windows(mark.len().max(1)).any(|window| window == mark) {
                return true;
            }
            // The mark may begin in what was read and end in what comes.
            kept = n.min(mark.len().clamp(1, 64) - 1);
            text.copy_within(n - kept..n, 0);
        }
        false
    }

    /// Creates or empties a file and hands it to `f`.
    pub fn with_file<R>(path: &[u8], f: impl FnOnce(rustix::fd::BorrowedFd<'_>) -> R) -> Result<R, OsError> {
        use rustix::fd::AsFd;
        // Not to wait for ever at a pipe that nobody reads; where somebody does, writes may wait.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = open(path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o644)).map_err(error)?;
        rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(error)?;
        Ok(f(file.as_fd()))
    }
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
