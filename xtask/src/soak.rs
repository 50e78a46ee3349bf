//! The long tests, and docs/soak.md: a table with the last run of each.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, shown};
use crate::root;

/// The tests that run longer if `CROSSFOOT_SOAK` is set, and those of many threads.
const TESTS: [&str; 6] =
    ["core_objects", "core_signals", "core_snapshots", "core_threads", "process_lives", "process_stats_readers"];
/// The document.
const DOCUMENT: &str = "docs/soak.md";
/// The text above the table.
const HEAD: &str = "\
# Long runs

The last run of each long test, of each sanitizer and of each family of programs. `cargo xtask soak`, `cargo xtask
sanitize` and `cargo xtask programs` replace the rows of what they ran. Times depend on the other work of the machine.

| run | result | s | figures | command | where |
|---|---|---:|---|---|---|
";

/// The result of one run.
pub struct Row {
    /// Its name, as `soak/core_threads`: later runs of the name replace it.
    pub name: String,
    /// How it ended.
    pub result: String,
    /// How long it took.
    pub took: Duration,
    /// What it measured, a line each.
    pub figures: Vec<String>,
}

/// Returns the first line of a program's output, or `unknown`.
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// Writes the rows of `command` into the document.
pub fn record(command: &str, rows: &[Row]) -> Result<()> {
    let path = root().join(DOCUMENT);
    let place = [
        first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        format!("commit {}", first_line("git", &["describe", "--always", "--dirty", "--exclude=*"])),
        first_line("rustc", &["--version"]),
        first_line("uname", &["-srm"]),
    ];
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, document(&old, command, &place.join(", "), rows)).context(DOCUMENT)
}

/// Returns the document with the new rows in the place of those with the same names, sorted by name. Keeps the sections
/// below the table.
fn document(old: &str, command: &str, place: &str, rows: &[Row]) -> String {
    let name = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let rows_of_old = old.split("\n## ").next().unwrap_or_default();
    let mut table: BTreeMap<String, String> =
        rows_of_old.lines().filter_map(|line| Some((name(line)?, line.to_owned()))).collect();
    for row in rows {
        let figures = row.figures.iter().map(|line| line.trim().replace('|', "\\|")).collect::<Vec<_>>().join("<br>");
        let line =
            format!("| `{}` | {} | {} | {figures} | `{command}` | {place} |", row.name, row.result, row.took.as_secs());
        table.insert(row.name.clone(), line);
    }
    let sections = old.find("\n## ").and_then(|at| old.get(at..)).unwrap_or_default();
    table.values().fold(HEAD.to_owned(), |text, line| text + line + "\n") + sections
}

/// Returns the lines of a test binary's output that are figures.
fn figures(output: &str) -> Vec<String> {
    let is_figure = |line: &&str| {
        let of_harness = ["test ", "running ", "test result: "].iter().any(|start| line.starts_with(start));
        !of_harness && !line.is_empty() && *line != "failures:"
    };
    output.lines().filter(is_figure).map(str::to_owned).collect()
}

/// Returns the counts of a test binary's output: `11 passed; 0 failed`.
fn counts(output: &str) -> Option<String> {
    let (_, counts) = output.lines().rev().find_map(|line| line.strip_prefix("test result: "))?.split_once(". ")?;
    Some(counts.split("; ").take(2).collect::<Vec<_>>().join("; "))
}

/// Runs the long tests and writes their rows, also if some fail.
pub fn run() -> Result<()> {
    let mut build = cargo(root(), &["test", "--release", "--package", "crossfoot", "--no-run"]);
    build.args(TESTS.iter().flat_map(|name| ["--test", name]));
    crate::cargo::done(build)?;
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for name in TESTS {
        let mut test = cargo(root(), &["test", "--release", "--package", "crossfoot", "--test", name]);
        test.args(["--", "--nocapture"]).env("CROSSFOOT_SOAK", "1");
        eprintln!("xtask: CROSSFOOT_SOAK=1 {}", shown(&test));
        let start = Instant::now();
        let output = test.output().with_context(|| format!("cannot start {}", shown(&test)))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let result = counts(&printed).unwrap_or_else(|| output.status.to_string());
        println!("{name}: {result} after {} s", start.elapsed().as_secs());
        if !output.status.success() {
            println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
            failed.push(name);
        }
        let name = format!("soak/{name}");
        rows.push(Row { name, result, took: start.elapsed(), figures: figures(&printed) });
    }
    record("cargo xtask soak", &rows)?;
    ensure!(failed.is_empty(), "failed: {}", failed.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 2 tests\ntest a ... ok\n64 threads: 5 snapshots | 0 stale\ntest b ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n\n";

    fn row(name: &str, seconds: u64) -> Row {
        let (result, figures) = (counts(OUTPUT).unwrap(), figures(OUTPUT));
        Row { name: name.to_owned(), result, took: Duration::from_secs(seconds), figures }
    }

    #[test]
    fn a_run_replaces_its_own_rows_only() {
        let first = document("", "cargo xtask soak", "here", &[row("soak/b", 1), row("soak/a", 2)]);
        let old = first + "\n## Suites\n\n| `a` | b |\n";
        let second = document(&old, "cargo xtask soak", "there", &[row("soak/b", 3)]);
        let (table, sections) = second.strip_prefix(HEAD).unwrap().split_once("\n\n").unwrap();
        assert_eq!(sections, "## Suites\n\n| `a` | b |\n");
        let rows: Vec<&str> = table.lines().collect();
        let figures = "2 passed; 0 failed | {} | 64 threads: 5 snapshots \\| 0 stale | `cargo xtask soak`";
        assert_eq!(
            rows,
            [
                format!("| `soak/a` | {} | here |", figures.replace("{}", "2")),
                format!("| `soak/b` | {} | there |", figures.replace("{}", "3")),
            ]
        );
    }
}
