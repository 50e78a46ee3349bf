//! `crossfoot audit`: every resident byte of a process by its cause.

use kernel::audit::{self, Audit, Places, Range};
use kernel::os::Process;

use crate::args;
use crate::failure::Failure;
use crate::process::{Refusal, Target};
use crate::tables;

/// How often a process is audited again whose mappings were others afterwards.
const TRIES: usize = 4;

/// The form of an audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// A table with a sentence for each cause.
    Table,
    /// One JSON object.
    Json,
}

/// Prints an audit. Something unexplained in a process that kept still is a failure.
pub fn audit(arguments: &args::Audit) -> Result<(), Failure> {
    let pid = arguments.pid;
    let found = of(pid)?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match arguments.format {
        Format::Table => audit::write_table(&mut text, pid.unsigned_abs().into(), &found),
        Format::Json => audit::write_json(&mut text, pid.unsigned_abs().into(), &found),
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

fn of(pid: i32) -> Result<Audit, Failure> {
    let target = Target::find(pid).map_err(|refusal| refusal.failure(pid))?;
    let words = target.places();
    // It is starting, and has not said yet where things are.
    let unknown = if words[0] == 0 { Refusal::NotOurs } else { Refusal::Version };
    let places = Places::from_words(&words).ok_or_else(|| unknown.failure(pid))?;
    let refused = |error| {
        if Process::is_absence(error) {
            return Refusal::Gone.failure(pid);
        }
        if Process::is_denial(error) {
            let line = "its memory may not be read; run this as root or as its parent, or see crossfoot stat";
            return Failure::refused(format!("permission denied: process {pid}: {line} (ptrace_scope)"));
        }
        Failure::refused(format!("cannot read process {pid}: {error:?}"))
    };
    let process = Process::open(Some(pid.unsigned_abs()), places.physical_page as usize).map_err(refused)?;
    let (mut before, mut tries) = (ranges(&target)?, 0);
    loop {
        let mut found = audit::audit(&process, &places, |i| before.get(i).copied()).map_err(refused)?;
        let after = ranges(&target)?;
        tries += 1;
        if before == after {
            return Ok(found);
        }
        if tries == TRIES {
            let bytes = |ranges: &[Range]| ranges.iter().map(|range| (range.end - range.start) as u64).sum::<u64>();
            found.moved = found.moved.saturating_add(bytes(&before).abs_diff(bytes(&after)).max(1));
            return Ok(found);
        }
        before = after;
    }
}

/// What the process lists as the allocator's.
fn ranges(target: &Target) -> Result<Vec<Range>, Failure> {
    let pid = target.pid;
    let (mappings, unlisted) = target
        .mappings()
        .ok_or_else(|| Failure::refused(format!("the mappings of process {pid} change all the time")))?;
    if unlisted > 0 {
        return Err(Failure::refused(format!(
            "process {pid} has {unlisted} bytes of mappings more than its ledger lists"
        )));
    }
    Ok(mappings.iter().filter_map(Range::of).collect())
}
