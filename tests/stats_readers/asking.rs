//! Runs the command, and waits.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::common::{artifacts, run, skipped, text};

/// The limit of every wait.
pub const TIMEOUT: Duration = Duration::from_secs(180);

/// Another process. Dropping it kills it.
pub struct Other(pub i32);

impl Drop for Other {
    fn drop(&mut self) {
        signal(self.0, libc::SIGKILL);
    }
}

/// Sends a signal.
pub fn signal(pid: i32, signal: i32) {
    // SAFETY: a signal to a process that these tests started.
    unsafe { libc::kill(pid, signal) };
}

/// Runs the command.
pub fn crossfoot(arguments: &[&str]) -> Output {
    run(Command::new(&artifacts().cli).args(arguments).env_clear().env("PATH", "/usr/bin:/bin"))
}

/// Returns the JSON of `crossfoot stat`, which must succeed.
pub fn stat(pid: i32) -> serde_json::Value {
    let output = crossfoot(&["stat", &pid.to_string(), "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(figures["crossfoot"], "balanced");
    assert_eq!(figures["/process/id:pid"], pid);
    figures
}

/// Returns the line with which `crossfoot stat` refuses. It prints nothing else and exits with status 2.
pub fn refused(pid: i32) -> String {
    let output = crossfoot(&["stat", &pid.to_string()]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{}", text(&output.stderr));
    let line = text(&output.stderr);
    assert_eq!(line.lines().count(), 1, "{line}");
    line.trim_end().to_owned()
}

/// Returns a metric's value.
pub fn figure(figures: &serde_json::Value, metric: &str) -> i64 {
    figures[metric].as_i64().unwrap_or_else(|| panic!("no {metric} in {figures:#}"))
}

/// Waits until the condition holds.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < TIMEOUT, "{what}: not in {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns whether this process is root's. Prints that the test is skipped if not.
pub fn is_root(what: &str) -> bool {
    // SAFETY: it only answers.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skipped(&format!("a superuser, for {what}"));
    }
    root
}
