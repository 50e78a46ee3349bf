//! Lives of threads and processes with the preloaded object: small programs, each with one difficult moment.

mod common;
#[path = "lives/forks.rs"]
mod forks;
#[path = "lives/handlers.rs"]
mod handlers;
#[path = "lives/libraries.rs"]
mod libraries;
#[path = "lives/plugins.rs"]
mod plugins;
#[path = "lives/threads.rs"]
mod threads;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{artifacts, root, run, skipped, text, unused_path};

/// The metrics of a program that succeeded.
struct Report(serde_json::Value);

impl Report {
    fn number(&self, metric: &str) -> i64 {
        self.0[metric].as_i64().unwrap_or_else(|| panic!("no {metric} in {:#}", self.0))
    }

    fn caches(&self) -> i64 {
        self.number("/cache/made:caches")
    }
}

/// Returns whether `cargo xtask soak` runs the tests, in their long form.
fn soaking() -> bool {
    std::env::var_os("CROSSFOOT_SOAK").is_some()
}

/// Compiles a file of `tests/lives`, without optimising away unused objects. Returns `None` without a compiler.
fn compile(source: &str, name: &str, flags: &[&str]) -> Option<PathBuf> {
    let compiler = if source.ends_with(".cpp") { "g++" } else { "gcc" };
    common::compile(compiler, &format!("lives-{name}"), |command| {
        command.args(["-O1", "-g", "-pthread", "-fno-builtin", "-fno-allocation-dce"]);
        command.arg(root().join("tests/lives").join(source)).args(flags)
    })
}

/// Compiles `tests/lives/NAME.c`.
fn program(name: &str) -> Option<PathBuf> {
    compile(&format!("{name}.c"), name, &[])
}

/// A run of a program.
struct Life<'a> {
    program: &'a Path,
    arguments: &'a [&'a str],
    /// The preloaded objects, in this order.
    preload: &'a [&'a PathBuf],
}

impl Life<'_> {
    /// Runs the program to its end, with checks. Returns its output and its report.
    fn live(&self) -> (String, Report) {
        let name = self.program.file_name().and_then(|name| name.to_str()).expect("a name of ours");
        let path = unused_path(name, "json");
        let options = format!("check:on,exit_format:json,exit_report:{}", path.display());
        let preload: Vec<String> = self.preload.iter().map(|object| object.display().to_string()).collect();
        let mut command = Command::new("timeout");
        // `env` sets them for the program alone: `timeout` exits last, and would overwrite the report.
        command.args(["--kill-after=10", if soaking() { "1200" } else { "120" }, "env"]);
        command.arg(format!("LD_PRELOAD={}", preload.join(":"))).arg(format!("CROSSFOOT={options}"));
        let output = run(command.arg(self.program).args(self.arguments));
        assert!(output.status.success(), "{name}: {} {}", output.status, text(&output.stderr));
        let json = std::fs::read_to_string(&path).expect("the report was written");
        let report = Report(serde_json::from_str(&json).expect("the report is JSON"));
        assert_eq!(report.0["crossfoot"], "balanced", "{:#}", report.0);
        (text(&output.stdout), report)
    }
}

/// Runs a program on the shared object, as [`Life::live`] does.
fn live_with(program: &Path, arguments: &[&str]) -> (String, Report) {
    Life { program, arguments, preload: &[&artifacts().so] }.live()
}

/// Compiles and runs `tests/lives/NAME.c`.
fn live(name: &str) -> Option<(String, Report)> {
    Some(live_with(&program(name)?, &[]))
}

#[test]
fn frees_after_the_last_destructor_take_no_cache() {
    let Some((_, report)) = live("late_free") else { return };
    // The cache of the main thread, and one that 300 threads use in sequence.
    assert!(report.caches() <= 3, "{} caches", report.caches());
}

#[test]
fn a_cache_that_a_living_thread_gives_back_is_adopted() {
    let Some((_, report)) = live("retire") else { return };
    // The cache of the main thread, and one that two threads use in turn.
    assert_eq!(report.caches(), 2);
}

#[test]
fn remote_frees_are_reclaimed_before_memory_runs_out() {
    let Some((out, _)) = live("come_home") else { return };
    let numbers: Vec<i64> = out.split_whitespace().map(|word| word.parse().expect("two numbers")).collect();
    let [filled, again] = numbers[..] else { panic!("{out}") };
    assert!(filled > 100_000, "1 GiB holds few objects of 3,000 bytes: {filled}");
    assert!(again >= filled * 9 / 10, "of {filled} objects that were freed, {again} could be had again");
}

#[test]
fn address_space_that_was_used_up_serves_small_objects() {
    let Some((out, _)) = live("used_up") else { return };
    let mebibytes: Vec<i64> = out.split_whitespace().map(|word| word.parse().expect("three numbers")).collect();
    let [large, medium, small] = mebibytes[..] else { panic!("{out}") };
    assert!(large > 300, "{out}");
    assert!(medium >= large * 8 / 10 && small >= large * 7 / 10, "{out}");
}

/// A sandbox that refuses `membarrier` after the start: no reading can be complete, and nothing is compared.
#[test]
fn a_check_that_could_not_be_made_says_so() {
    let Some(program) = program("check_refused") else { return };
    let line = "crossfoot: check: not everything was compared: a thread was stopped in a movement, or the system refused \
                a fence\n";
    for word in ["exit", "read"] {
        for (options, expected) in [("check:on", line), ("exit_report:/dev/null", ""), ("", "")] {
            let mut command = Command::new("timeout");
            command.args(["60", "env"]).arg(format!("LD_PRELOAD={}", artifacts().so.display()));
            let output = run(command.arg(format!("CROSSFOOT={options}")).arg(&program).arg(word));
            if text(&output.stdout).contains("no filter") {
                return skipped("a filter of system calls");
            }
            assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), expected), "{word} {options}");
        }
    }
}

#[test]
fn misuse_in_a_second_thread_ends_by_sigabrt() {
    use std::os::unix::process::ExitStatusExt;
    let Some(program) = program("second_thread") else { return };
    for _ in 0..10 {
        let output = run(Command::new(&program).env("LD_PRELOAD", &artifacts().so).env_remove("CROSSFOOT"));
        assert_eq!(output.status.signal(), Some(6), "{}", output.status);
        let line = text(&output.stderr);
        assert!(line.starts_with("crossfoot: free(0x") && line.ends_with("): already freed\n"), "{line}");
    }
}
