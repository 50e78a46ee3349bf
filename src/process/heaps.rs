//! Isolated heaps in this process.

use super::ALLOCATOR;
use super::life::prepare;
use crate::isolated::Heap;
use crate::os::OsError;

impl Heap {
    /// An isolated heap. Its objects may take up to 64 GiB; where address space is limited (`RLIMIT_AS`), a sixteenth
    /// of that, and less where no more is left.
    pub fn new() -> Result<Heap, OsError> {
        prepare();
        Heap::make(None, &ALLOCATOR)
    }

    /// An isolated heap whose objects together take at most `bytes` bytes of pages, rounded up to 4 MiB. What it needs
    /// for itself is not counted.
    pub fn with_limit(bytes: usize) -> Result<Heap, OsError> {
        prepare();
        Heap::make(Some(bytes), &ALLOCATOR)
    }
}
