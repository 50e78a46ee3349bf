//! The environment variables that `run` gives the program: `LD_PRELOAD` and `CROSSFOOT`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crossfoot::options::{self, LONGEST};

use crate::args::{Format, Run};
use crate::failure::{Failure, shown};
use crate::hand_over::HandOver;

/// Where the report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// To standard error.
    Stderr,
    /// To a file of this absolute name.
    Path(OsString),
}

/// Returns the value of `LD_PRELOAD`: the shared object, then the user's own entries.
pub fn preload(library: &Path, before: Option<&OsStr>) -> OsString {
    let ours = library.as_os_str();
    let mut value = ours.to_owned();
    let rest = before.unwrap_or_default().as_bytes();
    for entry in rest.split(|&b| b == b':' || b == b' ').filter(|e| !e.is_empty() && *e != ours.as_bytes()) {
        value.push(":");
        value.push(OsStr::from_bytes(entry));
    }
    value
}

/// Returns the value of `CROSSFOOT`: the user's options, then the options that `run` needs. A user's option of the same
/// name as one of these is left out. Returns `None` if `run` needs none and the variable is not set.
///
/// The report of process `pid` goes to PATH itself. `page` is the stats page that the process has.
pub fn crossfoot(
    before: Option<&OsStr>,
    run: &Run,
    pid: u32,
    page: Option<&HandOver>,
) -> Result<Option<OsString>, Failure> {
    let mut ours: Vec<(&str, OsString)> = Vec::new();
    if run.check {
        ours.push(("check", "on".into()));
    }
    if let Some(given) = &run.report {
        let to = match report(given)? {
            Report::Stderr => "stderr".into(),
            Report::Path(path) => path,
        };
        ours.push(("exit_report", to));
        ours.push(("exit_pid", pid.to_string().into()));
        ours.push(("exit_only", if run.descendants { "off" } else { "on" }.into()));
        let format = match run.format {
            None | Some(Format::Table) => "table",
            Some(Format::Json) => "json",
            Some(Format::OpenMetrics) => "openmetrics",
        };
        ours.push(("exit_format", format.into()));
    }
    if let Some((name, value)) = page.map(HandOver::option) {
        ours.push((name, value.into()));
    }
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for piece in before.unwrap_or_default().as_bytes().split(|&b| b == b',').filter(|piece| !piece.is_empty()) {
        let name = piece.split(|&b| b == b':').next().unwrap_or_default();
        if !ours.iter().any(|(our, _)| our.as_bytes() == name) {
            pieces.push(piece.to_owned());
        }
    }
    pieces.extend(ours.iter().map(|(name, value)| [name.as_bytes(), b":", value.as_bytes()].concat()));
    let text = pieces.join(&b","[..]);
    if text.len() > LONGEST {
        return Err(Failure::refused(format!(
            "the options for the program are {} bytes long, more than {LONGEST}: shorten CROSSFOOT or --report",
            text.len()
        )));
    }
    Ok((!text.is_empty() || before.is_some()).then(|| OsString::from_vec(text)))
}

/// Returns the destination of the report, if one was asked for.
pub fn target(run: &Run) -> Result<Option<Report>, Failure> {
    run.report.as_deref().map(report).transpose()
}

/// Returns whether the user's options turn the stats page off.
pub fn refuses_page(options: Option<&OsStr>) -> bool {
    let mut pieces = options.unwrap_or_default().as_bytes().split(|&b| b == b',');
    pieces.rfind(|piece| piece.starts_with(b"stats_page:")) == Some(b"stats_page:off")
}

/// Returns the destination that `--report` names. A path is made absolute, because the program may change its
/// directory.
fn report(given: &OsStr) -> Result<Report, Failure> {
    if given == "-" || given == "stderr" {
        return Ok(Report::Stderr);
    }
    let refused = |why: String| Failure::refused(format!("cannot write a report to {}: {why}", shown(given)));
    let path = std::path::absolute(given).map_err(|error| refused(error.to_string()))?;
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&b',') {
        return Err(refused("its path has a comma, which separates options".into()));
    }
    if bytes.len() > options::PATH {
        return Err(refused(format!("its path is {} bytes long, more than {}", bytes.len(), options::PATH)));
    }
    Ok(Report::Path(path.into_os_string()))
}

