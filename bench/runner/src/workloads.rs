//! The rows of a comparison: patterns in each of their thread counts, then
//! whole programs.

use crate::{
    measure,
    options::Options,
    programs::{self, Program},
    workspace::Workspace,
};
use anyhow::{Context, Result, ensure};
use std::{collections::HashSet, path::Path, process::Command};

/// One row.
pub struct Row {
    /// Name of the pattern or program.
    pub name: String,
    /// Threads at work; 0 for a whole program, which decides by itself.
    pub threads: usize,
    /// What is run.
    pub work: Work,
}

/// What a row runs.
pub enum Work {
    /// A pattern of the `patterns` binary.
    Pattern,
    /// A whole program.
    Program(Program),
    /// A whole program that cannot be had, and why.
    Missing(String),
}

impl Row {
    /// The command of this row with the allocator in `object`, if any.
    pub fn command(&self, workspace: &Workspace, percent: u32, object: Option<&Path>) -> Option<Command> {
        match &self.work {
            Work::Missing(_) => None,
            Work::Program(program) => Some(program.command(object)),
            Work::Pattern => {
                let mut command = measure::command(&workspace.patterns(), object);
                command.args(["run", &self.name]);
                command.args([self.threads.to_string(), percent.to_string()]);
                Some(command)
            }
        }
    }
}

/// The rows that are wanted.
pub fn gather(workspace: &Workspace, options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for line in list(workspace)?.lines() {
        rows.extend(pattern_rows(line, options)?);
    }
    for candidate in programs::TABLE {
        if options.only.is_empty() || options.only.iter().any(|name| name == candidate.name) {
            let work = match (candidate.prepare)(workspace, options.percent()) {
                Ok(program) => Work::Program(program),
                Err(error) => Work::Missing(format!("{error:#}")),
            };
            rows.push(Row { name: candidate.name.to_owned(), threads: 0, work });
        }
    }
    let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for name in &options.only {
        ensure!(names.contains(name.as_str()), "no pattern or program is called {name}");
    }
    Ok(rows)
}

/// These patterns, or all, each with the fewest threads that it has.
pub fn smallest(workspace: &Workspace, only: &[String]) -> Result<Vec<Row>> {
    let table = list(workspace)?;
    let mut rows = Vec::new();
    for line in table.lines() {
        let mut fields = line.split('\t');
        let (name, counts) = (fields.next(), fields.next());
        let (name, counts) = name.zip(counts).context("the list of patterns is garbled")?;
        let fewest = counts.split(',').next().context("a pattern has no threads")?;
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            let threads = fewest.parse().context("the list of patterns is garbled")?;
            rows.push(Row { name: name.to_owned(), threads, work: Work::Pattern });
        }
    }
    for name in only {
        ensure!(rows.iter().any(|row| row.name == *name), "no pattern is called {name}");
    }
    Ok(rows)
}

/// The patterns' table: names, thread counts, quick thread counts.
fn list(workspace: &Workspace) -> Result<String> {
    let mut list = measure::command(&workspace.patterns(), None);
    list.arg("list");
    let (_, table) = measure::run(list).context("listing the patterns")?;
    Ok(table)
}

/// The rows of one line of the patterns' table: name, thread counts, quick
/// thread counts.
fn pattern_rows(line: &str, options: &Options) -> Result<Vec<Row>> {
    let mut fields = line.split('\t');
    let mut field = || fields.next().context("the list of patterns is garbled");
    let (name, all, quick) = (field()?, field()?, field()?);
    let wanted = options.only.is_empty() || options.only.iter().any(|only| only == name);
    if !wanted {
        return Ok(Vec::new());
    }
    let counts = if options.quick && options.only.is_empty() { quick } else { all };
    let counts = counts.split(',').filter(|count| !count.is_empty());
    counts
        .map(|count| {
            let threads = count.parse().context("the list of patterns is garbled")?;
            Ok(Row { name: name.to_owned(), threads, work: Work::Pattern })
        })
        .collect()
}
