//! [`Failure`]: the line and the exit status of a command that ends early.

use std::ffi::OsStr;
use std::io::Write;

/// The reason why the command ends early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// The line for standard error, without its prefix. If it is empty, nothing is printed.
    pub line: String,
}

impl Failure {
    /// Wrong arguments, or a program that Crossfoot cannot be preloaded into.
    pub const REFUSED: u8 = 2;
    /// The books of a process do not balance. `run --check` has the same status.
    pub const UNBALANCED: u8 = 70;
    /// The program is there but cannot be executed, as in shells.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// There is no such program, as in shells.
    pub const NOT_FOUND: u8 = 127;
    /// The output could not be written.
    pub const NOT_WRITTEN: u8 = 1;
    /// A process has not done yet what it was asked to do.
    pub const NOT_DONE: u8 = 3;
    /// The reader of standard output has closed it. Shells show this status for a tool that was killed by SIGPIPE.
    pub const CLOSED_PIPE: u8 = 128 + libc::SIGPIPE as u8;

    /// Returns a failure with status [`Failure::REFUSED`].
    pub fn refused(line: impl Into<String>) -> Failure {
        Failure { status: Failure::REFUSED, line: line.into() }
    }

    /// Prints the line and returns the status.
    pub fn report(self) -> u8 {
        if !self.line.is_empty() {
            // One call, so that lines of several processes do not mix. An error is dropped: standard error is the only
            // place to report one.
            let _ = std::io::stderr().write_all(format!("crossfoot: {}\n", self.line).as_bytes());
        }
        self.status
    }
}

/// Returns a name in quotes, for a message. Control characters are escaped, so that the message stays on one line.
pub fn shown(name: impl AsRef<OsStr>) -> String {
    let mut text = String::from("'");
    for c in name.as_ref().to_string_lossy().chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(shown("größe\n\tx"), "'größe\\n\\tx'");
    }
}
