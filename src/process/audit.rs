//! The process's own audit.

use core::cell::Cell;

use super::instance::{ALLOCATOR, own_cache};
use super::system_stacks::on_system_stack;
use crate::audit::{Audit, Line, Range, Request, audit as audit_of};
use crate::lock::stand_back;
use crate::metrics::OsFigures;
use crate::os::{Linux, Memory, OsError, Platform, Process};

/// How long a process that changes is scanned again, in nanoseconds.
const WAIT_NANOS: u64 = 1_000_000_000;
/// How often it is scanned at most.
const SCANS: u32 = 8;
/// How many lines of the audit are kept. They lie on the system stack.
const LINES: usize = 2;

/// The process's own mappings, as its stats page lists them.
struct Own {
    since: u64,
    scans: Cell<u32>,
}

impl Request for Own {
    fn range(&self, i: usize) -> Option<Range> {
        ALLOCATOR.mapping(i).as_ref().and_then(Range::of)
    }

    fn changes(&self) -> u64 {
        ALLOCATOR.stats_page().list_changes()
    }

    fn again(&self) -> bool {
        self.scans.set(self.scans.get() + 1);
        self.scans.get() < SCANS && Linux::now().saturating_sub(self.since) < WAIT_NANOS
    }
}

/// Compares the statistics with Linux's figures for this process, and attributes every resident byte of the allocator's
/// mappings to a cause. Afterwards the metrics `/os/…` show the figures of Linux.
///
/// It reads `/proc/thread-self`. Returns an error if that is missing, or if the process has no stats page, where its
/// mappings are listed. Other threads keep running; [`Audit::moved`] grows with what they allocate meanwhile. The time is
/// proportional to the heap: `docs/decisions/0018-audit.md` has figures. Any thread may call it, but no signal handler.
/// Allocates nothing, and runs on the system stack.
pub fn audit() -> Result<Audit, OsError> {
    stand_back::<Linux>();
    on_system_stack(|| {
        let _inside = own_cache().map(|cache| cache.enter(|| ("an audit", 0)));
        if !ALLOCATOR.is_ready() || ALLOCATOR.stats_page_size() == 0 {
            return Err(OsError::Unsupported);
        }
        let process = Process::open(None, Linux.physical_page_size())?;
        let own = Own { since: Linux::now(), scans: Cell::new(0) };
        let found = audit_of(&process, &ALLOCATOR.offsets(), &own, &mut [Line::EMPTY; LINES])?;
        ALLOCATOR.note_os_figures(&figures(&found));
        Ok(found)
    })
}

fn figures(audit: &Audit) -> OsFigures {
    let (outside, known) = (&audit.outside, |value: Option<u64>| value.unwrap_or(OsFigures::UNKNOWN));
    OsFigures {
        taken_at: Linux::now(),
        rss: outside.process,
        pss: outside.proportional,
        huge: outside.huge,
        swapped: outside.swapped,
        lazily_freed: outside.lazily_freed,
        mappings: outside.mappings,
        cgroup_current: known(audit.group.current),
        cgroup_limit: known(audit.group.limit),
    }
}
