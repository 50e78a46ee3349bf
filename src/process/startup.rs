//! The first step of every entry into the process's allocator.

use core::sync::atomic::{AtomicBool, Ordering};

use super::system_stacks;
use crate::local;
use crate::os::Linux;
use crate::report;
use crate::system_stack;

/// Whether [`begin`] ran.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Sets how the process prints and aborts, and how a thread borrows a system stack. Only the first call does anything.
///
/// Every entry that may find misuse calls it first.
#[inline]
pub(super) fn begin() {
    if !STARTED.load(Ordering::Acquire) && !STARTED.swap(true, Ordering::AcqRel) {
        report::set_sink(print, abort);
        system_stack::set_provider(system_stacks::borrow);
    }
}

/// Prints a line, unless the calling thread is aborting: then it has printed its reason already.
fn print(text: &[u8]) {
    if !local::is_dying() {
        Linux::print(text);
    }
}

/// Ends the process by `SIGABRT`. The program's handler of the signal runs at most once.
fn abort() -> ! {
    if local::is_dying() {
        Linux::abort_unhandled();
    }
    local::set_dying();
    Linux::abort()
}
