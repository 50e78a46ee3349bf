//! The memory of a process, read in lines of 4 KiB.
//!
//! Structures are close together: 4 KiB have 32 span records, or the links of 256 small objects. Before this, a system
//! call for each word took nine tenths of the time of an audit.

use crate::os::{OsError, Process};
use crate::units::KIB;

/// The size of a line in bytes. No physical page is smaller. So a line can be read whenever one of its words can, and
/// reading it touches no other page.
const SIZE: usize = 4 * KIB;

/// A line of a process's memory.
#[derive(Clone, Copy)]
pub struct Line {
    at: u64,
    bytes: [u8; SIZE],
}

impl core::fmt::Debug for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Line").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Line {
    /// An empty line. Its address is no multiple of the size of a line, so no lookup finds it.
    pub const EMPTY: Line = Line { at: 1, bytes: [0; SIZE] };
}

/// The lines read last.
pub(super) struct Lines<'a> {
    process: &'a Process,
    lines: &'a mut [Line],
    /// The line used last, and the line to replace next.
    last: usize,
    next: usize,
}

impl<'a> Lines<'a> {
    /// Returns a reader that keeps lines in `lines`, of which there is at least one. Discards their contents.
    pub(super) fn new(process: &'a Process, lines: &'a mut [Line]) -> Lines<'a> {
        lines.iter_mut().for_each(|line| line.at = Line::EMPTY.at);
        Lines { process, lines, last: 0, next: 0 }
    }

    /// Reads memory from `at` on, all of `out`, or returns an error.
    pub(super) fn read(&mut self, at: u64, out: &mut [u8]) -> Result<(), OsError> {
        let mut at = at;
        let mut out = out;
        while !out.is_empty() {
            let offset = (at % SIZE as u64) as usize;
            let line = self.line(at - offset as u64)?;
            let from = line.get(offset..).unwrap_or_default();
            let n = from.len().min(out.len());
            let (to, rest) = out.split_at_mut(n);
            to.copy_from_slice(from.get(..n).unwrap_or_default());
            out = rest;
            at = at.wrapping_add(n as u64);
        }
        Ok(())
    }

    /// Reads a word of memory.
    pub(super) fn word(&mut self, at: u64) -> Result<u64, OsError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn line(&mut self, at: u64) -> Result<&[u8], OsError> {
        if self.lines.get(self.last).is_none_or(|line| line.at != at) {
            self.last = match self.lines.iter().position(|line| line.at == at) {
                Some(found) => found,
                None => self.load(at)?,
            };
        }
        Ok(self.lines.get(self.last).map_or(&[], |line| &line.bytes))
    }

    fn load(&mut self, at: u64) -> Result<usize, OsError> {
        let i = self.next;
        let line = self.lines.get_mut(i).ok_or(OsError::OutOfMemory)?;
        line.at = Line::EMPTY.at;
        self.process.read(at, &mut line.bytes)?;
        line.at = at;
        self.next = (i + 1) % self.lines.len();
        Ok(i)
    }
}
