//! Reports on a program that ended without writing its own report: prints the last figures of its stats page, and that
//! its books were not checked.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crossfoot::metrics::{self, Heading, Reading, Verdict};
use crossfoot::stats::Failures;
use crossfoot::stats_page::layout::{CHECK_TOLD, REPORTED};

use crate::args::{Format, Run};
use crate::environment::Report;
use crate::failure::{Failure, shown};
use crate::figures::options_format;
use crate::hand_over::HandOver;
use crate::parent::{Child, Ended, leads_to};
use crate::stat::now;

/// An ended program, with what is needed to report on it.
pub struct Aftermath<'a> {
    /// The arguments of `run`.
    pub run: &'a Run,
    /// Where the report goes.
    pub report: Option<&'a Report>,
    /// The stats page that the program was started with.
    pub page: &'a HandOver,
    /// The program's process.
    pub child: &'a Child,
    /// How the process ended.
    pub ended: Ended,
}

/// Prints that the checks and reports of a program are unknown: it was started without a stats page, because Linux or
/// an option refused one. A killed program neither checked its books nor wrote its report, and the line says so.
pub fn without_page(run: &Run, child: &Child, ended: Ended) {
    let what = match (run.check, run.report.is_some()) {
        (true, true) => "--check and --report",
        (true, false) => "--check",
        _ => "--report",
    };
    let known = match ended {
        Ended::Exited(_) => "unless its exit handlers ran, nothing was checked or reported".to_owned(),
        Ended::Killed(signal) => format!("it ended by {}, so nothing was checked or reported", signal_name(signal)),
    };
    let line = format!("{what}: {} ({}) had no stats page: {known}", shown(name(run, child)), child.pid());
    let _ = Failure { status: 0, line }.report();
}

/// Returns the last name that Linux had for the program, the name that the program's own report gives. Without `/proc`,
/// returns the name of the file that was started, cut to the length of Linux's names.
fn name<'a>(run: &'a Run, child: &'a Child) -> &'a OsStr {
    const LONGEST: usize = 15;
    let started = || {
        let started = Path::new(run.program.first()?).file_name()?.as_bytes();
        started.get(..LONGEST).or(Some(started))
    };
    match child.name() {
        [] => OsStr::from_bytes(started().unwrap_or_default()),
        name => OsStr::from_bytes(name),
    }
}

/// The last reading of the stats page.
struct Last {
    reading: Reading,
    failures: Failures,
    /// The seconds between the reading and the end of the process.
    seconds: f64,
    /// The program that the figures belong to, if the process had another name or was another program when it ended.
    of: Option<String>,
}

impl Aftermath<'_> {
    /// Prints what the program did not report itself. Returns how this command is to end: as the program did. If
    /// `--check` was given and the program made no check, status 0 and figures that do not balance become status 70.
    pub fn tell(&self) -> Ended {
        let said = self.page.ending();
        let last = self.last();
        if let Some(report) = self.report
            && said & REPORTED == 0
        {
            match &last {
                Some(last) => self.write(report, last),
                None => self.line(&format!("no report: it {}, and {}", self.how(), self.nothing())),
            }
        }
        if !self.run.check || said & CHECK_TOLD != 0 {
            return self.ended;
        }
        let sums = match &last {
            Some(last) => {
                last.failures.describe(|what| self.line(&format!("unbalanced: {what}")));
                let agree = if last.failures.is_empty() { "agree" } else { "do not agree" };
                let of = last.of.as_ref().map(|of| format!(" {of}")).unwrap_or_default();
                format!("the sums of{of} {:.3} s before {agree}", last.seconds)
            }
            None => format!("it {}", self.nothing()),
        };
        self.line(&format!("--check: its books were not checked, because it {}; {sums}", self.how()));
        let is_right = last.is_none_or(|last| last.failures.is_empty());
        if self.ended == Ended::Exited(0) || !is_right { Ended::Exited(Failure::UNBALANCED) } else { self.ended }
    }

    /// Returns the last reading of the stats page, checked. Returns `None` if the process wrote none.
    fn last(&self) -> Option<Last> {
        let (mut reading, taken) = self.page.reading()?;
        reading.read_at = now();
        let mut failures = Failures::default();
        reading.snapshot.check(&mut failures);
        let of = self.other_program(taken.image);
        Some(Last { of, seconds: reading.read_at.saturating_sub(taken.nanos) as f64 / 1e9, reading, failures })
    }

    /// Returns why there are no figures, as the rest of a sentence that begins with "it".
    fn nothing(&self) -> &'static str {
        if self.page.images() == 0 { "never allocated on Crossfoot" } else { "left no figures" }
    }

    /// Returns a name for the program that wrote the figures of `image`, if it is not the program that the process was
    /// at its end. A later program on Crossfoot has taken the page over, which raises the count of images. A later
    /// program without Crossfoot, as after `env -i`, shows only by its name. So does a program that renamed itself:
    /// then its earlier name is returned.
    fn other_program(&self, image: u64) -> Option<String> {
        if image != self.page.images() {
            return Some("the program before".into());
        }
        let before = self.page.name();
        let differs = !before.is_empty() && !self.child.name().is_empty() && before != self.child.name();
        differs.then(|| Heading { pid: 0, command: &before, ended: "" }.command().to_string())
    }

    /// Returns the program's name.
    fn name(&self) -> &OsStr {
        name(self.run, self.child)
    }

    /// Returns how the process ended, as the rest of a sentence that begins with "it".
    fn how(&self) -> String {
        match self.ended {
            // This is true of a program without Crossfoot, too.
            Ended::Exited(status) => format!("ended with status {status} and without Crossfoot's exit handler"),
            Ended::Killed(signal) => format!("ended by {}", signal_name(signal)),
        }
    }

    /// Prints a line about the program to standard error.
    fn line(&self, what: &str) {
        let _ = Failure { status: 0, line: format!("{} ({}): {what}", shown(self.name()), self.child.pid()) }.report();
    }

    /// Writes the report where the program would have written it.
    fn write(&self, report: &Report, last: &Last) {
        let verdict = if last.failures.is_empty() { Verdict::NotChecked } else { Verdict::Unbalanced(&last.failures) };
        let of = last.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
        let ended = format!("{}, {:.3} s after these figures{of}", self.how(), last.seconds);
        let heading = Heading { pid: self.child.pid().into(), command: self.name().as_bytes(), ended: &ended };
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = metrics::write_headed(
            &mut text,
            options_format(self.run.format.unwrap_or(Format::Table)),
            &heading,
            &last.reading,
            verdict,
        );
        if let Report::Path(path) = report
            && let Err(error) = write_to(Path::new(path), &text)
        {
            self.line(&format!("cannot write its report to {}: {error}", shown(path)));
        } else if *report == Report::Stderr {
            // An error is dropped: standard error is the only place to report one.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// Writes a report to `path`. Uses this command's own descriptor if the path leads to standard output or standard
/// error.
fn write_to(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(standard) = [1, 2].into_iter().find(|&descriptor| leads_to(path, descriptor)) {
        // SAFETY: `leads_to` has found the descriptor open, and `ManuallyDrop` keeps it open.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(standard) });
        return (&*file).write_all(text.as_bytes());
    }
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    open.open(path)?.write_all(text.as_bytes())
}

/// Returns a signal's name, as `SIGTERM`, or `signal N` for a real-time signal.
fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let mut name = String::from("signal ");
    match usize::try_from(signal - 1).ok().and_then(|i| NAMES.get(i)) {
        Some(known) => format!("SIG{known}"),
        None => {
            let _ = write!(name, "{signal}");
            name
        }
    }
}
