//! The process: its id, name, standard error and system calls.

use super::base::Linux;
use super::mm::MADE;
use crate::os::{CALLS, Identity, Made};

impl Identity for Linux {
    fn process(&self) -> i32 {
        Linux::pid()
    }

    fn command<'a>(&self, name: &'a mut [u8; 16]) -> &'a [u8] {
        Linux::command(name)
    }

    fn print(&self, text: &[u8]) {
        Linux::print(text);
    }

    fn calls(&self) -> Option<[Made; CALLS]> {
        Some(MADE.read())
    }
}
