//! What the tests of whole programs share: release builds, compiled programs, a scratch folder, rows of tables.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of this")]

mod build;
mod compile;
pub mod rows;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use build::{Artifacts, artifacts, checked_target, for_target, plain_target, scaling, target, without_books};
pub use compile::{compile, copy_program, try_compile, write_program};
pub use tools::{assert_success, empty, xtask};

/// Returns the root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folder of nested builds. It outlives the tests, so these builds are incremental.
pub fn builds() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Returns the folder of this process's files, `BINARY.PID`. So two test binaries share no file name, and neither do two
/// runs of one binary at the same time. The folder stays when the process exits, to be read after a failure. The next run
/// of the same binary removes it.
pub fn scratch() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let prefix = concat!(env!("CARGO_CRATE_NAME"), ".");
        for entry in std::fs::read_dir(builds()).expect("cargo made the folder").flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
            if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
                // A second process may be removing the same folder.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let folder = builds().join(format!("{prefix}{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        folder
    })
}

/// Returns a path in the scratch folder that no earlier call returned, of a file that does not exist yet: `NAME.N.EXTENSION`.
pub fn unused_path(name: &str, extension: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    scratch().join(format!("{name}.{}.{extension}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Returns the full path of a program in `PATH`. If it is not installed, prints that the test is skipped and returns `None`.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skipped(program);
    }
    found
}

/// Prints that a test is skipped because `what` is missing.
pub fn skipped(what: &str) {
    announce(&format!("skipped: {what} is not installed"));
}

/// Prints a line on standard error. The test harness captures what `eprintln!` writes, and drops it if the test passes; it
/// does not capture direct writes.
pub fn announce(line: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Runs a command to its end with empty input. A command that cannot be started fails the test.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"))
}

/// Returns output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
