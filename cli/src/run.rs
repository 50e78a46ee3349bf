//! `crossfoot run`: becomes a program, or starts it, with Crossfoot preloaded.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::aftermath::{self, Aftermath};
use crate::args::Run;
use crate::environment::Report;
use crate::failure::Failure;
use crate::hand_over::HandOver;
use crate::{environment, find, library, parent, refuse};

/// Runs the program. This process becomes it. With a report or a check, a child does. Returns how the child ended, or
/// why the program could not be started.
pub fn run(run: &Run) -> Failure {
    let Some(name) = run.program.first() else { return Failure::refused("no program given") };
    let prepared = match prepare(run, name) {
        Ok(prepared) => prepared,
        Err(failure) => return failure,
    };
    if run.report.is_none() && !run.check {
        return prepared.become_it(run, None);
    }
    // Without a stats page, nothing is known of a program that does not report its own end.
    let page = if environment::refuses_page(prepared.options.as_deref()) { None } else { HandOver::new().ok() };
    let report = match environment::target(run) {
        Ok(report) => report,
        Err(failure) => return failure,
    };
    match parent::start(|| prepared.become_it(run, page.as_ref())) {
        // No child can be made: the program runs in place of this process, without a parent.
        None => prepared.become_it(run, page.as_ref()),
        Some(Err(failure)) => failure,
        Some(Ok(child)) => {
            let keeps_output = matches!(&report, Some(Report::Path(path)) if parent::leads_to(Path::new(path), 1));
            child.let_go(keeps_output);
            let ended = child.wait();
            let told = match &page {
                Some(page) => Aftermath { run, report: report.as_ref(), page, child: &child, ended }.tell(),
                None => {
                    aftermath::without_page(run, &child, ended);
                    ended
                }
            };
            Failure { status: told.end_so(), line: String::new() }
        }
    }
}

/// The program's file, and the values for its environment.
struct Prepared {
    path: PathBuf,
    preload: OsString,
    /// The user's value of `CROSSFOOT`.
    options: Option<OsString>,
}

/// Does everything that can fail before the program is executed.
fn prepare(run: &Run, name: &OsStr) -> Result<Prepared, Failure> {
    let library = library::find(env::var_os(library::VARIABLE).as_deref(), library::own_path().as_deref())?;
    let path = find::program(name, env::var_os("PATH").as_deref())?;
    let image = find::image(&path)?;
    refuse::check(&image, (image != path).then_some(&path), &library)?;
    let options = env::var_os("CROSSFOOT");
    // Errors in the options are found before the report's file is emptied.
    environment::crossfoot(options.as_deref(), run, std::process::id(), None)?;
    environment::prepare(run)?;
    Ok(Prepared { path, preload: environment::preload(&library, env::var_os("LD_PRELOAD").as_deref()), options })
}

impl Prepared {
    /// Becomes the program, with `page` as its stats page. Returns only if that fails.
    fn become_it(&self, run: &Run, page: Option<&HandOver>) -> Failure {
        let pid = std::process::id();
        let options = match environment::crossfoot(self.options.as_deref(), run, pid, page) {
            Ok(options) => options,
            Err(failure) => return failure,
        };
        // SAFETY: this process has one thread.
        unsafe {
            env::set_var("LD_PRELOAD", &self.preload);
            if let Some(options) = options {
                env::set_var("CROSSFOOT", options);
            }
        }
        if let Some(page) = page {
            page.claim();
        }
        exec(&self.path, &run.program)
    }
}

/// Becomes the program. Leaves the signal mask and the ignored signals as they were inherited. The standard library's
/// `exec` would change them.
fn exec(path: &Path, arguments: &[std::ffi::OsString]) -> Failure {
    let error = match exec_file(path.as_os_str(), arguments.iter().map(|a| a.as_os_str())) {
        // As `execvp` does: a text file that Linux refuses may be a script, which the shell runs.
        error if error.raw_os_error() == Some(libc::ENOEXEC) && find::is_text(path) => {
            let rest = arguments.iter().skip(1).map(|a| a.as_os_str());
            exec_file(OsStr::new(find::SHELL), [OsStr::new(find::SHELL), path.as_os_str()].into_iter().chain(rest))
        }
        error => error,
    };
    find::no_exec(path, &error)
}

/// Executes a file. Returns the error if that fails.
fn exec_file<'a>(path: &OsStr, arguments: impl Iterator<Item = &'a OsStr>) -> io::Error {
    let c_string = |text: &OsStr| CString::new(text.as_bytes());
    let Ok(path) = c_string(path) else { return io::ErrorKind::InvalidInput.into() };
    let Ok(arguments) = arguments.map(c_string).collect::<Result<Vec<_>, _>>() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: `path` ends with a null byte. `pointers` holds such strings, and ends with a null pointer.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}
