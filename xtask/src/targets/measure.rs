//! Figures of a program: its size, and what its first object costs.

use std::path::Path;
use std::process::Command;

use super::{RUN_LIMIT, command, is_installed, limited};

/// Figures as they stand in the table, or why there is none.
#[derive(Default)]
pub struct Figures {
    pub text: String,
    pub rss: String,
    pub virt: String,
    pub calls: String,
}

impl Figures {
    /// Measures `program`, under an emulator if `start` names one.
    pub fn of(start: &[&str], program: &Path) -> Figures {
        let memory = if start.is_empty() { memory(program) } else { Err("emulated") };
        let shown = |kib: Result<usize, &str>| kib.map_or_else(str::to_string, |kib| kib.to_string());
        Figures {
            text: text(program).unwrap_or_else(|| "no readelf".to_string()),
            rss: shown(memory.map(|[rss, _]| rss)),
            virt: shown(memory.map(|[_, virt]| virt)),
            calls: shown(calls(start, program)),
        }
    }
}

/// Returns the size of the section `.text`.
fn text(program: &Path) -> Option<String> {
    let output = Command::new("readelf").arg("-SW").arg(program).output().ok()?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = table.lines().find_map(|line| line.split_once("] .text "))?.1;
    // Type, address, offset, size.
    let size = line.split_whitespace().nth(3)?;
    Some(usize::from_str_radix(size, 16).ok()?.to_string())
}

/// Returns resident and mapped KiB that the first object added.
fn memory(program: &Path) -> Result<[usize; 2], &'static str> {
    let (output, _) = limited(RUN_LIMIT, Command::new(program).arg("first")).map_err(|_| "not started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<usize> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Before: mapped and resident pages; behind: the same.
    let &[virt, rss, virt_behind, rss_behind] = numbers.as_slice() else { return Err("failed") };
    Ok([rss_behind - rss, virt_behind - virt].map(|pages| pages * 4))
}

/// Returns how many system calls the first object makes.
fn calls(start: &[&str], program: &Path) -> Result<usize, &'static str> {
    let count = |mode: &str| {
        let mut traced = match start {
            [] if !is_installed("strace") => return Err("no strace"),
            [] => {
                let mut traced = Command::new("strace");
                traced.arg(program);
                traced
            }
            [emulator, arguments @ ..] => {
                let mut words = vec![*emulator, "-strace"];
                words.extend(arguments);
                command(&words, program)
            }
        };
        let (output, _) = limited(RUN_LIMIT, traced.arg(mode)).map_err(|_| "not started")?;
        let lines = String::from_utf8_lossy(&output.stderr).into_owned();
        let count = lines.lines().filter(|line| line.contains('(')).count();
        if output.status.success() && count > 0 { Ok(count) } else { Err("failed") }
    };
    Ok(count("one")?.saturating_sub(count("none")?))
}

/// Returns the version of the running Linux.
pub fn kernel() -> String {
    let version = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version.trim().to_string()
}
