//! What tests of whole programs share: the release build that they preload, and the homes.
//!
//! `cargo test` itself makes no shared object that can be preloaded, so the first test that needs one
//! builds it with a nested cargo. Test binaries run one after the other and their tests beside each
//! other, so a build happens once in each process, behind a lock on a file.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of this")]

mod compile;
pub mod rows;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use compile::{compile, copy_program, try_compile, write_program};

/// The files of a release build.
pub struct Artifacts {
    /// The command.
    pub cli: PathBuf,
    /// The shared object.
    pub so: PathBuf,
    /// The archive.
    pub a: PathBuf,
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of nested builds. It outlives the tests, so these builds are incremental.
pub fn builds() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The folder of this process's own files: two test binaries, or one that runs twice at the same time, share no name.
/// It stays when the process exits, for a look at what failed; the next run of the same test binary removes it.
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

/// The release build of the C face and the command, made at the first call.
pub fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        let target = builds().join("release-build");
        build("release-build", root(), &["-p", "crossfoot-preload", "-p", "crossfoot-cli"], "");
        let file = |name| target.join("release").join(name);
        Artifacts { cli: file("crossfoot"), so: file("libcrossfoot.so"), a: file("libcrossfoot.a") }
    })
}

/// The release build of a home under `tests/targets`, a workspace of its own. Returns the folder of its programs.
pub fn home(name: &str) -> PathBuf {
    let target = format!("home-{name}");
    build(&target, &root().join("tests/targets").join(name), &[], "");
    builds().join(target).join("release")
}

/// As [`home`], built as `cargo build` does it: not optimised, with everything checked that checked builds check.
pub fn checked_home(name: &str) -> PathBuf {
    let target = format!("home-{name}-checked");
    let config = ["opt-level=0", "debug-assertions=true", "overflow-checks=true", "lto=false"];
    let arguments: Vec<String> = config.iter().map(|line| format!("--config=profile.release.{line}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    build(&target, &root().join("tests/targets").join(name), &arguments, "");
    builds().join(target).join("release")
}

/// The model of many threads, `tests/targets/scaling`, built so that it sees every access to memory.
pub fn scaling() -> PathBuf {
    // Named, so that neither build scripts nor macros get the flags.
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let folder = root().join("tests/targets/scaling");
    let flags = std::fs::read_to_string(folder.join("flags.txt")).expect("the flags lie beside it");
    let flags: Vec<&str> = flags.split_whitespace().collect();
    build("home-scaling", &folder, &["--target", TARGET], &flags.join(" "));
    builds().join("home-scaling").join(TARGET).join("release/scaling")
}

/// The C face built without books, which exists to measure what they cost.
pub fn without_books() -> PathBuf {
    build("books-off", root(), &["-p", "crossfoot-preload"], "--cfg crossfoot_books_off");
    builds().join("books-off/release/libcrossfoot.so")
}

/// `cargo build --release` in `folder`, with a target folder of its own, whose lock is held meanwhile.
fn build(target: &str, folder: &Path, arguments: &[&str], flags: &str) {
    let lock = File::create(builds().join(format!("{target}.lock"))).expect("the scratch folder can be written");
    lock.lock().expect("a fresh file can be locked");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).args(["build", "--release"]).args(arguments);
    cargo.arg("--target-dir").arg(builds().join(target));
    // The flags of the outer build (coverage, a sanitizer) are not meant for what is shipped.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CROSSFOOT", "LD_PRELOAD"] {
        cargo.env_remove(variable);
    }
    cargo.env("RUSTFLAGS", flags);
    let output = cargo.stdin(Stdio::null()).output().expect("cargo can be started");
    assert!(output.status.success(), "a nested build failed: {cargo:?}\n{}", text(&output.stderr));
}

/// The full path of a program, if it is installed. Tells aloud that the test is skipped if not.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skipped(program);
    }
    found
}

/// Says that a test is skipped, past the capture of the test harness.
pub fn skipped(program: &str) {
    use std::io::Write;
    // `print!` would be captured and lost when the test passes.
    let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
}

/// Runs a command to its end without input; a command that cannot be started fails the test.
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"))
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
