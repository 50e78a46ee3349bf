//! How long threads waited for Crossfoot's locks: its own metrics, of a run that is not timed.

use crate::{allocators::Allocator, workloads::Row, workspace::Workspace};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The allocator that has these metrics.
pub const KNOWS: &str = "crossfoot";

/// What a process, or all processes of a program together, say at their exit.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Locks {
    /// Acquisitions of a lock that another thread held.
    pub contended: u64,
    /// Nanoseconds that threads waited for locks.
    pub nanoseconds: u64,
}

/// Runs the row once more, with a report at exit.
pub fn read(workspace: &Workspace, percent: u32, row: &Row, allocator: &Allocator) -> Result<Locks> {
    let path = workspace.inputs()?.join("locks");
    let is_report = |found: &Path| found.with_extension("") == path;
    remove(workspace, is_report)?;
    let mut command = row.command(workspace, percent, allocator)?;
    // No process has the number 1 here, so that each has a file of its own.
    command.env("CROSSFOOT", format!("exit_report:{},exit_format:json,exit_pid:1", path.display()));
    row.run(command)?;
    let mut total = Locks::default();
    let reports = remove(workspace, is_report)?;
    ensure!(!reports.is_empty(), "no process reported");
    for report in reports {
        let found = Locks::read(&report)?;
        total.contended += found.contended;
        total.nanoseconds += found.nanoseconds;
    }
    Ok(total)
}

impl Locks {
    /// Reads a report.
    fn read(report: &str) -> Result<Self> {
        let report: Value = serde_json::from_str(report).context("a report is garbled")?;
        let number = |name: &str| report[name].as_u64().with_context(|| format!("a report without {name}"));
        Ok(Locks { contended: number("/lock/contended:acquisitions")?, nanoseconds: number("/lock/wait:nanoseconds")? })
    }
}

/// Reads and removes the files that are reports.
fn remove(workspace: &Workspace, is_report: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let entries = fs::read_dir(workspace.inputs()?)?;
    let paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    for path in paths.into_iter().filter(|path| is_report(path)) {
        texts.push(fs::read_to_string(&path)?);
        fs::remove_file(&path)?;
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_one_without_the_metrics_is_not() {
        let report = r#"{"/lock/contended:acquisitions": 3, "/lock/wait:nanoseconds": 1200, "crossfoot": "balanced"}"#;
        assert_eq!(Locks::read(report).expect("it is whole"), Locks { contended: 3, nanoseconds: 1200 });
        assert!(Locks::read(r#"{"/lock/contended:acquisitions": 3}"#).is_err());
        assert!(Locks::read("").is_err());
    }
}
