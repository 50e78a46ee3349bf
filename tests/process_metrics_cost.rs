//! The instructions of a reading of metrics, counted by callgrind, and the system calls that metrics count, compared
//! with strace.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{artifacts, compile, installed, root, run, scratch, text};

/// The limit of the instructions of a reading of every metric beyond those of one metric, which are its snapshot: 57
/// names are found, and some 650 figures computed. 19,219 were measured, and 1.8 µs (docs/decisions/0017).
const BAR: u64 = 22_000;
/// The readings of the program.
const TIMES: u64 = 100;
/// The options. The heap, with the system stack in it, is below the program's stack, which valgrind puts at 128 GiB: if
/// the system stack were above, callgrind would take the stack switch for a return and count nothing that runs there.
/// Without the stats page, to which readings are written by the clock.
const OPTIONS: &str = "heap_base:0x1000000000,stats_page:off";

/// Compiles the program.
fn program() -> Option<PathBuf> {
    compile("gcc", "metrics-reader", |gcc| {
        gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-fno-builtin-malloc", "-I"]);
        gcc.arg(root().join("preload/include")).arg(root().join("tests/metrics/reader.c")).arg(&artifacts().a)
    })
}

/// Returns the instructions of a reading.
fn instructions(valgrind: &PathBuf, program: &PathBuf, what: &str) -> u64 {
    let log = scratch().join(format!("metrics.{what}.callgrind"));
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--toggle-collect=crossfoot_metrics_read"]);
    command.arg(format!("--callgrind-out-file={}", log.display())).arg(program).arg(what).env("CROSSFOOT", OPTIONS);
    let output = run(&mut command);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let samples: u64 = text(&output.stdout).trim().parse().expect("how many samples");
    assert!(if what == "all" { samples > 50 } else { samples == 1 });
    let log = std::fs::read_to_string(log).expect("callgrind wrote its log");
    let sum = log.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    sum.expect("a sum").trim().parse::<u64>().expect("a number") / TIMES
}

#[test]
fn every_metric_costs_little_beside_the_snapshot() {
    let (Some(valgrind), Some(program)) = (installed("valgrind"), program()) else { return };
    let (one, all) = (instructions(&valgrind, &program, "one"), instructions(&valgrind, &program, "all"));
    if std::env::var_os("CROSSFOOT_SOAK").is_some() {
        println!("one metric: {one} instructions, every metric: {all}, {} more", all - one);
    }
    assert!(all > one, "{all} instructions, {one} for one metric");
    assert!(all - one <= BAR, "{} instructions beside the snapshot, at most {BAR}", all - one);
}

#[test]
fn system_calls_are_those_that_strace_sees() {
    let (Some(strace), Some(program)) = (installed("strace"), program()) else { return };
    let log = scratch().join("metrics.strace");
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-e", "trace=madvise,mremap,membarrier", "-o"]).arg(&log).arg(program).arg("calls");
    let output = run(command.env_remove("CROSSFOOT"));
    if !output.status.success() {
        common::skipped("a system on which strace may trace");
        return;
    }
    let log = std::fs::read_to_string(log).expect("strace wrote its log");
    let mut seen = 0;
    // The C library makes none of these; mmap and munmap are its own too.
    for call in ["madvise", "mremap", "membarrier"] {
        let lines = || log.lines().filter(|line| line.contains(&format!(" {call}(")));
        let (made, failed) = (lines().count(), lines().filter(|line| line.contains(" = -1 ")).count());
        let line = format!("call=\"{call}\" {made} {failed}\n");
        assert!(text(&output.stdout).contains(&line), "{line}{}\n{log}", text(&output.stdout));
        seen += made;
    }
    assert!(seen > 10, "{log}");
}
