//! Long runs, and their diary.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, shown};
use crate::root;

/// The tests that run longer when `CROSSFOOT_SOAK` is set.
const TESTS: [&str; 5] = ["core_threads", "core_objects", "core_snapshots", "ledger", "process_lives"];
/// Where the diary is.
const DIARY: &str = "docs/soak.md";
/// What stands at the top of a new diary.
const HEAD: &str =
    "# Long runs\n\nWhat `cargo xtask soak` and `cargo xtask programs` printed, run by run. They append here.\n";

/// The first line of what a program prints, or `unknown`.
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// An entry of the diary: when and on what, how it ended after how long, by which command, and what that printed.
pub fn entry(outcome: &str, took: Duration, command: &str, printed: &str) -> String {
    format!(
        "\n## {}\n\nCommit {}, {}, {}; {outcome} after {} s: `{command}`\n\n```\n{printed}```\n",
        first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        first_line("git", &["describe", "--always", "--dirty"]),
        first_line("rustc", &["--version"]),
        first_line("uname", &["-srm"]),
        took.as_secs(),
    )
}

/// Runs the tests and appends what they print, also when they fail.
pub fn run() -> Result<()> {
    let mut test = cargo(root(), &["test", "--release", "--package", "crossfoot"]);
    test.args(TESTS.iter().flat_map(|name| ["--test", name])).args(["--", "--nocapture"]);
    test.env("CROSSFOOT_SOAK", "1");
    let name = shown(&test);
    eprintln!("xtask: CROSSFOOT_SOAK=1 {name}");
    let start = Instant::now();
    let output = test.output().with_context(|| format!("cannot start {name}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let entry = entry(&output.status.to_string(), start.elapsed(), &format!("CROSSFOOT_SOAK=1 {name}"), &printed);
    append(&entry)?;
    print!("{entry}");
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}\n{errors}", output.status);
    Ok(())
}

/// Adds an entry to the end of the diary.
pub fn append(entry: &str) -> Result<()> {
    let path = root().join(DIARY);
    let fresh = !path.exists();
    let mut diary = OpenOptions::new().create(true).append(true).open(&path).context(DIARY)?;
    let head = if fresh { HEAD } else { "" };
    diary.write_all(format!("{head}{entry}").as_bytes()).context(DIARY)
}