/// Creates the report's file, or empties it. So an error shows before the program starts, and what the file holds
/// afterwards is from this run.
pub fn prepare(run: &Run) -> Result<(), Failure> {
    let Some(given) = &run.report else { return Ok(()) };
    let Report::Path(path) = report(given)? else { return Ok(()) };
    // Pipes and devices are left alone: opening them may wait or have effects.
    if fs::metadata(&path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Ok(());
    }
    match OpenOptions::new().write(true).create(true).truncate(true).open(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::refused(format!("cannot write a report to {}: {error}", shown(&path)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(report: Option<&str>, format: Option<Format>, check: bool) -> Run {
        Run { report: report.map(OsString::from), format, check, descendants: false, program: vec!["prog".into()] }
    }

    fn merged(before: Option<&str>, run: &Run) -> Result<Option<String>, String> {
        match crossfoot(before.map(OsStr::new), run, 17, None) {
            Ok(value) => Ok(value.map(|v| v.into_string().unwrap())),
            Err(failure) => Err(failure.line),
        }
    }

    #[test]
    fn the_shared_object_comes_first_and_once() {
        let library = Path::new("/l/libcrossfoot.so");
        let value = |before: Option<&str>| preload(library, before.map(OsStr::new)).into_string().unwrap();
        assert_eq!(value(None), "/l/libcrossfoot.so");
        assert_eq!(value(Some("/a.so b.so:/c.so")), "/l/libcrossfoot.so:/a.so:b.so:/c.so");
        assert_eq!(value(Some("/a.so:/l/libcrossfoot.so")), "/l/libcrossfoot.so:/a.so");
    }

    #[test]
    fn nothing_asked_leaves_the_users_options() {
        let nothing = asked(None, None, false);
        assert_eq!(merged(None, &nothing), Ok(None));
        assert_eq!(merged(Some(""), &nothing), Ok(Some("".into())));
        assert_eq!(merged(Some("check:off,unknown:1"), &nothing), Ok(Some("check:off,unknown:1".into())));
    }

    #[test]
    fn what_is_asked_here_wins() {
        let run = asked(Some("/r"), Some(Format::Json), true);
        let ours = "check:on,exit_report:/r,exit_pid:17,exit_only:on,exit_format:json";
        assert_eq!(merged(None, &run), Ok(Some(ours.into())));
        assert_eq!(merged(Some("check:off,,x:y,exit_pid:1"), &run), Ok(Some(format!("x:y,{ours}"))));
        let run = asked(Some("-"), None, false);
        assert_eq!(
            merged(None, &run),
            Ok(Some("exit_report:stderr,exit_pid:17,exit_only:on,exit_format:table".into()))
        );
    }

    #[test]
    fn the_allocator_reads_what_is_written() {
        let run = asked(Some("/r:1 2"), Some(Format::Json), true);
        let text = merged(None, &run).unwrap().unwrap();
        let read = options::Options::parse(text.as_bytes(), |wrong| panic!("{wrong}"));
        assert!(read.check && read.exit_pid == 17 && read.exit_format == options::Format::Json);
        assert!(matches!(read.exit_report, options::Report::Path(path) if path == b"/r:1 2"));
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(report(OsStr::new("off")), Ok(Report::Path(here.join("off").into_os_string())));
    }

    #[test]
    fn paths_that_the_option_does_not_take_are_refused() {
        let refused = |path: &str| merged(None, &asked(Some(path), None, false)).unwrap_err();
        assert_eq!(refused("/a,b"), "cannot write a report to '/a,b': its path has a comma, which separates options");
        assert!(refused(&format!("/{}", "x".repeat(512))).ends_with("its path is 513 bytes long, more than 512"));
        assert!(refused("").starts_with("cannot write a report to '': "));
        let long = format!("x:{}", "y".repeat(1022));
        assert_eq!(merged(Some(&long), &asked(None, None, false)), Ok(Some(long.clone())));
        assert!(merged(Some(&long), &asked(None, None, true)).unwrap_err().contains("1033 bytes long, more than 1024"));
    }
}
