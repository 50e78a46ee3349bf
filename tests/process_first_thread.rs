//! Processes whose first thread has exited by `pthread_exit`: `/proc/PID` shows neither their memory nor their
//! descriptors, and the command reads another thread's.

#[path = "stats_readers/asking.rs"]
mod asking;
mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use asking::{crossfoot, figure, stat, until};
use common::{artifacts, compile, root, run, text};

/// Compiles `tests/first_thread/program.c`. Returns `None` without a compiler.
fn program() -> Option<PathBuf> {
    compile("gcc", "first-thread-program", |gcc| {
        gcc.args(["-O1", "-Wall", "-pthread", "-fno-builtin", "-I"]).arg(root().join("preload/include"));
        gcc.arg(root().join("tests/first_thread/program.c")).arg("-ldl")
    })
}

/// Returns a command for the program in this mode, on Crossfoot.
fn command(mode: &str) -> Option<Command> {
    let mut command = Command::new(program()?);
    command.arg(mode).env("LD_PRELOAD", &artifacts().so).env_remove("CROSSFOOT").stdin(Stdio::null());
    Some(command)
}

/// The running program; dropping it kills it.
struct Running(Child);

impl Running {
    /// Returns once the first thread has exited.
    fn start(mode: &str) -> Option<Running> {
        let mut child = command(mode)?.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Some(Running(child))
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asserts that the figures are read and renewed after a while: the first reading may be older than the objects.
#[track_caller]
fn assert_read(pid: i32) {
    until("a reading with the first objects", || figure(&stat(pid), "/gc/heap/allocs:objects") >= 1000);
}

/// Asserts that an audit succeeds. The process is busy, so its unexplained bytes come with its movement.
#[track_caller]
fn assert_audited(pid: i32) {
    let output = crossfoot(&["audit", &pid.to_string(), "--format", "json"]);
    let found: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    assert!(output.status.success(), "{found:#}{}", text(&output.stderr));
    let live = found["causes"]["live/small"]["resident"].as_u64();
    assert!(live >= Some(1_000_000), "{found:#}");
}

#[test]
fn every_command_reads_a_process_without_its_first_thread() {
    let Some(running) = Running::start("") else { return };
    let pid = running.pid();
    assert_read(pid);
    let summary = crossfoot(&["stat", &pid.to_string()]);
    assert!(summary.status.success(), "{}", text(&summary.stderr));
    assert_audited(pid);
    let output = crossfoot(&["trim", &pid.to_string(), "--wait", "60"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).ends_with("bytes back to the system\n"), "{}", text(&output.stdout));
    let output = crossfoot(&["ps"]);
    let processes = text(&output.stdout);
    let row = processes.lines().find(|row| row.split_whitespace().next() == Some(&pid.to_string()));
    let row = row.unwrap_or_else(|| panic!("no {pid}: {processes}"));
    assert!(row.contains("first-thread-program") && !row.contains('['), "{row}");
    assert!(row.split_whitespace().nth(2).is_some_and(|resident| resident != "-"), "{row}");
}

#[test]
fn a_process_without_its_first_thread_and_descriptors_is_read() {
    let Some(running) = Running::start("close") else { return };
    assert_read(running.pid());
    assert_audited(running.pid());
}

#[test]
fn a_process_is_read_while_threads_replace_each_other() {
    let Some(running) = Running::start("relay") else { return };
    for _ in 0..10 {
        assert_read(running.pid());
        assert_audited(running.pid());
    }
}

#[test]
fn a_process_without_its_first_thread_audits_itself() {
    let Some(mut command) = command("audit") else { return };
    let output = run(&mut command);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout), "result 0 moved 0 unexplained 0\n");
}

#[test]
fn an_exited_process_is_gone() {
    let Some(mut command) = command("audit") else { return };
    let mut child = command.stdout(Stdio::null()).spawn().expect("it starts");
    // SAFETY: the structure is valid as zeros, and Linux writes it. The child is not reaped: it stays a zombie.
    let ended = unsafe {
        let mut information: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, child.id(), &raw mut information, libc::WEXITED | libc::WNOWAIT)
    };
    assert_eq!(ended, 0);
    for command in ["stat", "audit", "trim"] {
        let output = crossfoot(&[command, &child.id().to_string()]);
        assert_eq!(text(&output.stderr), format!("crossfoot: no process {}\n", child.id()));
    }
    assert!(child.wait().expect("a child").success());
}
