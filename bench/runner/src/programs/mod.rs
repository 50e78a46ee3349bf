//! Whole programs as rows: interpreters, compilers, databases, a prover, version control.
//!
//! A program is prepared once, and for each allocator it is asked whether its calls of `malloc` really go there: a
//! program that brings its own allocator would otherwise be measured as a very good one.

mod compilers;
mod git;
mod interpreters;
mod linked;
mod redis;
mod sqlite;
mod z3;

use crate::{
    allocators::{self, Allocator},
    measure::{self, Beside, Sample},
    options::Options,
    workspace::Workspace,
};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A program with its arguments, ready to be run.
#[derive(Default)]
pub struct Program {
    binary: PathBuf,
    /// The name that it is called by, if not by its path.
    called: Option<&'static str>,
    arguments: Vec<String>,
    /// Arguments that make it do next to nothing.
    trifle: Vec<String>,
    environment: &'static [(&'static str, &'static str)],
    /// Whether it leaves the work to processes that it starts.
    is_family: bool,
    /// The allocator that the distribution links to it, if it is not the C library's.
    pub own: Option<&'static str>,
    /// What a server is asked to do.
    load: Option<Box<dyn Fn() -> Result<String> + Sync>>,
    /// Builds with an allocator linked in, by its name, or why there is none.
    builds: BTreeMap<String, Result<PathBuf, String>>,
}

/// A program that is to be measured: its name, and what finds and prepares it for what is wanted.
pub struct Candidate {
    /// The row's name.
    pub name: &'static str,
    /// Finds the program and writes its input.
    pub prepare: fn(&Workspace, &Options) -> Result<Program>,
}

const fn candidate(name: &'static str, prepare: fn(&Workspace, &Options) -> Result<Program>) -> Candidate {
    Candidate { name, prepare }
}

/// Every program that has a row. A new one is a function and a line here.
pub const TABLE: &[Candidate] = &[
    candidate("python3", interpreters::python),
    candidate("perl", interpreters::perl),
    candidate("gcc", compilers::gcc),
    candidate("g++", compilers::gpp),
    candidate("sqlite3", sqlite::sqlite),
    candidate("redis-server", redis::server),
    candidate("z3", z3::z3),
    candidate("git-repack", git::repack),
    candidate("linked-compiler", linked::compiler),
];

/// The name of a run with nothing preloaded, of a program that has an allocator of its own.
pub const AS_INSTALLED: &str = "as installed";

impl Program {
    /// One run with the allocator.
    pub fn run(&self, command: Command) -> Result<(Sample, String)> {
        let load = self.load.as_ref().map(|load| -> Beside<'_> { load });
        measure::run_beside(command, self.is_family, load)
    }

    /// The command that does the work with the allocator; an error if it cannot be had with it.
    pub fn command(&self, allocator: &Allocator) -> Result<Command> {
        self.with(&self.arguments, allocator)
    }

    /// The command with these arguments.
    fn with(&self, arguments: &[String], allocator: &Allocator) -> Result<Command> {
        let object = self.preloaded(allocator)?;
        let mut command = match self.builds.get(&allocator.name) {
            Some(Ok(build)) => measure::command(build, None),
            Some(Err(reason)) => return Err(anyhow!(reason.clone())),
            None => measure::command(&self.binary, object.as_deref()),
        };
        if let Some(name) = self.called {
            command.arg0(name);
        }
        command.args(arguments).envs(self.environment.iter().copied());
        Ok(command)
    }

    /// The object that is preloaded for the allocator.
    fn preloaded(&self, allocator: &Allocator) -> Result<Option<PathBuf>> {
        match &allocator.object {
            Some(object) => Ok(Some(object.clone())),
            // The C library's own functions come first if it is preloaded itself.
            None if self.own.is_some() && allocator.name != AS_INSTALLED => allocators::c_library().map(Some),
            None => Ok(None),
        }
    }

    /// What is unlike the other columns with this allocator.
    pub fn note(&self, allocator: &Allocator) -> Option<&'static str> {
        let is_build = self.builds.is_empty() || self.builds.contains_key(&allocator.name);
        (!is_build).then_some("preloaded to the build with the C library's, because no crate links it in")
    }

    /// Makes sure that the program's `malloc` is the allocator's.
    pub fn prove(&self, workspace: &Workspace, allocator: &Allocator) -> Result<()> {
        let Some(object) = self.preloaded(allocator)? else { return Ok(()) };
        if self.builds.contains_key(&allocator.name) {
            return Ok(());
        }
        let log = workspace.inputs()?.join("bindings");
        let mut command = self.with(&self.trifle, allocator)?;
        command.env("LD_DEBUG", "bindings").env("LD_DEBUG_OUTPUT", &log);
        let outcome = measure::run(command);
        let mut bound = false;
        for entry in fs::read_dir(workspace.inputs()?)? {
            let path = entry?.path();
            if path.with_extension("") == log {
                let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                bound |= binds_malloc(&text, &object);
                fs::remove_file(path)?;
            }
        }
        outcome.context("a first, empty run fails")?;
        ensure!(bound, "not active: malloc is bound elsewhere");
        Ok(())
    }
}

/// Whether the dynamic linker's log says that the program or one of its
/// libraries, other than the C library, got `malloc` from the object.
fn binds_malloc(log: &str, object: &Path) -> bool {
    let target = format!("{} [", object.display());
    log.lines().filter(|line| line.contains("symbol `malloc'")).any(|line| {
        let Some((caller, provider)) = line.split_once(" to ") else {
            return false;
        };
        provider.starts_with(&target) && !caller.contains(&target) && !caller.contains("libc.so")
    })
}

/// The path of a program in `PATH`.
fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").context("PATH is not set")?;
    let mut places = env::split_paths(&path).map(|directory| directory.join(name));
    let found = places.find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

/// A line of a program's output, run without any preloading.
fn ask(program: &Path, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = measure::command(program, None);
    command.args(arguments);
    let (_, output) = measure::run(command)?;
    let line = output.lines().next().context("it does not answer")?;
    Ok(PathBuf::from(line.trim()))
}

/// A number of rounds that this much work in percent means.
fn scaled(full: u32, percent: u32) -> String {
    (full * percent / 100).max(1).to_string()
}

/// A path as an argument.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
