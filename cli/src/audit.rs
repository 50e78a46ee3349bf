//! `crossfoot audit`: every resident byte of a process by its cause.

use kernel::audit::{self, Audit, Places, Range};
use kernel::os::Process;

use crate::args;
use crate::failure::Failure;
use crate::process::{Refusal, Target};
use crate::tables;

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
        let line = format!(
            "the audit of process {pid} leaves {} bytes unexplained, or its accounts are wrong",
            found.unexplained
        );
        return Err(Failure { status: Failure::UNBALANCED, line });
    }
    Ok(())
}

fn of(pid: i32) -> Result<Audit, Failure> {
    let target = Target::find(pid).map_err(|refusal| refusal.failure(pid))?;
    let places = Places::from_words(&target.places()).ok_or_else(|| Refusal::Version.failure(pid))?;
    let (mappings, unlisted) = target
        .mappings()
        .ok_or_else(|| Failure::refused(format!("the mappings of process {pid} change all the time")))?;
    if unlisted > 0 {
        return Err(Failure::refused(format!(
            "process {pid} has {unlisted} bytes of mappings more than its ledger lists"
        )));
    }
    let ranges: Vec<Range> = mappings.iter().filter_map(Range::of).collect();
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
    audit::audit(&process, &places, |i| ranges.get(i).copied()).map_err(refused)
}
