//! The resident part of a range.

use crate::os::{Backing, OsError, Process, Runs};

/// Bytes in memory and in swap.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Backed {
    /// In memory.
    pub resident: u64,
    /// In swap.
    pub swapped: u64,
}

impl core::ops::AddAssign for Backed {
    fn add_assign(&mut self, other: Backed) {
        self.resident += other.resident;
        self.swapped += other.swapped;
    }
}

/// Answers queries about ascending parts of one range. Each part is scanned once.
pub(super) struct Residency<'a> {
    process: &'a Process,
    runs: Runs,
    /// The first run that does not lie below the last query.
    next: usize,
    /// The end of the part that was scanned.
    scanned: usize,
    end: usize,
}

impl<'a> Residency<'a> {
    /// Returns the residency of `[start, end)`, which are multiples of the physical page.
    pub(super) fn new(process: &'a Process, start: usize, end: usize) -> Residency<'a> {
        Residency { process, runs: Runs::new(), next: 0, scanned: start, end }
    }

    /// Returns the backed bytes of a whole range.
    pub(super) fn of(process: &Process, start: usize, end: usize) -> Result<Backed, OsError> {
        Residency::new(process, start, end).within(start, end)
    }

    /// Returns the backed bytes of `[from, to)`. `from` is not below that of the query before.
    pub(super) fn within(&mut self, from: usize, to: usize) -> Result<Backed, OsError> {
        let mut backed = Backed::default();
        let to = to.min(self.end);
        loop {
            while let Some(run) = self.runs.get(self.next) {
                let (start, end) = (run.start.max(from), run.end.min(to));
                if start < end {
                    let bytes = (end - start) as u64;
                    match run.at {
                        Backing::Resident => backed.resident += bytes,
                        Backing::Swapped => backed.swapped += bytes,
                    }
                }
                if run.end > to {
                    return Ok(backed);
                }
                self.next += 1;
            }
            if self.scanned >= to {
                return Ok(backed);
            }
            self.runs.clear();
            self.next = 0;
            // A part below the current query is skipped.
            let start = self.scanned.max(from);
            self.scanned = self.process.scan(start, self.end, &mut self.runs)?;
            if self.scanned <= start && self.runs.is_empty() {
                // The range ends here: no part of it is mapped above.
                self.scanned = self.end;
            }
        }
    }
}
