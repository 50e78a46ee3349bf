//! Nested release builds: `cargo test` builds no object that can be preloaded, so the first test that needs one runs
//! `cargo build --release` in a target folder of its own and prints what is built and why.
//!
//! Tests of one binary run in parallel and binaries may overlap, so each build happens once a process, with a file lock
//! held.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use super::{announce, builds, root, skipped};

/// The files of the release build.
pub struct Artifacts {
    /// The command.
    pub cli: PathBuf,
    /// The shared object.
    pub so: PathBuf,
    /// The archive.
    pub a: PathBuf,
}

/// A nested build.
struct Build<'a> {
    /// What is built, for the line that says so.
    what: &'a str,
    /// Why tests need it.
    why: &'a str,
    /// The name of the target folder.
    target: &'a str,
    /// The folder in which cargo runs.
    folder: &'a Path,
    arguments: &'a [&'a str],
    /// `RUSTFLAGS`.
    flags: &'a str,
}

/// Returns the release build of the preloaded object, the archive and the command. The first call builds it.
pub fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        let release = Build {
            what: "libcrossfoot.so, libcrossfoot.a and crossfoot as users get them (release, LTO)",
            why: "tests preload, link and run them",
            target: "release-build",
            folder: root(),
            arguments: &["-p", "crossfoot-preload", "-p", "crossfoot-cli"],
            flags: "",
        };
        let folder = release.make();
        let file = |name| folder.join("release").join(name);
        Artifacts { cli: file("crossfoot"), so: file("libcrossfoot.so"), a: file("libcrossfoot.a") }
    })
}

/// Builds `tests/targets/NAME`, a workspace of its own. Returns the folder of its programs.
pub fn target(name: &str) -> PathBuf {
    let folder = root().join("tests/targets").join(name);
    let build = Build {
        what: &format!("tests/targets/{name} (release)"),
        why: "the test runs this program, which has the allocator linked in",
        target: &format!("target-{name}"),
        folder: &folder,
        arguments: &[],
        flags: "",
    };
    build.make().join("release")
}

/// As [`target`], but without optimisation and with debug assertions and overflow checks, as `cargo build` builds it.
pub fn checked_target(name: &str) -> PathBuf {
    let folder = root().join("tests/targets").join(name);
    let config = ["opt-level=0", "debug-assertions=true", "overflow-checks=true", "lto=false"];
    let arguments: Vec<String> = config.iter().map(|line| format!("--config=profile.release.{line}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let build = Build {
        what: &format!("tests/targets/{name} (with debug assertions)"),
        why: "the test runs this program with the checks of a debug build",
        target: &format!("target-{name}-checked"),
        folder: &folder,
        arguments: &arguments,
        flags: "",
    };
    build.make().join("release")
}

/// Builds `tests/targets/NAME` with cargo's own release profile: no LTO, 16 codegen units, unwinding panics. Most users
/// build like this. Returns the folder of its programs.
pub fn plain_target(name: &str) -> PathBuf {
    let folder = root().join("tests/targets").join(name);
    let config = ["lto=false", "codegen-units=16", "panic=\"unwind\""];
    let arguments: Vec<String> = config.iter().map(|line| format!("--config=profile.release.{line}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let build = Build {
        what: &format!("tests/targets/{name} (release, no LTO)"),
        why: "the test runs this program as a user builds it by default",
        target: &format!("target-{name}-plain"),
        folder: &folder,
        arguments: &arguments,
        flags: "",
    };
    build.make().join("release")
}

/// Builds `tests/targets/scaling`, the model of many threads, instrumented so that it sees every access to memory.
pub fn scaling() -> PathBuf {
    // With a named target, cargo passes the flags neither to build scripts nor to macros.
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let folder = root().join("tests/targets/scaling");
    let flags = std::fs::read_to_string(folder.join("flags.txt")).expect("flags.txt is in the folder");
    let build = Build {
        what: "tests/targets/scaling (release, instrumented)",
        why: "the test counts the cache lines that threads share",
        target: "target-scaling",
        folder: &folder,
        arguments: &["--target", TARGET],
        flags: &flags.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    build.make().join(TARGET).join("release/scaling")
}

/// Builds the shared object without statistics, and returns its path.
pub fn without_books() -> PathBuf {
    let build = Build {
        what: "libcrossfoot.so without statistics (release, LTO)",
        why: "the test measures what statistics cost",
        target: "books-off",
        folder: root(),
        arguments: &["-p", "crossfoot-preload"],
        flags: "--cfg crossfoot_books_off",
    };
    build.make().join("release/libcrossfoot.so")
}

/// Builds the C API for another target, with `core` and `alloc` built from their sources. Returns the folder of the
/// release, or `None`, after a line on stderr, if Debian's compiler or its sources are not installed.
pub fn for_target(target: &str) -> Option<PathBuf> {
    let needed = [
        ("/usr/bin/rustc", "rustc-web"),
        ("/usr/bin/cargo", "cargo-web"),
        ("/usr/lib/rustlib/src/rust/library/Cargo.toml", "rust-web-src"),
    ];
    if let Some((_, package)) = needed.iter().find(|(file, _)| !Path::new(file).exists()) {
        skipped(package);
        return None;
    }
    let build = Build {
        what: &format!("libcrossfoot.a for {target} (release, LTO)"),
        why: "tests link it",
        target: "for-targets",
        folder: root(),
        arguments: &[
            "-p",
            "crossfoot-preload",
            "--target",
            target,
            "-Zbuild-std=core,alloc",
            "-Zbuild-std-features=compiler-builtins-mem",
        ],
        flags: "",
    };
    let mut cargo = Command::new("/usr/bin/cargo");
    // The packages have no `core` for other targets. A released compiler builds it only with this variable.
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    Some(build.make_by(cargo).join(target).join("release"))
}

impl Build<'_> {
    /// Runs this project's cargo.
    fn make(&self) -> PathBuf {
        self.make_by(Command::new(env!("CARGO")))
    }

    /// Runs `cargo build --release` by this `cargo`, with the lock of the target folder held. Returns the target folder. Prints what is
    /// built, and why, if anything has to be compiled.
    fn make_by(&self, mut cargo: Command) -> PathBuf {
        let Build { what, why, target, .. } = self;
        let lock = File::create(builds().join(format!("{target}.lock"))).expect("the target folder can be written");
        lock.lock().expect("a new file can be locked");
        let folder = builds().join(target);
        cargo.current_dir(self.folder).args(["build", "--release"]).args(self.arguments);
        cargo.arg("--target-dir").arg(&folder);
        // The flags of the outer build, for coverage or a sanitizer, are not those of a release.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CROSSFOOT", "LD_PRELOAD"] {
            cargo.env_remove(variable);
        }
        cargo.env("RUSTFLAGS", self.flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = cargo.spawn().expect("cargo can be started");
        let mut errors = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let (start, mut said, mut compiles, mut line) = (Instant::now(), String::new(), false, String::new());
        while errors.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if !compiles && line.trim_start().starts_with("Compiling") {
                compiles = true;
                announce(&format!("tests: builds {what} in target/tmp/{target}: {why}"));
            }
            said.push_str(&line);
            line.clear();
        }
        let _ = errors.read_to_string(&mut said);
        let status = child.wait().expect("cargo was started");
        assert!(status.success(), "a nested build failed: {cargo:?}\n{said}");
        if compiles {
            announce(&format!("tests: built {target} in {} s", start.elapsed().as_secs()));
        }
        folder
    }
}
