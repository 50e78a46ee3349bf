//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;

/// A command, as the command line gives it.
pub enum Command {
    /// Run a program on Crossfoot.
    Run(Run),
    /// Print the figures of a process.
    Stat(Stat),
    /// Print the cause of each resident byte of a process.
    Audit(Audit),
    /// List the processes that run on Crossfoot.
    Ps(Ps),
    /// Make a process give free memory back to Linux.
    Trim(Trim),
    /// Print the options.
    Options,
    /// Print the size classes.
    Classes,
    /// Print the locks.
    Locks {
        /// As a graph for Graphviz.
        dot: bool,
    },
    /// Write the manual pages.
    Man(PathBuf),
    /// Print the help or the version.
    Text(String),
}

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// One line for each metric.
    Table,
    /// One JSON object.
    Json,
    /// OpenMetrics text, for collectors.
    #[value(name = "openmetrics")]
    OpenMetrics,
}

/// The form of an audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum AuditFormat {
    /// A table with a sentence for each cause.
    Table,
    /// One JSON object.
    Json,
}

/// The arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Run {
    /// Write a report of the program's memory to PATH when it exits; '-' and 'stderr' mean standard error
    ///
    /// The report is of the process that is started, or of the program that it has become by exec. If the
    /// process ends without writing one, for instance by a signal, this command writes the last figures of
    /// its stats page.
    #[arg(long, value_name = "PATH", verbatim_doc_comment)]
    pub report: Option<OsString>,
    /// The form of the report; needs --report
    #[arg(long, value_enum, requires = "report")]
    pub format: Option<Format>,
    /// Write a report of each descendant too, to PATH.PID; needs --report
    #[arg(long, requires = "report")]
    pub descendants: bool,
    /// Check the books when a process exits; exit status 70 if they do not balance
    #[arg(long)]
    pub check: bool,
    /// The program, found as a shell finds it, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// The arguments of `stat`.
#[derive(clap::Args, Debug)]
pub struct Stat {
    /// The process
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,
    /// The form of the figures
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print every metric instead of the ten lines
    #[arg(long)]
    pub all: bool,
    /// Print numbers of bytes without units
    #[arg(long)]
    pub bytes: bool,
    /// Print the figures again every SECONDS seconds (0.5, for instance), until the process ends
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub watch: Option<f64>,
}

/// The arguments of `ps`.
#[derive(clap::Args, Debug)]
pub struct Ps {
    /// Sort by this column, the largest first; pid: the smallest first
    #[arg(long, value_enum, default_value = "rss")]
    pub sort: Column,
    /// Print numbers of bytes without units
    #[arg(long)]
    pub bytes: bool,
}

/// A column of `ps`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Column {
    /// The process's number.
    Pid,
    /// The resident memory of the process.
    Rss,
    /// All bytes that its allocator has from Linux.
    Total,
    /// Its live objects.
    Live,
    /// Of those, the bytes that were given back, or never used.
    Released,
    /// The age of the reading.
    Age,
}

/// The arguments of `audit`.
#[derive(clap::Args, Debug)]
pub struct Audit {
    /// The process
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,
    /// The form of the audit
    #[arg(long, value_enum, default_value = "table")]
    pub format: AuditFormat,
    /// Repeat the audit of a process that moves for at most SECONDS seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub within: f64,
}

/// The arguments of `trim`.
#[derive(clap::Args, Debug)]
pub struct Trim {
    /// The process
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,
    /// Wait at most SECONDS seconds (0.5, for instance)
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub wait: f64,
}

/// Parses a number of seconds.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds from 0.001 to 1000000".into()),
    }
}

