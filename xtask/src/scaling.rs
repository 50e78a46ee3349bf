//! Builds the model of many threads in `tests/targets/scaling`, instrumented so that it sees every access to memory,
//! and runs it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cargo::{cargo, done, shown};
use crate::root;
use crate::soak::first_line;

/// With a named target, cargo passes the flags neither to build scripts nor to macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The document, and the line below which the model writes all text.
const DOCUMENT: &str = "docs/scaling.md";
const BELOW: &str = "<!-- Below: cargo xtask scaling --write -->\n";

/// Arguments of the model.
#[derive(Args)]
pub struct Wanted {
    /// Write the tables into docs/scaling.md.
    #[arg(long)]
    write: bool,
    /// One pattern only, by its name.
    #[arg(long)]
    only: Option<String>,
    /// Numbers of threads, separated by commas; 1,2,8,64,256.
    #[arg(long)]
    threads: Option<String>,
    /// Also print this many words of memory that moved most in each run, and the functions that touched them
    #[arg(long)]
    top: Option<usize>,
}

/// Builds the model and returns the path of its program.
fn build(folder: &Path) -> Result<PathBuf> {
    let target = root().join("target/scaling");
    let flags = std::fs::read_to_string(folder.join("flags.txt")).context("tests/targets/scaling/flags.txt")?;
    let mut command = cargo(folder, &["build", "--release", "--locked", "--target", TARGET]);
    command.arg("--target-dir").arg(&target);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("RUSTFLAGS", flags.split_whitespace().collect::<Vec<_>>().join(" "));
    done(command)?;
    Ok(target.join(TARGET).join("release/scaling"))
}

/// Runs the model. Prints its tables, or writes them into the document.
pub fn run(wanted: &Wanted) -> Result<()> {
    ensure!(!wanted.write || wanted.only.is_none() && wanted.threads.is_none(), "the document has all of it");
    let program = build(&root().join("tests/targets/scaling"))?;
    let mut model = std::process::Command::new(program);
    model.args(wanted.only.iter().flat_map(|name| ["--only", name]));
    model.args(wanted.threads.iter().flat_map(|threads| ["--threads", threads]));
    model.args(wanted.top.map(|top| format!("--top={top}")));
    let name = shown(&model);
    eprintln!("xtask: {name}");
    let start = Instant::now();
    let output = model.output().with_context(|| format!("cannot start {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}\n{errors}", output.status);
    let tables = String::from_utf8_lossy(&output.stdout);
    eprintln!("xtask: {} s", start.elapsed().as_secs());
    if !wanted.write {
        print!("{tables}");
        return Ok(());
    }
    let path = root().join(DOCUMENT);
    let old = std::fs::read_to_string(&path).context(DOCUMENT)?;
    let (head, _) = old.split_once(BELOW).with_context(|| format!("{DOCUMENT} has no line {BELOW}"))?;
    let made = format!(
        "\n## The tables\n\nOf {}, commit {}, {}.\n",
        first_line("date", &["-u", "+%Y-%m-%d"]),
        first_line("git", &["describe", "--always", "--dirty", "--exclude=*"]),
        first_line("rustc", &["--version"]),
    );
    std::fs::write(&path, format!("{head}{BELOW}{made}{tables}")).context(DOCUMENT)
}
