//! Linux: one variable of the environment that the process was started with.

use rustix::io::Errno;

use super::{Linux, OsError};

impl Linux {
    /// The value of an environment variable at the start of the process, copied to `buffer`; `None` where it
    /// is not set or cannot be read, an error where it does not fit.
    ///
    /// Read from `/proc`, because a libc may not have set its own `environ` yet when the first
    /// allocation happens, and there may be no libc.
    pub fn environment<'a>(name: &str, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, OsError> {
        use rustix::fs::{Mode, OFlags, open};
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
