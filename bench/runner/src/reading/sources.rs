//! The programs that read statistics: built or found.

use crate::{
    allocators::{absolute, crossfoot_version, installed},
    measure,
    workspace::Workspace,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Crossfoot's name among [`KNOWN`].
pub const CROSSFOOT: &str = "crossfoot";

/// Everything whose statistics can be read, in the order of the table.
pub const KNOWN: &[&str] = &[CROSSFOOT, "go", "jemalloc", "mimalloc", "glibc"];

/// File names of Debian's libjemalloc2 and libmimalloc2.0.
const JEMALLOC: &[&str] = &["libjemalloc.so.2"];
const MIMALLOC: &[&str] = &["libmimalloc.so.2.0", "libmimalloc.so.2"];

/// Settings that must not leak in from the caller's shell.
const SETTINGS: &[&str] = &["CROSSFOOT", "GOMAXPROCS", "GOGC", "GODEBUG", "GOMEMLIMIT", "MIMALLOC_VERBOSE"];

/// A program that reads the statistics of one allocator.
#[derive(Debug)]
pub struct Source {
    /// The version, if it is known before the program runs.
    pub version: String,
    program: PathBuf,
    /// What says which allocator is meant.
    arguments: Vec<String>,
    /// The shared object that is preloaded, if any.
    object: Option<PathBuf>,
}

impl Source {
    /// A run of the program.
    pub fn command(&self) -> Command {
        let mut command = clean(&self.program, self.object.as_deref());
        command.args(&self.arguments);
        command
    }
}

fn clean(program: &Path, object: Option<&Path>) -> Command {
    let mut command = measure::command(program, object);
    for name in SETTINGS {
        command.env_remove(name);
    }
    command
}

/// Builds or finds the program of this name.
pub fn locate(workspace: &Workspace, name: &str) -> Result<Source> {
    match name {
        CROSSFOOT => {
            workspace.build("readers-crossfoot")?;
            let program = workspace.release.join("readers-crossfoot");
            let version = crossfoot_version(workspace).unwrap_or_default();
            Ok(Source { version, program, arguments: vec!["table".to_owned()], object: None })
        }
        "go" => go(workspace),
        "jemalloc" => preloaded(workspace, name, JEMALLOC, "libjemalloc2"),
        "mimalloc" => preloaded(workspace, name, MIMALLOC, "libmimalloc2.0"),
        "glibc" => malloc(workspace, name, None),
        other => bail!("nothing is called {other}"),
    }
}

/// The program that measures what a reader costs.
pub fn cost(workspace: &Workspace) -> Command {
    let mut command = clean(&workspace.release.join("readers-crossfoot"), None);
    command.arg("cost");
    command
}

fn preloaded(workspace: &Workspace, name: &str, files: &[&str], package: &str) -> Result<Source> {
    let missing = || format!("{} is not installed (Debian: {package})", files[0]);
    let object = installed(files).with_context(missing)?;
    malloc(workspace, name, Some(absolute(&object)?))
}

/// The program that reads whatever stands behind the C functions.
fn malloc(workspace: &Workspace, name: &str, object: Option<PathBuf>) -> Result<Source> {
    workspace.build("readers")?;
    let program = workspace.release.join("readers-malloc");
    Ok(Source { version: String::new(), program, arguments: vec![name.to_owned()], object })
}

/// The Go program; it needs nothing but the standard library.
fn go(workspace: &Workspace) -> Result<Source> {
    eprintln!("building readers-go");
    let version = said(Command::new("go").arg("version")).context("go is not installed (Debian: golang-go)")?;
    let program = workspace.release.join("readers-go");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&program).arg(".");
    build.current_dir(workspace.root.join("readers/go"));
    // Nothing is fetched, neither packages nor another compiler.
    build.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GO111MODULE", "on").env_remove("GOFLAGS");
    said(&mut build).context("readers-go does not build")?;
    Ok(Source { version, program, arguments: Vec::new(), object: None })
}

/// What a command prints, if it succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", complaint.lines().last().unwrap_or("no error given"));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
