//! Audits processes that allocate all the time: each audit succeeds and reports no error. And audits one with a wrong
//! account, which is reported.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use common::{artifacts, run, text};
use crossfoot::audit::Offsets;
use crossfoot::stats::Account;
use crossfoot::stats_page::layout::{MAGIC, OFFSETS, OFFSETS_AT};
use serde_json::Value;

/// The number of audits of each program.
const AUDITS: usize = 8;

/// A program on Crossfoot, killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts `tests/audit/busy.c`. Returns when it is ready, or `None` without a compiler.
    fn start(how: &str, threads: usize) -> Option<Running> {
        let mut command = Command::new(program()?);
        command.args([how, &threads.to_string()]).env("LD_PRELOAD", &artifacts().so).env_remove("CROSSFOOT");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("text");
        let running = Running(child);
        assert_eq!(line, "ready\n");
        Some(running)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn audit(&self, within: &str) -> Output {
        let pid = self.pid().to_string();
        run(Command::new(&artifacts().cli).args(["audit", &pid, "--format", "json", "--within", within]))
    }
}

fn program() -> Option<PathBuf> {
    let source = common::root().join("tests/audit/busy.c");
    common::compile("gcc", "audit-busy", |gcc| gcc.args(["-O1", "-pthread"]).arg(source))
}

/// One program at a time: together they would overload the machine.
static ALONE: Mutex<()> = Mutex::new(());

/// Audits a correct program repeatedly: no audit is refused or reports an error, and the unexplained bytes are within
/// the reported movement.
fn comes_through(how: &str, threads: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(running) = Running::start(how, threads) else { return };
    for _ in 0..AUDITS {
        let output = running.audit("0.1");
        assert!(output.status.success(), "{how}: {}: {}", output.status, text(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).expect("an audit");
        let number = |name: &str| found[name].as_i64().unwrap_or_else(|| panic!("{name}: {found:#}"));
        let mut cache_padded = vec![number("unexplained").unsigned_abs()];
        for sides in found["accounts"].as_object().expect("accounts").values() {
            let side = |name: &str| sides[name].as_i64().expect("a number");
            cache_padded.push(side("account").abs_diff(side("walked")));
        }
        let moved = number("moved").unsigned_abs();
        assert!(cache_padded.iter().all(|&bytes| bytes <= moved), "{how}: {found:#}");
        assert!(number("resident") > 0 && number("explained") > 0 && number("looks") > 0, "{how}: {found:#}");
    }
}

#[test]
fn threads_that_free_each_others_objects() {
    comes_through("exchanges", 8);
}

#[test]
fn two_hundred_threads() {
    comes_through("exchanges", 200);
}

#[test]
fn threads_that_start_and_end() {
    comes_through("ends", 24);
}

#[test]
fn a_process_that_forks_all_the_time() {
    comes_through("forks", 4);
}

#[test]
fn large_objects_that_grow() {
    comes_through("grows", 4);
}

/// Returns the addresses of a process's structures, from its stats page.
fn offsets(pid: u32, memory: &File) -> Offsets {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it is there");
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let start = line.split('-').next().and_then(|at| u64::from_str_radix(at, 16).ok()).expect("an address");
        let mut bytes = [0; 8 * (OFFSETS_AT + OFFSETS)];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        if words[0] == MAGIC {
            let words: &[u64; OFFSETS] = words[OFFSETS_AT..].try_into().expect("so many");
            return Offsets::from_words(words).expect("of this build");
        }
    }
    panic!("no stats page in:\n{maps}");
}

#[test]
fn a_wrong_account_is_reported() {
    let Some(running) = Running::start("sleeps", 0) else { return };
    let pid = running.pid();
    // SAFETY: the process is this one's child.
    unsafe { libc::kill(pid as i32, libc::SIGSTOP) };
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("a child's memory");
    let output = running.audit("1");
    assert!(output.status.success(), "{}", text(&output.stderr));

    let at = offsets(pid, &memory).accounts.balances + 8 * Account::HeapFree as u64;
    let mut word = [0; 8];
    memory.read_exact_at(&mut word, at).expect("an account");
    let balance = u64::from_ne_bytes(word);
    memory.write_all_at(&(balance + 8192).to_ne_bytes(), at).expect("a child's memory");
    let output = running.audit("1");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(70), "{said}");
    assert!(said.contains("are not what its pages say") && said.lines().count() == 1, "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("an audit");
    assert!(found["moved"] == 0 && found["movements"] == 0 && found["looks"] == 2, "two looks agree: {found:#}");

    memory.write_all_at(&balance.to_ne_bytes(), at).expect("a child's memory");
    let output = running.audit("1");
    assert!(output.status.success(), "{}", text(&output.stderr));
}