/// A memory allocator for Linux whose books always balance.
#[derive(Parser, Debug)]
#[command(name = "crossfoot", version, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run a program on Crossfoot
    ///
    /// This command becomes the program: the process number, the exit status and the signals are the
    /// program's own. With --report or --check this command stays the program's parent instead. It passes
    /// signals on, stops when the program stops, and ends as the program ends.
    /// libcrossfoot.so is searched at the path in the environment variable CROSSFOOT_LIB, or else beside
    /// this command and in ../lib from there. Options in the environment variable CROSSFOOT hold too,
    /// except those that are given here as well.
    #[command(after_help = RUN_STATUS, override_usage = RUN_USAGE, verbatim_doc_comment)]
    Run(Run),
    /// Print the figures of a process that runs on Crossfoot
    ///
    /// Ten lines show where its bytes are: seven parts, their total, the resident memory of the process,
    /// and whether the books balance. The process is not stopped and gets no signal: its last reading is
    /// read from its stats page, which it keeps in shared memory. The reading of a process that neither
    /// allocates nor frees may be old. Needs the right to read /proc/PID/maps, as the process's user or root.
    #[command(after_help = STAT_STATUS, verbatim_doc_comment)]
    Stat(Stat),
    /// List the processes that run on Crossfoot
    ///
    /// RSS is the resident memory of the whole process, as Linux counts it. TOTAL is all bytes that its
    /// allocator has from Linux: of these, LIVE are live objects, and RELEASED are address space without
    /// memory. AGE is the age of the figures other than RSS. Processes that may not be read are not listed.
    #[command(verbatim_doc_comment)]
    Ps(Ps),
    /// Make a process give free memory back to Linux
    ///
    /// One of the process's threads does it, when it next allocates or frees more than a few objects. So a
    /// process that sleeps does it when it wakes up. As by malloc_trim, the free pages of the heap go back,
    /// and those that this thread's cache keeps. The number of bytes is printed. Needs the same right as
    /// stat.
    #[command(after_help = TRIM_STATUS, verbatim_doc_comment)]
    Trim(Trim),
    /// Print the cause of each resident byte of a process
    ///
    /// The allocator's structures are read from the process's memory and compared with Linux's figures for
    /// its mappings. Causes are live objects, objects in transit, caches, fragmentation, free pages,
    /// metadata, and mappings that are not Crossfoot's. The process is not stopped. If it allocates
    /// meanwhile, the audit is repeated for a while, and how far the process moved is printed. Needs the
    /// right to read the process's memory; where Linux restricts ptrace, only its parent and root have it.
    #[command(after_help = AUDIT_STATUS, verbatim_doc_comment)]
    Audit(Audit),
    /// Print the options that the environment variable CROSSFOOT takes
    Options,
    /// Print the size classes
    Classes,
    /// Print the locks and the order in which they may be taken
    Locks {
        /// As a graph for Graphviz
        #[arg(long)]
        dot: bool,
    },
    /// Write the manual pages into a folder that exists: crossfoot(1), and one for each command
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// Returns the description of the whole command line, for the manual pages.
pub fn line() -> clap::Command {
    Line::command()
}

const RUN_USAGE: &str =
    "crossfoot run [--report PATH] [--format table|json|openmetrics] [--descendants] [--check] -- PROGRAM ARGS…";

const AUDIT_STATUS: &str = "\
Exit status:
  0    the audit was printed
  1    the output could not be written
  2    no such process, another user's, or not on Crossfoot; or wrong arguments
  70   the process kept still during two passes, and both found the same unexplained bytes, or the same
       wrong accounts; on Linux before 6.7, pages that were read and never written can be the reason";

const RUN_STATUS: &str = "\
Exit status: the program's own, or
  2    Crossfoot cannot be preloaded: the program is static, gains rights when it is started, is for
       another kind of machine or another libc, or has a malloc of its own; or wrong arguments, or no
       libcrossfoot.so
  70   with --check: the books did not balance
  126  the program cannot be executed
  127  the program is not found";

const TRIM_STATUS: &str = "\
Exit status:
  0    the process has given memory back, if it had any to give
  1    the output could not be written
  2    no such process, another user's, not on Crossfoot, or without a stats page; or wrong arguments
  3    no thread of the process has done it in time; the next one that allocates or frees enough does it";

