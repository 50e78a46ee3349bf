//! Compiles the C and C++ programs of the tests, and puts other programs where tests execute them.
//!
//! The tests of a binary run in parallel, so two of them may need the same program at the same moment. Each program is
//! compiled once a process, under a temporary name, and renamed when it is whole: no test executes a half-written file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{installed, run, scratch, text};

/// The compiler's command line, and the compiled file or the compiler's messages.
#[derive(Default)]
struct Program {
    command_line: String,
    compiled: Arc<OnceLock<Result<PathBuf, String>>>,
}

/// Compiles the file `name` of the scratch folder, once a process. `arguments` appends flags and sources to the
/// compiler's command; the output's name follows them. Returns `None`, after a line on stderr, if the compiler is not
/// installed. A program that does not compile fails the test.
pub fn compile(
    compiler: &str,
    name: &str,
    arguments: impl for<'a> FnOnce(&'a mut Command) -> &'a mut Command,
) -> Option<PathBuf> {
    let compiled = try_compile(compiler, name, arguments)?;
    Some(compiled.unwrap_or_else(|messages| panic!("{compiler} cannot compile {name}:\n{messages}")))
}

/// As [`compile`], but returns the compiler's messages where the program does not compile.
pub fn try_compile(
    compiler: &str,
    name: &str,
    arguments: impl for<'a> FnOnce(&'a mut Command) -> &'a mut Command,
) -> Option<Result<PathBuf, String>> {
    static PROGRAMS: Mutex<BTreeMap<String, Program>> = Mutex::new(BTreeMap::new());
    let mut command = Command::new(installed(compiler)?);
    arguments(&mut command);
    let command_line = format!("{command:?}");
    let compiled = {
        let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        let program = programs.entry(name.to_owned()).or_default();
        if program.command_line.is_empty() {
            program.command_line.clone_from(&command_line);
        }
        assert_eq!(program.command_line, command_line, "two programs of this test binary are called {name}");
        Arc::clone(&program.compiled)
    };
    Some(compiled.get_or_init(|| compile_and_rename(command, &scratch().join(name))).clone())
}

fn compile_and_rename(mut command: Command, path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().and_then(|name| name.to_str()).expect("the name of a program is text");
    std::fs::create_dir_all(path.parent().expect("the scratch folder")).expect("the scratch folder can be written");
    let partial = path.with_file_name(format!("{name}.partial"));
    let output = run(command.arg("-o").arg(&partial));
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    std::fs::rename(&partial, path).expect("the compiler wrote its output");
    Ok(path.to_owned())
}

/// Copies a program that a test executes at its new place. `cp` does it: while this process had the copy open for
/// writing, another test could fork, and as long as that child has the descriptor, `execve` of the copy fails with
/// `ETXTBSY`.
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let output = run(Command::new("cp").arg(from.as_ref()).arg(to.as_ref()));
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Writes a program or a script that a test executes, without an open descriptor as [`copy_program`].
pub fn write_program(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    use std::os::unix::fs::PermissionsExt;
    let path = path.as_ref();
    let written = path.with_extension("written");
    std::fs::write(&written, content).expect("the scratch folder can be written");
    std::fs::set_permissions(&written, std::fs::Permissions::from_mode(0o755)).expect("the file was written");
    copy_program(&written, path);
    std::fs::remove_file(&written).expect("the file was written");
}
