//! The rows of a comparison: patterns in each of their thread counts, then
//! whole programs.

use crate::{
    allocators::Allocator,
    measure::{self, Sample},
    options::Options,
    programs::{self, Program},
    workspace::Workspace,
};
use anyhow::{Context, Result, bail, ensure};
use std::{collections::HashSet, process::Command};

/// The kind of row that whole programs are.
const PROGRAMS: &str = "whole programs";

/// One row.
pub struct Row {
    /// Name of the pattern or program.
    pub name: String,
    /// Threads at work; 0 for a whole program, which decides by itself.
    pub threads: usize,
    /// The kind of row, which has a mean of its own.
    pub group: String,
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
    /// The command of this row with the allocator; an error if it cannot be had with it.
    pub fn command(&self, workspace: &Workspace, percent: u32, allocator: &Allocator) -> Result<Command> {
        match &self.work {
            Work::Missing(reason) => bail!(reason.clone()),
            Work::Program(program) => program.command(allocator),
            Work::Pattern => {
                let mut command = measure::command(&workspace.patterns(), allocator.object.as_deref());
                command.args(["run", &self.name]);
                command.args([self.threads.to_string(), percent.to_string()]);
                Ok(command)
            }
        }
    }

    /// One run of such a command.
    pub fn run(&self, command: Command) -> Result<(Sample, String)> {
        match &self.work {
            Work::Program(program) => program.run(command),
            _ => measure::run(command),
        }
    }
}

/// The rows that are wanted.
pub fn gather(workspace: &Workspace, options: &Options) -> Result<Vec<Row>> {
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let mut rows = Vec::new();
    for pattern in list(workspace)?.into_iter().filter(|pattern| is_wanted(&pattern.name)) {
        let quick = options.quick && options.only.is_empty();
        let counts = if quick { &pattern.quick } else { &pattern.threads };
        rows.extend(counts.iter().map(|threads| pattern.row(*threads)));
    }
    for candidate in programs::TABLE.iter().filter(|candidate| is_wanted(candidate.name)) {
        let work = match (candidate.prepare)(workspace, options) {
            Ok(program) => Work::Program(program),
            Err(error) => Work::Missing(format!("{error:#}")),
        };
        rows.push(Row { name: candidate.name.to_owned(), threads: 0, group: PROGRAMS.to_owned(), work });
    }
    let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for name in &options.only {
        ensure!(names.contains(name.as_str()), "no pattern or program is called {name}");
    }
    Ok(rows)
}

/// These patterns, or all, each with the fewest threads that it has.
pub fn smallest(workspace: &Workspace, only: &[String]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for pattern in list(workspace)? {
        let fewest = *pattern.threads.first().context("a pattern has no threads")?;
        if only.is_empty() || only.contains(&pattern.name) {
            rows.push(pattern.row(fewest));
        }
    }
    for name in only {
        ensure!(rows.iter().any(|row| row.name == *name), "no pattern is called {name}");
    }
    Ok(rows)
}

/// A line of the patterns' table.
#[derive(Debug, PartialEq)]
struct Pattern {
    name: String,
    /// Thread counts in full mode.
    threads: Vec<usize>,
    /// Thread counts in quick mode.
    quick: Vec<usize>,
    group: String,
}

impl Pattern {
    /// Its row with so many threads.
    fn row(&self, threads: usize) -> Row {
        Row { name: self.name.clone(), threads, group: self.group.clone(), work: Work::Pattern }
    }

    /// Reads a line: name, thread counts, quick thread counts, group.
    fn read(line: &str) -> Option<Self> {
        let counts = |text: &str| -> Option<Vec<usize>> {
            text.split(',').filter(|count| !count.is_empty()).map(|count| count.parse().ok()).collect()
        };
        let mut fields = line.split('\t');
        let (name, threads) = (fields.next()?.to_owned(), counts(fields.next()?)?);
        let (quick, group) = (counts(fields.next()?)?, fields.next()?.to_owned());
        Some(Pattern { name, threads, quick, group })
    }
}

/// The patterns' table, as their binary prints it.
fn list(workspace: &Workspace) -> Result<Vec<Pattern>> {
    let mut list = measure::command(&workspace.patterns(), None);
    list.arg("list");
    let (_, table) = measure::run(list).context("listing the patterns")?;
    let lines = table.lines().map(Pattern::read).collect::<Option<_>>();
    lines.context("the list of patterns is garbled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read_and_a_garbled_one_is_not() {
        let pattern = Pattern::read("larson\t1,2,8\t\tthreads that exchange").expect("it is as the patterns print it");
        assert_eq!((pattern.threads, pattern.quick), (vec![1, 2, 8], vec![]));
        assert_eq!(pattern.group, "threads that exchange");
        for garbled in ["larson", "larson\t1,x\t1\tsmall", "larson\t1\t1"] {
            assert_eq!(Pattern::read(garbled), None);
        }
    }
}
