//! `crossfoot run`: becomes a program, with Crossfoot preloaded.

use std::env;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::args::Run;
use crate::failure::Failure;
use crate::{environment, find, library, refuse};

/// Runs the program in place of this process. Returns only where that fails.
pub fn run(run: &Run) -> Failure {
    let Some(name) = run.program.first() else { return Failure::refused("no program given") };
    match prepare(run, name) {
        Ok(path) => exec(&path, &run.program),
        Err(failure) => failure,
    }
}

/// Everything before the program is executed; the file that is.
fn prepare(run: &Run, name: &OsStr) -> Result<std::path::PathBuf, Failure> {
    let library = library::find(env::var_os(library::VARIABLE).as_deref(), env::current_exe().ok().as_deref())?;
    let path = find::program(name, env::var_os("PATH").as_deref())?;
    let image = find::image(&path)?;
    refuse::check(&image, (image != path).then_some(&path), &library)?;
    let options = environment::crossfoot(env::var_os("CROSSFOOT").as_deref(), run, std::process::id())?;
    environment::prepare(run)?;
    let preload = environment::preload(&library, env::var_os("LD_PRELOAD").as_deref());
    // SAFETY: this process has one thread.
    unsafe {
        env::set_var("LD_PRELOAD", preload);
        if let Some(options) = options {
            env::set_var("CROSSFOOT", options);
        }
    }
    Ok(path)
}

/// Becomes the program. The signal mask and the ignored signals stay as they were inherited, which the
/// standard library's `exec` would change.
fn exec(path: &Path, arguments: &[std::ffi::OsString]) -> Failure {
    let error = match exec_file(path.as_os_str(), arguments.iter().map(|a| a.as_os_str())) {
        // As `execvp` has it: what the kernel does not know may be a script for a shell.
        error if error.raw_os_error() == Some(libc::ENOEXEC) && find::is_text(path) => {
            let rest = arguments.iter().skip(1).map(|a| a.as_os_str());
            exec_file(OsStr::new(find::SHELL), [OsStr::new(find::SHELL), path.as_os_str()].into_iter().chain(rest))
        }
        error => error,
    };
    find::no_exec(path, &error)
}

fn exec_file<'a>(path: &OsStr, arguments: impl Iterator<Item = &'a OsStr>) -> io::Error {
    let c_string = |text: &OsStr| CString::new(text.as_bytes());
    let Ok(path) = c_string(path) else { return io::ErrorKind::InvalidInput.into() };
    let Ok(arguments) = arguments.map(c_string).collect::<Result<Vec<_>, _>>() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: a string that ends with zero and an array of such that ends with null.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}
