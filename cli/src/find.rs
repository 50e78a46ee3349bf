//! Which file is executed when a program is started.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, shown};

/// Where programs are looked for without a `PATH`, as the libc has it.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// What runs a file that the kernel does not know how to execute.
pub const SHELL: &str = "/bin/sh";
/// How many scripts may run each other; the kernel does not take more.
const SCRIPTS: usize = 4;
/// How much of a file the kernel reads to see what it is, in bytes.
const HEAD: usize = 256;

/// The file that the name means: itself if it has a slash, else the first executable one in `path`.
pub fn program(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Failure> {
    if name.as_bytes().contains(&b'/') {
        return executable(Path::new(name)).map(|()| name.into());
    }
    let mut denied = None;
    if !name.is_empty() {
        for folder in path.map_or(DEFAULT_PATH, OsStr::as_bytes).split(|&b| b == b':') {
            // An empty entry means the current directory.
            let folder = if folder.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(folder)) };
            let file = folder.join(name);
            match executable(&file) {
                Ok(()) => return Ok(file),
                Err(failure) if failure.status == Failure::NOT_EXECUTABLE => denied = denied.or(Some(failure)),
                Err(_) => {}
            }
        }
    }
    let missing = || Failure { status: Failure::NOT_FOUND, line: format!("{} is not in PATH", shown(name)) };
    Err(denied.unwrap_or_else(missing))
}

/// Whether a file is there and may be executed.
fn executable(path: &Path) -> Result<(), Failure> {
    let metadata = path.metadata().map_err(|error| no_exec(path, &error))?;
    if metadata.is_dir() {
        return Err(no_exec(path, &std::io::ErrorKind::IsADirectory.into()));
    }
    let denied = || no_exec(path, &std::io::ErrorKind::PermissionDenied.into());
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| denied())?;
    // SAFETY: a string that ends with zero.
    let answer = unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if answer == 0 && metadata.is_file() { Ok(()) } else { Err(denied()) }
}

/// A file that is not there, or cannot be executed.
pub fn no_exec(path: &Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let (status, why) = match error.kind() {
        NotFound | NotADirectory => (Failure::NOT_FOUND, "there is no such file".into()),
        PermissionDenied => (Failure::NOT_EXECUTABLE, "it is not executable".into()),
        IsADirectory => (Failure::NOT_EXECUTABLE, "it is a directory".into()),
        _ => (Failure::NOT_EXECUTABLE, error.to_string()),
    };
    Failure { status, line: format!("cannot run {}: {why}", shown(path)) }
}

/// The file whose code runs when `path` is executed: itself, or what interprets it.
pub fn image(path: &Path) -> Result<PathBuf, Failure> {
    let mut path = path.to_owned();
    for _ in 0..SCRIPTS {
        let next = match what(&path) {
            MappingKind::Script(interpreter) => interpreter,
            MappingKind::Text => SHELL.into(),
            MappingKind::Program => break,
        };
        executable(&next).map_err(|mut failure| {
            failure.line = format!("{}; {} asks for it", failure.line, shown(&path));
            failure
        })?;
        path = next;
    }
    Ok(path)
}

/// What a file is to the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
enum MappingKind {
    /// An ELF file, or one that cannot be read.
    Program,
    /// A script, and what interprets it.
    Script(PathBuf),
    /// Anything else; a shell takes it for a script of its own.
    Text,
}

fn what(path: &Path) -> MappingKind {
    let mut head = Vec::with_capacity(HEAD);
    match File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head)) {
        Ok(_) => what_is(&head),
        Err(_) => MappingKind::Program,
    }
}

/// Whether a file is neither a program nor a script that says who interprets it.
pub fn is_text(path: &Path) -> bool {
    what(path) == MappingKind::Text
}

fn what_is(head: &[u8]) -> MappingKind {
    if head.starts_with(b"\x7fELF") {
        return MappingKind::Program;
    }
    let Some(line) = head.strip_prefix(b"#!") else { return MappingKind::Text };
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let name = line.split(|b| matches!(b, b' ' | b'\t' | 0)).find(|word| !word.is_empty());
    // The kernel does not take a line without a name; a shell then reads the file.
    name.map_or(MappingKind::Text, |name| MappingKind::Script(OsStr::from_bytes(name).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sought(name: &str, path: Option<&str>) -> Result<PathBuf, u8> {
        program(OsStr::new(name), path.map(OsStr::new)).map_err(|failure| failure.status)
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert_eq!(sought("sh", Some("/nowhere:/bin:/usr/bin")), Ok("/bin/sh".into()));
        assert_eq!(sought("sh", None), Ok("/bin/sh".into()));
        assert_eq!(sought("/bin/sh", Some("")), Ok("/bin/sh".into()));
        assert_eq!(sought("sh", Some("/nowhere")), Err(127));
        assert_eq!(sought("", None), Err(127));
        assert_eq!(sought("/nowhere/sh", None), Err(127));
        assert_eq!(sought("bin", Some("/nowhere:/usr:/bin")), Err(126));
        assert_eq!(sought("passwd", Some("/nowhere:/etc")), Err(126));
        assert_eq!(sought("/etc/passwd/x", None), Err(127));
        assert_eq!(sought("/usr", None), Err(126));
    }

    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        let script = |name: &str| MappingKind::Script(name.into());
        assert_eq!(what_is(b"#!/bin/sh\nexit"), script("/bin/sh"));
        assert_eq!(what_is(b"#! \t/usr/bin/env  python3 -u"), script("/usr/bin/env"));
        assert_eq!(what_is(b"#!/bin/sh\0x"), script("/bin/sh"));
        assert_eq!(what_is(b"#!  \nexit"), MappingKind::Text);
        assert_eq!(what_is(b"exit 3\n"), MappingKind::Text);
        assert_eq!(what_is(b""), MappingKind::Text);
        assert_eq!(what_is(b"\x7fELF\x02"), MappingKind::Program);
    }
}
