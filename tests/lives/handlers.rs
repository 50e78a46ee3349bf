//! Signal handlers that interrupt the allocator: they fork, and end the process. And forks beside streams.

use std::path::Path;
use std::process::{Command, Output};

use super::common::{artifacts, run, text, unused_path};
use super::compile;

/// Runs a program on the shared object, for at most two minutes.
fn run_with(program: &Path, arguments: &[&str], options: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "120", "env"]);
    command.arg(format!("LD_PRELOAD={}", artifacts().so.display())).arg(format!("CROSSFOOT={options}"));
    run(command.arg(program).args(arguments))
}

/// Lets handlers fork while their thread does `what`, beside this many threads. Children that exit at once always
/// succeed. Children that allocate in the handler may end with a line that forbids it; so may those that go on, beside
/// other threads.
fn handlers_fork(what: &str, threads: &str) {
    let name = format!("fork-in-handler-{what}-{threads}");
    let Some(program) = compile("fork_in_handler.c", &name, &[]) else { return };
    let lines = [
        "crossfoot: the allocator: called by a signal handler inside the allocator",
        "crossfoot: malloc: called by a signal handler inside the allocator",
        "crossfoot: malloc: called on the system stack",
        "crossfoot: a handler of fork allocates that was registered before the allocator",
        "crossfoot: this process was forked by a signal handler inside the allocator, beside other threads",
    ];
    for options in ["", "check:on"] {
        let output = run_with(&program, &[what, "150", threads], options);
        // Children that end by `_exit` inside the allocator report with `check:on` that nothing was checked.
        let unchecked = |line: &&str| line.starts_with("crossfoot: check: not everything was compared: ");
        let said = text(&output.stderr);
        let said: String = said.lines().filter(|line| !unchecked(line)).map(|line| format!("{line}\n")).collect();
        assert!(output.status.success(), "{what} {threads} {options}: {} {said}", output.status);
        assert!(said.lines().all(|line| lines.contains(&line)), "{what} {threads} {options}: {said}");
        let numbers: Vec<usize> = text(&output.stdout).split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert!(numbers[0] >= 150 && numbers[1] == said.lines().count(), "{numbers:?} {said}");
    }
}

#[test]
fn handlers_fork_inside_objects() {
    handlers_fork("objects", "0");
}

#[test]
fn handlers_fork_inside_heaps() {
    handlers_fork("heaps", "0");
}

#[test]
fn handlers_fork_inside_readings() {
    handlers_fork("readings", "0");
}

#[test]
fn handlers_fork_inside_forks() {
    handlers_fork("forks", "0");
}

#[test]
fn handlers_fork_beside_threads() {
    ["objects", "heaps", "readings"].into_iter().for_each(|what| handlers_fork(what, "3"));
}

/// Runs 100 programs that exit in a handler. Returns how many exited inside the allocator, and their standard error.
fn leave_in_handlers(options: &str) -> (usize, String) {
    let name = format!("exit-in-handler-{}", options.len());
    let Some(program) = compile("exit_in_handler.c", &name, &[]) else { return (1, String::new()) };
    let path = unused_path(&name, "json");
    let (mut inside, mut early, mut all) = (0, 0, String::new());
    for i in 0..100 {
        let _ = std::fs::remove_file(&path);
        let options = format!("{options}exit_format:json,exit_report:{}", path.display());
        let output = run_with(&program, &[&(i * 37).to_string()], &options);
        let said = text(&output.stderr);
        assert!(output.status.success(), "run {i}: {} {said}", output.status);
        let report = std::fs::read_to_string(&path).expect("the report was written");
        let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
        let words = report["crossfoot"].as_str().unwrap_or_else(|| panic!("run {i}: {:#}", report["crossfoot"]));
        let unchecked = words.starts_with("unchecked: the process exited inside the allocator");
        assert!(unchecked || words == "balanced", "run {i}: {words}");
        let mapped = report["/memory/classes/total:bytes"].as_u64();
        // On a busy machine the handler may run before the first snapshot.
        let is_early = unchecked && mapped.is_none();
        assert!(is_early || mapped > Some(100_000), "run {i}: the snapshot is of this process: {mapped:?}");
        early += usize::from(is_early);
        inside += usize::from(unchecked);
        all += &said;
    }
    assert!(early < 50, "{early} of 100 reports have no figures");
    (inside, all)
}

#[test]
fn a_handler_may_end_the_process_and_a_report_is_written() {
    let (inside, said) = leave_in_handlers("");
    assert!(inside > 0, "no run left inside the allocator");
    assert_eq!(said, "");
}

#[test]
fn a_handler_may_end_the_process_and_is_told_that_nothing_was_checked() {
    let (inside, said) = leave_in_handlers("check:on,");
    assert!(inside > 0, "no run left inside the allocator");
    let line = "crossfoot: check: not everything was compared: the process exited inside the allocator";
    assert!(said.lines().all(|said| said == line), "{said}");
    assert!(said.is_empty() || said.lines().count() == inside);
}

#[test]
fn forks_and_streams_do_not_wait_for_each_other() {
    let Some(program) = compile("streams_fork.c", "streams-beside", &[]) else { return };
    let output = run_with(&program, &["beside", "20"], "");
    assert!(output.status.success(), "{} {}", output.status, text(&output.stderr));
}

/// glibc resets the lock of its stream list in the child of a process that had threads, and does not otherwise.
#[test]
fn a_thread_of_a_child_opens_a_stream() {
    let Some(program) = compile("streams_fork.c", "streams-of-a-child", &[]) else { return };
    for parent in ["alone", "two"] {
        let output = run_with(&program, &[parent], "");
        assert!(output.status.success(), "{parent}: {} {}", output.status, text(&output.stderr));
    }
}
