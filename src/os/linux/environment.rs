//! The process as `/proc` shows it at the start: environment, rights, name, directory.

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::base::Linux;
use crate::arch;
use crate::os::OsError;

/// Opens a file by `openat`, as libcs do: a seccomp filter may kill for `open`.
pub(super) fn open<P: rustix::path::Arg>(path: P, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

impl Linux {
    /// Copies the value that an environment variable had at the process's start to `buffer`. Returns `None` if it is not set,
    /// [`OsError::OutOfMemory`] if it does not fit, another error if the environment cannot be read.
    ///
    /// Reads `/proc`, because the libc may not have set its `environ` before the first allocation, and there may be no libc.
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

    /// Returns whether the process has more rights than its starter (`AT_SECURE`), so that its environment must not be
    /// trusted. Returns `None` if neither `/proc` nor a libc tells.
    pub fn secure() -> Option<bool> {
        const AT_SECURE: usize = 23;
        const WORD: usize = size_of::<usize>();
        let Ok(file) = open("/proc/self/auxv", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            let find = arch::getauxval();
            type Find = unsafe extern "C" fn(usize) -> usize;
            // SAFETY: the symbol is the libc's function of this type, which has no effect.
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

    /// Returns the first 15 bytes of the program's name. Without `/proc` it is the calling thread's name, which is usually the
    /// same.
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

    /// Returns the absolute form of `path`, which stays valid if the process changes its directory. Returns `None` if it does
    /// not fit, or if the working directory has no path.
    pub fn absolute<const N: usize>(path: &[u8]) -> Option<heapless::Vec<u8, N>> {
        let mut whole = heapless::Vec::new();
        if path.first() != Some(&b'/') {
            let mut here = [0u8; N];
            // SAFETY: the call writes at most `N` bytes to this frame.
            let n = unsafe { arch::syscall3(arch::SYS_GETCWD, here.as_mut_ptr().expose_provenance(), N, 0) };
            // The length includes the null byte. The path of an unreachable directory does not begin with a slash.
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
}

/// The position of a scan in a list of `NAME=value\0`.
#[derive(PartialEq, Eq)]
enum State {
    Name,
    Other,
    Value,
}

/// A scan for one variable, one byte at a time.
struct Scan<'a> {
    name: &'a [u8],
    matched: usize,
    state: State,
    len: usize,
}

impl Scan<'_> {
    /// Processes one byte. Returns `true` when the value is complete in `buffer`.
    fn byte(&mut self, byte: u8, buffer: &mut [u8]) -> bool {
        match self.state {
            State::Name if self.matched == self.name.len() && byte == b'=' => self.state = State::Value,
            State::Name if self.name.get(self.matched) == Some(&byte) => self.matched += 1,
            State::Value if byte == 0 => return true,
            State::Value => {
                if let Some(slot) = buffer.get_mut(self.len) {
                    *slot = byte;
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
