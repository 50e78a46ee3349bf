//! The duration of forks beside threads that allocate and threads that read statistics: not much longer than with
//! glibc's allocator.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{artifacts, installed, root, run, scratch, text};

/// The largest difference of the slowest forks, in microseconds.
const LONGER: u64 = 50_000;
/// The number of attempts: other programs take CPU time.
const ROUNDS: usize = 3;
/// The number of forks of an attempt.
const FORKS: &str = "20";

/// Compiles `tests/fork_latency/program.c`. Returns `None` without a compiler.
fn program() -> Option<PathBuf> {
    let (compiler, program) = (installed("gcc")?, scratch().join("fork-latency-program"));
    let mut command = Command::new(compiler);
    command.args(["-O1", "-Wall", "-pthread", "-fno-builtin", "-o"]).arg(&program);
    command.arg("-I").arg(root().join("preload/include")).arg(root().join("tests/fork_latency/program.c"));
    let output = run(command.arg("-ldl"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(program)
}

/// Returns the duration of the slowest fork of a run, in microseconds.
fn slowest(program: &Path, readers: &str, on_crossfoot: bool) -> u64 {
    let mut command = Command::new("timeout");
    command.args(["120", "env", "-u", "LD_PRELOAD"]).env_remove("CROSSFOOT");
    if on_crossfoot {
        command.arg(format!("LD_PRELOAD={}", artifacts().so.display()));
    }
    command.arg(program).args([FORKS, readers]);
    let output = run(&mut command);
    assert!(output.status.success(), "{readers}: {} {}", output.status, text(&output.stderr));
    text(&output.stdout).trim().parse().expect("a number")
}

/// One test, because two at a time would slow each other.
#[test]
fn a_fork_beside_readers_of_statistics_takes_little_longer_than_with_glibc() {
    let Some(program) = program() else { return };
    let (mut ours, mut glibc) = ([u64::MAX; 2], u64::MAX);
    for _ in 0..ROUNDS {
        glibc = glibc.min(slowest(&program, "mallinfo", false));
        for (ours, readers) in ours.iter_mut().zip(["snapshot", "mallinfo"]) {
            *ours = (*ours).min(slowest(&program, readers, true));
        }
        if ours.iter().all(|&ours| ours <= glibc + LONGER) {
            return;
        }
    }
    panic!(
        "the slowest of {FORKS} forks took {ours:?} us beside readers of snapshots and mallinfo2, {glibc} with glibc"
    );
}
