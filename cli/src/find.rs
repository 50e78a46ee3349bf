//! Finds the file that is executed when a program is started.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, shown};

/// The folders that are searched without a `PATH`, as in glibc.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The shell that runs files without a format that Linux knows.
pub const SHELL: &str = "/bin/sh";
/// The longest chain of scripts that interpret each other: Linux refuses longer ones.
const SCRIPTS: usize = 5;
/// The bytes of a file that Linux reads to recognise its format.
const HEAD: usize = 256;

/// Returns the file that `name` means: `name` itself if it has a slash, else the first executable file of that name in
/// `path`.
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

/// Checks that a file exists and may be executed.
fn executable(path: &Path) -> Result<(), Failure> {
    let metadata = path.metadata().map_err(|error| no_exec(path, &error))?;
    if metadata.is_dir() {
        return Err(no_exec(path, &std::io::ErrorKind::IsADirectory.into()));
    }
    let denied = || no_exec(path, &std::io::ErrorKind::PermissionDenied.into());
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| denied())?;
    // SAFETY: `name` ends with a null byte.
    let answer = unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if answer == 0 && metadata.is_file() { Ok(()) } else { Err(denied()) }
}

/// Returns the failure for a file that does not exist or cannot be executed.
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

/// Returns the file that Linux loads when `path` is executed: `path` itself, or the last interpreter of a script.
pub fn image(path: &Path) -> Result<PathBuf, Failure> {
    let mut path = path.to_owned();
    for _ in 0..SCRIPTS {
        let next = match kind_of_file(&path) {
            FileKind::Script(interpreter) => interpreter,
            FileKind::Text => SHELL.into(),
            FileKind::Program => break,
        };
        executable(&next).map_err(|mut failure| {
            failure.line = format!("{}; {} asks for it", failure.line, shown(&path));
            failure
        })?;
        path = next;
    }
    Ok(path)
}

/// How a file is executed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum FileKind {
    /// By Linux: an ELF file. A file that cannot be read counts as one.
    Program,
    /// By the interpreter that its `#!` line names.
    Script(PathBuf),
    /// By a shell: Linux refuses it.
    Text,
}

/// Returns how a file is executed.
fn kind_of_file(path: &Path) -> FileKind {
    let mut head = Vec::with_capacity(HEAD);
    match File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head)) {
        Ok(_) => kind_of(&head),
        Err(_) => FileKind::Program,
    }
}

/// Returns whether a file is neither an ELF file nor a script with a `#!` line.
pub fn is_text(path: &Path) -> bool {
    kind_of_file(path) == FileKind::Text
}

/// Returns how a file with these first bytes is executed.
fn kind_of(head: &[u8]) -> FileKind {
    if head.starts_with(b"\x7fELF") {
        return FileKind::Program;
    }
    let Some(line) = head.strip_prefix(b"#!") else { return FileKind::Text };
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let name = line.split(|b| matches!(b, b' ' | b'\t' | 0)).find(|word| !word.is_empty());
    // Linux refuses a `#!` line without a name. Shells then run the file themselves.
    name.map_or(FileKind::Text, |name| FileKind::Script(OsStr::from_bytes(name).into()))
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
        let script = |name: &str| FileKind::Script(name.into());
        assert_eq!(kind_of(b"#!/bin/sh\nexit"), script("/bin/sh"));
        assert_eq!(kind_of(b"#! \t/usr/bin/env  python3 -u"), script("/usr/bin/env"));
        assert_eq!(kind_of(b"#!/bin/sh\0x"), script("/bin/sh"));
        assert_eq!(kind_of(b"#!  \nexit"), FileKind::Text);
        assert_eq!(kind_of(b"exit 3\n"), FileKind::Text);
        assert_eq!(kind_of(b""), FileKind::Text);
        assert_eq!(kind_of(b"\x7fELF\x02"), FileKind::Program);
    }

    #[test]
    fn the_longest_chain_of_scripts_leads_to_its_program() {
        use std::os::unix::fs::PermissionsExt;

        let folder = std::env::temp_dir().join(format!("crossfoot-scripts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut last = PathBuf::from("/bin/true");
        for number in 1..=SCRIPTS + 1 {
            let script = folder.join(format!("{number}"));
            std::fs::write(&script, format!("#!{}\n", last.display())).unwrap();
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
            // Linux is asked for each length, so that `SCRIPTS` is its limit.
            let starts = std::process::Command::new(&script).status().is_ok();
            assert_eq!(starts, number <= SCRIPTS, "{number} scripts");
            if starts {
                assert_eq!(image(&script).ok().as_deref(), Some(Path::new("/bin/true")), "{number} scripts");
            }
            last = script;
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
