//! The lives of threads and processes under the preloaded object: small C programs, each with one hard moment.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{artifacts, installed, root, run, scratch, text};

/// Compiles `tests/lives/NAME.c`. `None`: there is no C compiler, which was said aloud.
fn program(name: &str) -> Option<PathBuf> {
    let compiler = installed("gcc")?;
    let (source, out) = (root().join(format!("tests/lives/{name}.c")), scratch().join(format!("lives-{name}")));
    let output = run(Command::new(compiler).args(["-O1", "-pthread", "-o"]).arg(&out).arg(source));
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(out)
}

/// Runs a program on the shared object with its books checked. Returns what it printed and its report.
fn live(name: &str) -> Option<(String, serde_json::Value)> {
    let program = program(name)?;
    let path = scratch().join(format!("lives-{name}.json"));
    let _ = std::fs::remove_file(&path);
    let options = format!("check:on,exit_format:json,exit_report:{}", path.display());
    let mut command = Command::new("timeout");
    // `env` sets them for the program alone: `timeout` ends last, and its report would be the one that is read.
    command.arg("120").arg("env").arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    command.arg(format!("CROSSFOOT={options}")).arg(&program);
    let output = run(&mut command);
    assert!(output.status.success(), "{name}: {} {}", output.status, text(&output.stderr));
    let json = std::fs::read_to_string(&path).expect("the report was written");
    let report: serde_json::Value = serde_json::from_str(&json).expect("the report is JSON");
    assert_eq!(report["crossfoot"], "balanced", "{report:#}");
    Some((text(&output.stdout), report))
}

#[test]
fn frees_after_the_last_destructor_take_no_cache() {
    let Some((_, report)) = live("late_free") else { return };
    // The main thread's, and the one that 300 threads share one after the other.
    assert!(report["/cache/made:caches"].as_i64() <= Some(3), "{report:#}");
}

#[test]
fn a_cache_that_a_living_thread_gives_back_is_adopted() {
    let Some((_, report)) = live("retire") else { return };
    // The main thread's, and the one that two threads have in turn.
    assert_eq!(report["/cache/made:caches"].as_i64(), Some(2), "{report:#}");
}

#[test]
fn what_others_freed_comes_home_before_memory_runs_out() {
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

#[test]
fn children_of_a_busy_process_balance() {
    let _ = live("fork_beside");
}
