//! The process itself: its id, its name, its standard error, its system calls.

use super::calls::{CALLS, Made};

/// The process on this OS.
pub trait Identity {
    /// Returns the process id, or 0 if the environment has no processes.
    fn process(&self) -> i32 {
        0
    }

    /// Returns the name of the program that this process runs, as far as the OS keeps it. It is empty if there is none.
    fn command<'a>(&self, _name: &'a mut [u8; 16]) -> &'a [u8] {
        &[]
    }

    /// Writes `text` to standard error. Errors are ignored.
    fn print(&self, text: &[u8]);

    /// Returns how many system calls were made. Returns `None` if they are not counted for this instance alone.
    fn calls(&self) -> Option<[Made; CALLS]> {
        None
    }
}
