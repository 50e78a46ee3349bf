//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;

/// What the command is to do.
pub enum Command {
    /// Run a program on Crossfoot.
    Run(Run),
    /// Print the figures of a process.
    Stat(Stat),
    /// Print why each byte of a process is in memory.
    Audit(Audit),
    /// List the processes that run on Crossfoot.
    Ps(Ps),
    /// Have a process give free memory back to the system.
    Trim(Trim),
    /// Print the options.
    Options,
    /// Print the size classes.
    Classes,
    /// Print the locks.
    Locks {
        /// As a drawing.
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

/// The arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Run {
    /// Write a report of the program's memory to PATH when it exits; '-' or 'stderr': to standard error
    ///
    /// The report is of the process that is started, also of what it becomes by exec. Where it ends in a
    /// way in which it writes none, by a signal for instance, this command writes what is known. Without
    /// this option nothing is written.
    #[arg(long, value_name = "PATH", verbatim_doc_comment)]
    pub report: Option<OsString>,
    /// The form of the report; needs --report
    #[arg(long, value_enum, requires = "report")]
    pub format: Option<Format>,
    /// Write reports of descendants too, to PATH.PID; needs --report
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
    /// Print every metric, not the ten lines
    #[arg(long)]
    pub all: bool,
    /// Print bytes as they are, without units
    #[arg(long)]
    pub bytes: bool,
    /// Print them again every so many seconds, as 0.5, until the process ends
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub watch: Option<f64>,
}

/// The arguments of `ps`.
#[derive(clap::Args, Debug)]
pub struct Ps {
    /// The column by which the processes are sorted, the largest first; by pid, the smallest first
    #[arg(long, value_enum, default_value = "rss")]
    pub sort: Column,
    /// Print bytes as they are, without units
    #[arg(long)]
    pub bytes: bool,
}

/// A column of `ps`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Column {
    /// The process's number.
    Pid,
    /// What of the process is in memory.
    Rss,
    /// Everything that its allocator obtained.
    Total,
    /// Its live objects.
    Live,
    /// What was given back, or never used.
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
    pub format: crate::audit::Format,
    /// Look again at a process that moves for at most so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub within: f64,
}

/// The arguments of `trim`.
#[derive(clap::Args, Debug)]
pub struct Trim {
    /// The process
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,
    /// Wait for so many seconds at most, as 0.5
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub wait: f64,
}

/// A time that can be waited for.
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
    /// The command becomes the program: process number, exit status and signals are the program's own.
    /// With --report or --check it stays the program's parent, passes on signals, stops when the program
    /// stops, and ends as the program ends.
    /// libcrossfoot.so is looked for beside this command, in ../lib from there, or where the environment
    /// variable CROSSFOOT_LIB says. Options in the environment variable CROSSFOOT hold as well; those
    /// given here win.
    #[command(after_help = RUN_STATUS, override_usage = RUN_USAGE, verbatim_doc_comment)]
    Run(Run),
    /// Print the figures of a process that runs on Crossfoot
    ///
    /// Ten lines say where its bytes are: seven parts, their total, what of the process is in memory, and
    /// whether the books balance. The process is not stopped and gets no signal: its last reading is read from its stats page, which
    /// it keeps in shared memory. A process that does nothing keeps an old one. Needs the right to read
    /// /proc/PID/maps: that of the process's user, or of root.
    #[command(after_help = STAT_STATUS, verbatim_doc_comment)]
    Stat(Stat),
    /// List the processes that run on Crossfoot
    ///
    /// RSS: what of the process is in memory, says the system. TOTAL: all bytes that its allocator has from the
    /// system, of which LIVE are live objects, and RELEASED are in address space only. AGE: of these figures, but
    /// for RSS.
    #[command(verbatim_doc_comment)]
    Ps(Ps),
    /// Have a process give free memory back to the system
    ///
    /// One of the process's threads does it, when it next allocates or frees more than a few objects: a
    /// process that sleeps does it when it wakes up. What went back is printed. The free pages of the
    /// heap, and those in the hands of that thread, go back, as by malloc_trim. Needs the same right as
    /// stat.
    #[command(after_help = TRIM_STATUS, verbatim_doc_comment)]
    Trim(Trim),
    /// Say why each byte of a process is in memory
    ///
    /// The allocator's structures, read from the process's memory, beside what the system says of its
    /// mappings: live, in transit, cached, fragmentation, free, metadata, and what is not Crossfoot's. The
    /// process is not stopped; one that allocates meanwhile is looked at again for a while, and how far it
    /// moved is printed. Needs the right to read its memory: that of its parent or of root, where the system restricts
    /// ptrace.
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

/// The whole command line, for its manual pages.
pub fn line() -> clap::Command {
    Line::command()
}

const RUN_USAGE: &str =
    "crossfoot run [--report PATH] [--format table|json|openmetrics] [--descendants] [--check] -- PROGRAM ARGS…";

const AUDIT_STATUS: &str = "\
Exit status:
  0    the audit was printed
  1    it could not be written
  2    no such process, one that is another user's, one that does not run on Crossfoot, or wrong arguments
  70   the process kept still during two looks, and both found the same unexplained, or the same accounts
       wrong; on Linux before 6.7 also because of pages that were read and never written";

const RUN_STATUS: &str = "\
Exit status: the program's own, or
  2    Crossfoot cannot be preloaded: a static program, one that gains rights when it is started, one for
       another kind of machine or another libc, one with a malloc of its own; or wrong arguments, or no
       libcrossfoot.so
  70   with --check: the books did not balance
  126  the program cannot be executed
  127  the program is not found";

const TRIM_STATUS: &str = "\
Exit status:
  0    the process did it
  1    that could not be written
  2    no such process, another user's, not on Crossfoot, or without a stats page; or wrong arguments
  3    none of the process's threads came by in time; it is done when one does";

const STAT_STATUS: &str = "\
Exit status:
  0    the figures were printed; with --watch: the process has ended
  1    they could not be written
  2    no such process, another user's, not on Crossfoot, or on another version; or wrong arguments
  70   the books do not balance";

/// Reads the command line.
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

/// What is wrong with the command line, in a line.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command given (see crossfoot --help)".into();
    }
    let text = error.render().to_string();
    // The message ends at the first empty line; tips and the usage follow.
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
    fn what_follows_the_program_is_its_own() {
        let given = run(&["run", "--check", "--", "prog", "--report", "x", "--", "-y"]);
        assert!(given.check && given.report.is_none());
        assert_eq!(given.program, ["prog", "--report", "x", "--", "-y"]);
        assert_eq!(run(&["run", "prog", "--check", "-x"]).program, ["prog", "--check", "-x"]);
        let given = run(&["run", "--report", "R", "--format=json", "prog"]);
        assert_eq!((given.report, given.format), (Some("R".into()), Some(Format::Json)));
    }

    #[test]
    fn what_is_wrong_is_told_in_a_line() {
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
