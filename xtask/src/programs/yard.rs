//! The folder in which a family runs, readable by every user, with the two sides and the reports of Crossfoot's side.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::Findings;
use crate::root;

/// The verdict of a process that exited in a signal handler inside the allocator: only the last snapshot can be read.
/// Tests that fork in a signal handler have it.
const INTERRUPTED: &str = "the process exited inside the allocator";
/// The largest number of lines of one kind that are printed.
const SHOWN: usize = 20;

/// A scratch folder with a copy of the shared object. Dropping it removes the folder unless it is kept.
pub struct Yard {
    folder: PathBuf,
    kept: bool,
}

impl Yard {
    /// The folder is in the OS's temporary folder: servers drop root's rights, and could not reach a target folder
    /// below a home directory.
    pub fn new(family: &str) -> Result<Yard> {
        let folder = std::env::temp_dir().join(format!("crossfoot-{family}-{}", std::process::id()));
        let yard = Yard { folder: folder.clone(), kept: false };
        make_folder(&folder, 0o755)?;
        let object = target().join("release/libcrossfoot.so");
        fs::copy(&object, yard.object()).with_context(|| object.display().to_string())?;
        fs::set_permissions(yard.object(), fs::Permissions::from_mode(0o644))?;
        Ok(yard)
    }

    fn object(&self) -> PathBuf {
        self.folder.join("libcrossfoot.so")
    }

    /// Returns both sides of a run: without Crossfoot, and on it. Their folders are new, and every user may write
    /// there.
    pub fn sides(&self, run: &str) -> Result<[Side; 2]> {
        let side = |name: &str, object| -> Result<Side> {
            let folder = self.folder.join(format!("{run}-{name}"));
            let side = Side { folder, object };
            for folder in [&side.folder, &side.reports_folder(), &side.folder.join("home")] {
                make_folder(folder, 0o1777)?;
            }
            Ok(side)
        };
        Ok([side("plain", None)?, side("crossfoot", Some(self.object()))?])
    }

    /// Keeps the folder, and returns its path.
    pub fn keep(&mut self) -> &Path {
        self.kept = true;
        &self.folder
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Makes an empty folder with this mode, whatever the umask is.
pub fn make_folder(folder: &Path, mode: u32) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).with_context(|| folder.display().to_string())
}

/// Returns cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// One side of a run: without Crossfoot, or on it.
pub struct Side {
    /// Its folder.
    pub folder: PathBuf,
    object: Option<PathBuf>,
}

impl Side {
    /// It is Crossfoot's side.
    pub fn ours(&self) -> bool {
        self.object.is_some()
    }

    /// Returns the name of the side in messages.
    pub fn name(&self) -> &'static str {
        if self.ours() { "on Crossfoot" } else { "without" }
    }

    /// Returns the base path of the output of a run. No earlier run has it.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let path = |run: u32| self.folder.join(format!("{name}-{run}"));
        path((1..).find(|&run| !path(run).with_extension("out").exists()).unwrap_or(0))
    }

    /// Writes a file in the folder, readable by every user whatever the umask is.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).with_context(|| file.display().to_string())
    }

    fn reports_folder(&self) -> PathBuf {
        self.folder.join("reports")
    }

    /// Returns a command for a program on this side, in its folder.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = neutral(program);
        command.current_dir(&self.folder).env("HOME", self.folder.join("home"));
        if let Some(object) = &self.object {
            let report = self.reports_folder().join("R");
            // No process of a family has pid 1, so each writes a report of its own.
            let options = format!("check:on,exit_report:{},exit_format:json,exit_pid:1", report.display());
            command.env("LD_PRELOAD", object).env("CROSSFOOT", options);
        }
        command
    }

    /// Reads the reports, and notes in `findings` their number and their errors: each must balance, and their sum must
    /// count at least `bound` allocations, or the program did not run on Crossfoot.
    pub fn reports(&self, findings: &mut Findings, bound: u64) -> Result<Reports> {
        let mut reports = Reports::default();
        if !self.ours() {
            return Ok(reports);
        }
        let mut wrong = Vec::new();
        for entry in fs::read_dir(self.reports_folder())? {
            let path = entry?.path();
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            // A process can be killed while it writes its report.
            let Ok(report) = serde_json::from_str::<Map<String, Value>>(&text) else {
                reports.cut_short += 1;
                continue;
            };
            match report.get("crossfoot").and_then(Value::as_str) {
                Some("balanced") => {}
                Some(verdict) if verdict.contains(INTERRUPTED) => reports.interrupted += 1,
                verdict => wrong.push(format!("not balanced: {}: {}", path.display(), verdict.unwrap_or("no verdict"))),
            }
            reports.all.push(report);
        }
        let unbalanced = wrong.len();
        wrong.into_iter().take(SHOWN).for_each(|line| findings.fail(line));
        if unbalanced > SHOWN {
            findings.fail(format!("{unbalanced} reports in all are not balanced"));
        }
        let (count, made) = (reports.all.len(), reports.sum("/gc/heap/allocs:objects"));
        let balanced = count - unbalanced - reports.interrupted;
        let balanced = if balanced == count { "each balanced".to_owned() } else { format!("{balanced} balanced") };
        findings.see(format!("{count} processes reported, {balanced}; {made} allocations"));
        if reports.interrupted > 0 {
            let count = reports.interrupted;
            findings.see(format!("{count} reports are of a signal handler's exit inside the allocator: not checked"));
        }
        if reports.cut_short > 0 {
            findings.see(format!("{} reports were cut short", reports.cut_short));
        }
        if made < bound {
            findings.fail(format!("{made} allocations, but the programs must make {bound}: not on Crossfoot"));
        }
        Ok(reports)
    }

    /// Searches the output of the programs for lines of Crossfoot.
    pub fn said(&self, text: &str, findings: &mut Findings) {
        let ours = text.lines().filter(|line| line.contains("crossfoot:") && !line.contains(INTERRUPTED));
        for line in ours.take(SHOWN) {
            findings.fail(format!("{}: {line}", self.name()));
        }
    }
}

/// Returns a command without settings of this machine, this user or cargo, and without Crossfoot.
pub fn neutral(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("LC_ALL", "C").env("PATH", path);
    command
}

/// The reports of one side.
#[derive(Default)]
pub struct Reports {
    /// The metrics of each process.
    pub all: Vec<Map<String, Value>>,
    /// Reports that are not JSON.
    cut_short: usize,
    /// Reports of processes that exited in a signal handler inside the allocator.
    interrupted: usize,
}

impl Reports {
    /// Returns the sum of a metric over all processes.
    pub fn sum(&self, metric: &str) -> u64 {
        self.all.iter().filter_map(|report| report.get(metric)?.as_u64()).sum()
    }

    /// Returns a metric of the process with the most allocations: the server, if there is one.
    pub fn busiest(&self, metric: &str) -> Option<u64> {
        let made = |report: &&Map<String, Value>| report.get("/gc/heap/allocs:objects").and_then(Value::as_u64);
        self.all.iter().max_by_key(made)?.get(metric)?.as_u64()
    }
}

/// Returns the full path of a program in `PATH` or in `sbin`, which is not in a user's `PATH`.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Returns the content of a file of a side as text.
pub fn text_of(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns whether this process runs as root. Some servers refuse to.
pub fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot start id")?;
    ensure!(output.status.success(), "id: {}", output.status);
    Ok(output.stdout.trim_ascii() == b"0")
}

/// Returns two sides that run nothing.
#[cfg(test)]
pub fn idle_sides() -> [Side; 2] {
    [None, Some(PathBuf::new())].map(|object| Side { folder: PathBuf::new(), object })
}
