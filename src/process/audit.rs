//! The process's own audit.

use core::cell::Cell;

use super::{ALLOCATOR, stack};
use crate::audit::{Audit, Line, Range, Request, audit as audit_of};
use crate::cache::Cache;
use crate::local;
use crate::lock::stand_back;
use crate::metrics::OsFigures;
use crate::os::{Linux, Os, OsError, Platform, Process};

/// How long a process that moves is looked at again and again, in nanoseconds, and how often at the most.
const WAIT_NANOS: u64 = 1_000_000_000;
const SCANS: u32 = 8;
/// How many lines of memory are kept: they lie on the system stack.
const LINES: usize = 2;

/// The process's own ranges, by its ledger.
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

/// Lays the books beside what the system says of this process, and names every resident byte of the allocator's mappings
/// by its cause. What only the system knows is there for readers of metrics from then on (`/os/…`).
///
/// It reads `/proc/thread-self`: an error says that there is none, or that the process has no ledger page, in which its mappings
/// are listed. Other threads go on; the more they allocate meanwhile, the further [`Audit::moved`] says that they moved.
/// It takes time in proportion to the heap: `docs/decisions/0018-audit.md` has figures. Any thread may call it, but no signal handler.
/// Allocates nothing, and runs on the system stack.
pub fn audit() -> Result<Audit, OsError> {
    stand_back::<Linux>();
    stack::on_system_stack(|| {
        // SAFETY: it is null or this thread's cache.
        let cache = unsafe { local::cache::<Cache>().as_ref() };
        let _inside = cache.map(|cache| cache.enter(|| ("an audit", 0)));
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