const STAT_STATUS: &str = "\
Exit status:
  0    the figures were printed; with --watch: the process has ended
  1    the output could not be written
  2    no such process, another user's, not on Crossfoot, or on another version; or wrong arguments
  70   the books do not balance";

/// Parses the command line.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    match Line::try_parse_from(line) {
        Ok(Line { command: Verb::Run(run) }) => Ok(Command::Run(run)),
        Ok(Line { command: Verb::Stat(stat) }) => Ok(Command::Stat(stat)),
        Ok(Line { command: Verb::Ps(ps) }) => Ok(Command::Ps(ps)),
        Ok(Line { command: Verb::Trim(trim) }) => Ok(Command::Trim(trim)),
        Ok(Line { command: Verb::Audit(audit) }) => Ok(Command::Audit(audit)),
        Ok(Line { command: Verb::Options }) => Ok(Command::Options),
        Ok(Line { command: Verb::Classes }) => Ok(Command::Classes),
        Ok(Line { command: Verb::Locks { dot } }) => Ok(Command::Locks { dot }),
        Ok(Line { command: Verb::Man { folder } }) => Ok(Command::Man(folder)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Command::Text(error.render().to_string())),
            _ => Err(Failure::refused(one_line(&error))),
        },
    }
}

/// Returns clap's error as one line.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command given (see crossfoot --help)".into();
    }
    let text = error.render().to_string();
    // The message ends at the first empty line. Tips and the usage follow it.
    let message: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let mut line = message.join(" ");
    if let Some(rest) = line.strip_prefix("error: ") {
        line = rest.into();
    }
    for kind in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue] {
        match error.get(kind) {
            Some(clap::error::ContextValue::String(near)) => line += &format!("; did you mean '{near}'?"),
            Some(clap::error::ContextValue::Strings(near)) => {
                line += &format!("; did you mean '{}'?", near.join("' or '"));
            }
            _ => {}
        }
    }
    line + " (see crossfoot --help)"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Command, Failure> {
        parse(std::iter::once("crossfoot").chain(line.iter().copied()).map(OsString::from))
    }

    fn run(line: &[&str]) -> Run {
        match read(line) {
            Ok(Command::Run(run)) => run,
            Ok(_) => panic!("{line:?} is no run"),
            Err(failure) => panic!("{line:?}: {failure:?}"),
        }
    }

    fn wrong(line: &[&str]) -> String {
        let failure = read(line).err().expect("wrong arguments");
        assert_eq!(failure.status, 2);
        assert!(!failure.line.contains('\n'), "{failure:?}");
        failure.line
    }

    #[test]
    fn the_command_line_is_well_formed() {
        line().debug_assert();
    }

    #[test]
    fn arguments_behind_the_program_are_its_own() {
        let given = run(&["run", "--check", "--", "prog", "--report", "x", "--", "-y"]);
        assert!(given.check && given.report.is_none());
        assert_eq!(given.program, ["prog", "--report", "x", "--", "-y"]);
        assert_eq!(run(&["run", "prog", "--check", "-x"]).program, ["prog", "--check", "-x"]);
        let given = run(&["run", "--report", "R", "--format=json", "prog"]);
        assert_eq!((given.report, given.format), (Some("R".into()), Some(Format::Json)));
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(wrong(&[]), "no command given (see crossfoot --help)");
        assert_eq!(
            wrong(&["run", "--reprot", "x", "prog"]),
            "unexpected argument '--reprot' found; did you mean '--report'? (see crossfoot --help)"
        );
        assert_eq!(wrong(&["runn"]), "unrecognized subcommand 'runn'; did you mean 'run'? (see crossfoot --help)");
        assert_eq!(
            wrong(&["run", "--report", "x", "--format", "jsno", "prog"]),
            "invalid value 'jsno' for '--format <FORMAT>' [possible values: table, json, openmetrics]; did you mean 'json'? (see crossfoot --help)"
        );
        for line in [&["run"][..], &["run", "--format", "json", "prog"], &["run", "--report"], &["locks", "--dto"]] {
            wrong(line);
        }
    }
}
