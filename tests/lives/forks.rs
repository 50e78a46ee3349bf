//! The ways to create a child process, and the state of the child.

use std::process::Command;
use std::time::{Duration, Instant};

use super::common::{artifacts, run};
use super::{live, live_with, program, soaking};

#[test]
fn children_of_a_busy_process_balance() {
    let Some(program) = program("fork_beside") else { return };
    let (children, start) = (if soaking() { "2000" } else { "120" }, Instant::now());
    let (_, report) = live_with(&program, &[children]);
    // The caches of eight threads, the forking thread and the main thread.
    assert!(report.caches() <= 10, "{} caches", report.caches());
    println!("{children} children of fork beside 8 threads balance, in {:.1?}", start.elapsed());
}

#[test]
fn forks_at_odd_moments_balance() {
    let _ = live("fork_kinds");
}

#[test]
fn children_by_other_ways() {
    let Some((out, _)) = live("spawn") else { return };
    let expected = "vfork 0\nposix_spawn 0\nsystem 3\npopen 0\nclone 0\nclone beside others 0\n";
    assert_eq!(out, expected);
}

#[test]
fn a_daemon_keeps_no_pipe_open() {
    let Some(program) = program("daemon") else { return };
    let object = &artifacts().so;
    for options in ["check:on", "check:on,exit_report:stderr"] {
        let start = Instant::now();
        let output = run(Command::new(&program).env("LD_PRELOAD", object).env("CROSSFOOT", options));
        assert!(output.status.success(), "{}", output.status);
        assert!(start.elapsed() < Duration::from_secs(50), "{options}: the pipe was open for {:?}", start.elapsed());
    }
}

#[test]
fn handlers_of_fork_may_allocate() {
    let _ = live("fork_handlers");
}
