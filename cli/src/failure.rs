//! What ends the command early: one line and an exit status.

use std::ffi::OsStr;
use std::io::Write;

/// The command cannot go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    /// The line for standard error without its prefix; empty: none.
    pub line: String,
}

impl Failure {
    /// Wrong arguments, or a program that Crossfoot cannot be preloaded into.
    pub const REFUSED: u8 = 2;
    /// The books of a process do not balance; as with `run --check`.
    pub const UNBALANCED: u8 = 70;
    /// The program is there but cannot be executed; as shells have it.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// There is no such program; as shells have it.
    pub const NOT_FOUND: u8 = 127;
    /// What was to be printed could not be written.
    pub const NOT_WRITTEN: u8 = 1;
    /// A process has not done what it was asked for, yet.
    pub const NOT_DONE: u8 = 3;
    /// Nobody reads what is printed; the status that shells show for a tool that died of SIGPIPE.
    pub const CLOSED_PIPE: u8 = 128 + libc::SIGPIPE as u8;

    /// A failure with status [`Failure::REFUSED`].
    pub fn refused(line: impl Into<String>) -> Failure {
        Failure { status: Failure::REFUSED, line: line.into() }
    }

    /// Prints the line; returns the status.
    pub fn report(self) -> u8 {
        if !self.line.is_empty() {
            // One call, so that lines of several processes do not mix. Where standard error is closed,
            // nobody can be told.
            let _ = std::io::stderr().write_all(format!("crossfoot: {}\n", self.line).as_bytes());
        }
        self.status
    }
}

/// A name in quotes as it stands in a line: readable, and never more than a line.
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
