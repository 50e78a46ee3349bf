//! Isolated heaps in this process.

use super::instance::ALLOCATOR;
use super::{environment, fork, startup};
use crate::isolated::Heap;
use crate::os::OsError;

impl Heap {
    /// Creates an isolated heap. Its objects may take up to 64 GiB. If address space is limited (`RLIMIT_AS`), a sixteenth
    /// of the limit, or less if that is not available.
    pub fn new() -> Result<Heap, OsError> {
        prepare();
        Heap::make(None, &ALLOCATOR)
    }

    /// Creates an isolated heap whose objects take at most `bytes` bytes of pages in all, rounded up to 4 MiB. The heap's own
    /// data is not counted.
    pub fn with_limit(bytes: usize) -> Result<Heap, OsError> {
        prepare();
        Heap::make(Some(bytes), &ALLOCATOR)
    }
}

/// Prepares the process for an isolated heap: the process's own allocator may never be used.
fn prepare() {
    startup::begin();
    environment::read_options();
    fork::register();
}
