//! Runs the tests of the core under the compiler's sanitizers.
//!
//! The pinned compiler contains the sanitizers and takes their flags with `RUSTC_BOOTSTRAP=1`. AddressSanitizer works
//! with the prebuilt standard library. ThreadSanitizer has to see every synchronisation, so the standard library is
//! built with it from source.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, shown};
use crate::root;
use crate::soak;

/// With a named target, cargo passes the flags neither to build scripts nor to macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The end of the line that closes a sanitizer's report.
const FINDING: &str = "SUMMARY: ";

/// A sanitizer, the tests it runs, and those it cannot run.
struct Sanitizer {
    /// The name in `-Zsanitizer=…`.
    name: &'static str,
    /// The end of the name of its runtime library.
    runtime: &'static str,
    /// The standard library is built with it.
    whole: bool,
    /// Test binaries, in addition to the unit tests.
    tests: &'static [&'static str],
    /// The environment variable of its options, and the options.
    options: (&'static str, &'static str),
    /// Arguments of the test binaries.
    arguments: &'static [&'static str],
    /// Tests that are left out, by parts of their names, with the reason.
    left_out: &'static [(&'static str, &'static [&'static str])],
}

const SANITIZERS: [Sanitizer; 2] = [
    Sanitizer {
        name: "address",
        runtime: "_rt.asan.a",
        whole: false,
        tests: &["core_stats", "core_objects", "core_snapshots", "core_threads", "core_os_sim"],
        // Some tests leak allocators on purpose, and one expects the signal of an access to unmapped memory.
        options: ("ASAN_OPTIONS", "detect_leaks=0:handle_segv=0"),
        arguments: &[],
        left_out: &[
            (
                "on Linux the heap lies where the sanitizer has its own table",
                &[
                    "_on_linux",
                    "snapshots_beside_",
                    "a_reader_that_is_stopped_makes_answers_stale",
                    "objects_outlive_the_threads_that_made_them",
                ],
            ),
            ("the sanitizer leaves no address space that low", &["a_machine_lies_below_its_address_bits"]),
        ],
    },
    Sanitizer {
        name: "thread",
        runtime: "_rt.tsan.a",
        whole: true,
        tests: &["core_stats", "core_objects", "core_signals", "core_snapshots", "core_threads", "core_os_sim"],
        options: ("TSAN_OPTIONS", "handle_segv=0"),
        // The allocator maps memory that the sanitizer does not see. A simulated OS that reuses the addresses of an
        // earlier one must run after it, and not in parallel.
        arguments: &["--test-threads=1"],
        left_out: &[(
            "the sanitizer leaves no address space that wide",
            &[
                "machines_on_many_threads_are_apart_and_give_their_memory_back",
                "sixteen_tebibytes_cost_nothing_and_hold_at_both_ends",
            ],
        )],
    },
];

/// Runs the tests under each sanitizer, names those that cannot be run, and writes the results to docs/soak.md. Fails if
/// a test fails or a sanitizer finds something.
pub fn run() -> Result<()> {
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for sanitizer in &SANITIZERS {
        if let Some(missing) = sanitizer.missing()? {
            eprintln!("skipped: {}: {missing}", sanitizer.name);
            continue;
        }
        let row = sanitizer.run(&mut failed)?;
        eprintln!("xtask: {}: {} after {} s", row.name, row.result, row.took.as_secs());
        row.figures.iter().for_each(|line| eprintln!("  {line}"));
        rows.push(row);
    }
    soak::record("cargo xtask sanitize", &rows)?;
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// Returns how many tests passed, from the last line of a test binary.
fn passed(line: &str) -> Option<usize> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    counts.split_once(" passed")?.0.parse().ok()
}

/// Returns the folder of the compiler and its libraries.
fn sysroot() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output();
    let output = output.context("cannot start rustc")?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("lib/rustlib"))
}

impl Sanitizer {
    /// Returns what the sanitizer needs and this machine lacks.
    fn missing(&self) -> Result<Option<String>> {
        let library = sysroot()?;
        let files = std::fs::read_dir(library.join(TARGET).join("lib"));
        let has = |name: std::ffi::OsString| name.to_string_lossy().ends_with(self.runtime);
        if !files.is_ok_and(|files| files.filter_map(|file| file.ok()).any(|file| has(file.file_name()))) {
            return Ok(Some(format!("the compiler has no *{} for {TARGET}", self.runtime)));
        }
        if self.whole && !library.join("src/rust/library/Cargo.lock").is_file() {
            return Ok(Some("the source of the standard library is missing: rustup component add rust-src".to_owned()));
        }
        Ok(None)
    }

    fn command(&self) -> Command {
        let mut test =
            cargo(root(), &["test", "--package", "crossfoot", "--no-fail-fast", "--target", TARGET, "--lib"]);
        test.args(self.tests.iter().flat_map(|name| ["--test", name]));
        if self.whole {
            test.arg("-Zbuild-std");
        }
        test.arg("--target-dir").arg(root().join("target/sanitize").join(self.name)).arg("--").args(self.arguments);
        test.args(self.left_out.iter().flat_map(|(_, tests)| tests.iter().flat_map(|test| ["--skip", test])));
        // `RUSTC_BOOTSTRAP` permits flags that begin with -Z. A standard library that is built here unwinds, and is
        // built once.
        test.env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_DEV_PANIC", "unwind");
        // The tests under the thread sanitizer take minutes as it is.
        test.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
        test.env("RUSTFLAGS", format!("-Zsanitizer={}", self.name)).env(self.options.0, self.options.1);
        test.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CROSSFOOT_SOAK");
        test
    }

    /// Builds and runs the tests. Returns the row of the result; adds a line for each failure to `failed`.
    fn run(&self, failed: &mut Vec<String>) -> Result<soak::Row> {
        let (mut test, start) = (self.command(), Instant::now());
        let name = shown(&test);
        eprintln!("xtask: -Zsanitizer={}: {name}", self.name);
        let output = test.output().with_context(|| format!("cannot start {name}"))?;
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let passed: usize = printed.lines().filter_map(passed).sum();
        // The report is in the middle of the output of a test.
        let findings: Vec<&str> = errors.lines().chain(printed.lines()).filter(|line| line.contains(FINDING)).collect();
        if !output.status.success() || !findings.is_empty() || passed == 0 {
            let from = errors.len().saturating_sub(20_000);
            let tail = errors.get(from..).unwrap_or(&errors);
            eprintln!("{printed}\n{tail}");
            failed.push(format!(
                "{}: {}, {} findings, {passed} tests passed",
                self.name,
                output.status,
                findings.len()
            ));
        }
        let result = format!("{passed} passed, {} findings", findings.len());
        let mut figures: Vec<String> = findings.iter().map(|finding| format!("found: {}", finding.trim())).collect();
        figures.extend(self.left_out.iter().map(|(why, tests)| format!("left out, since {why}: {}", tests.join(", "))));
        Ok(soak::Row { name: format!("sanitize/{}", self.name), result, took: start.elapsed(), figures })
    }
}
