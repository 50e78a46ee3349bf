//! `crossfoot audit`: prints every resident byte of a process by its cause.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crossfoot::audit::{self, Audit, Line, Offsets, Range, Request};
use crossfoot::os::{OsError, Process};

use crate::args::{self, AuditFormat};
use crate::failure::Failure;
use crate::process::{self, Refusal, Target};
use crate::tables;

/// The cache of the process's memory, in lines of 4 KiB.
const LINES: usize = 32;
/// The pauses before a process that moved is read again: each is twice the one before, from the first value up to the
/// second.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// The time that the first pass may take beyond `--within`: without a complete pass there is nothing to print.
const ONE_LOOK: Duration = Duration::from_secs(30);

/// Prints an audit. Fails if a process that kept still has unexplained bytes, or accounts that differ from its pages.
pub fn audit(arguments: &args::Audit) -> Result<(), Failure> {
    let pid = arguments.pid;
    let found = of(pid, Duration::from_secs_f64(arguments.within))?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match arguments.format {
        AuditFormat::Table => audit::write_table(&mut text, pid.unsigned_abs().into(), &found),
        AuditFormat::Json => audit::write_json(&mut text, pid.unsigned_abs().into(), &found),
    };
    tables::print(&text)?;
    if found.moved == 0 && !found.is_balanced() {
        let wrong = found.comparisons.iter().filter(|c| c.account_bytes != c.walked);
        let wrong: Vec<&str> = wrong.map(|c| c.account.name()).collect();
        let line = match wrong.as_slice() {
            [] => format!("the audit of process {pid} leaves {} bytes unexplained", found.unexplained),
            wrong => format!("accounts of process {pid} are not what its pages say: {}", wrong.join(", ")),
        };
        return Err(Failure { status: Failure::UNBALANCED, line });
    }
    Ok(())
}

/// Audits a process. Passes over a process that moves are repeated until `within` has passed.
fn of(pid: i32, within: Duration) -> Result<Audit, Failure> {
    let target = Target::find(pid).map_err(|refusal| refusal.failure(pid))?;
    let words = target.offsets();
    // A process that is starting has not written its offsets yet.
    let unknown = if words[0] == 0 { Refusal::NotOurs } else { Refusal::Version };
    let offsets = Offsets::from_words(&words).ok_or_else(|| unknown.failure(pid))?;
    let refused = |error| {
        if Process::is_absence(error) {
            return Refusal::Gone.failure(pid);
        }
        if Process::is_denial(error) {
            let line = "its memory may not be read; run this as root or as its parent, or see crossfoot stat";
            return Failure::refused(format!("permission denied: process {pid}: {line} (ptrace_scope)"));
        }
        if error == audit::OVER {
            let seconds = (within + ONE_LOOK).as_secs_f64();
            let line = "give more time by --within, or run this with a higher priority";
            return Failure::refused(format!("process {pid} could not be audited in {seconds} seconds: {line}"));
        }
        if Process::is_torn(error) {
            return Failure::refused(format!(
                "process {pid} has no allocator where its stats page says: it is another program by now, or was \
                 overwritten"
            ));
        }
        Failure::refused(format!("cannot read process {pid}: {error:?}"))
    };
    let (changes, first) = (target.list_changes(), ranges(&target)?);
    let listed = Listed {
        target: &target,
        changes: Cell::new(changes),
        ranges: RefCell::new(first),
        since: Instant::now(),
        within,
        pause: Cell::new(PAUSES[0]),
    };
    let mut lines = vec![Line::EMPTY; LINES];
    let mut through = || {
        let thread = process::readable(pid).unsigned_abs();
        let process = Process::open(Some(thread), offsets.physical_page as usize)?;
        audit::audit(&process, &offsets, &listed, &mut lines)
    };
    // The thread that the process is read through may exit during the audit while the process runs on.
    let is_over = |found: &Result<Audit, OsError>| {
        !found.as_ref().is_err_and(|&error| Process::is_absence(error)) || process::has_ended(pid)
    };
    let mut found = through();
    for _ in 1..process::TRIES {
        if is_over(&found) {
            break;
        }
        found = through();
    }
    found.map_err(refused)
}

/// The mappings that a process last listed as the allocator's.
struct Listed<'a> {
    target: &'a Target,
    /// The list's count of changes before the list was read.
    changes: Cell<u64>,
    ranges: RefCell<Vec<Range>>,
    since: Instant,
    within: Duration,
    pause: Cell<Duration>,
}

impl Request for Listed<'_> {
    fn range(&self, i: usize) -> Option<Range> {
        self.ranges.borrow().get(i).copied()
    }

    /// Reads the list again if it has changed. Keeps the last list if that fails, as it does while the list changes all
    /// the time.
    fn changes(&self) -> u64 {
        let changes = self.target.list_changes();
        if changes != self.changes.get()
            && let Ok(ranges) = ranges(self.target)
        {
            self.changes.set(changes);
            self.ranges.replace(ranges);
        }
        changes
    }

    fn again(&self) -> bool {
        let pause = self.pause.get();
        if self.since.elapsed() + pause >= self.within {
            return false;
        }
        std::thread::sleep(pause);
        self.pause.set(PAUSES[1].min(pause * 2));
        true
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() > self.within + ONE_LOOK
    }
}

/// Returns the mappings that the process lists as the allocator's.
fn ranges(target: &Target) -> Result<Vec<Range>, Failure> {
    let pid = target.pid;
    let (mappings, unlisted) = target
        .mappings()
        .ok_or_else(|| Failure::refused(format!("the mappings of process {pid} change all the time")))?;
    if unlisted > 0 {
        return Err(Failure::refused(format!(
            "process {pid} has {unlisted} bytes of mappings that its stats page does not list"
        )));
    }
    Ok(mappings.iter().filter_map(Range::of).collect())
}
