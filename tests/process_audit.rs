//! `crossfoot audit`: every resident byte of real processes has a cause, to the page.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{artifacts, compile, copy_program, installed, run, scratch, skipped, text};
use serde_json::Value;

/// The limit of every wait, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A process on Crossfoot, killed when it is dropped.
struct Running {
    child: Child,
    /// The lines that it printed before it was ready.
    said: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts a command with the shared object preloaded. Returns when a line says `ready`.
    fn start(command: &mut Command) -> Running {
        command.env("LD_PRELOAD", &artifacts().so).env_remove("CROSSFOOT").env("LC_ALL", "C");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (mut said, mut line) = (Vec::new(), String::new());
        while out.read_line(&mut line).expect("text") > 0 {
            said.push(std::mem::take(&mut line).trim().to_owned());
            if said.last().is_some_and(|line| line.contains("ready")) {
                break;
            }
        }
        // Later output is discarded, and the pipe stays open.
        std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
        Running { child, said }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn audit(pid: u32) -> Output {
    run(Command::new(&artifacts().cli).args(["audit", &pid.to_string(), "--format", "json"]))
}

fn parse(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", text(&output.stdout), text(&output.stderr)))
}

/// Returns the audit of a process that has become idle: after it said `ready` it still works for a moment, longer on a
/// busy machine.
fn audit_of_still(pid: u32) -> Value {
    let until = Instant::now() + TIMEOUT;
    loop {
        let output = audit(pid);
        let found = parse(&output);
        if found["moved"] == 0 || Instant::now() > until {
            assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn resident(found: &Value, cause: &str) -> u64 {
    found["causes"][cause]["resident"].as_u64().unwrap_or_else(|| panic!("no cause {cause}: {found:#}"))
}

/// Asserts what must hold of an idle process.
fn balances(found: &Value) {
    assert_eq!(found["moved"], 0, "{found:#}");
    assert_eq!(found["unexplained"], 0, "{found:#}");
    assert_eq!(found["explained"], found["resident"], "{found:#}");
    let causes = found["causes"].as_object().expect("causes");
    let sum: u64 = causes.values().map(|cause| cause["resident"].as_u64().expect("a number")).sum();
    assert_eq!(Some(sum), found["resident"].as_u64(), "{found:#}");
    assert!(causes.values().all(|cause| cause["resident"].as_u64() <= cause["of"].as_u64()), "{found:#}");
    for (name, sides) in found["accounts"].as_object().expect("accounts") {
        assert_eq!(sides["account"], sides["walked"], "{name}: {found:#}");
    }
    let outside = found["outside"].as_object().expect("the rest");
    let outside: u64 = outside.values().map(|bytes| bytes.as_u64().expect("a number")).sum();
    let whole = found["system"]["resident"].as_u64().expect("the process");
    assert_eq!(sum + outside, whole, "{found:#}");
}

/// Compiles the program with 64 threads. Returns `None` without a compiler.
fn threads() -> Option<PathBuf> {
    let source = common::root().join("tests/audit/threads.c");
    compile("gcc", "audit-threads", |gcc| gcc.args(["-O1", "-pthread"]).arg(source))
}

#[test]
fn a_program_with_64_threads() {
    let Some(program) = threads() else { return };
    let running = Running::start(&mut Command::new(program));
    let found = audit_of_still(running.pid());
    balances(&found);
    // A third of 76,800 objects of 750 bytes on average, of which a fifth was not touched.
    assert!(resident(&found, "live/small") > 10_000_000 && resident(&found, "live/large") > 15_000_000, "{found:#}");
    assert!(resident(&found, "cached") > 3_000_000, "64 threads have free objects: {found:#}");
    assert!(resident(&found, "in-transit") > 0, "objects of others were freed last: {found:#}");
    assert!(
        found["causes"]["live/large"]["of"].as_u64() > found["causes"]["live/large"]["resident"].as_u64(),
        "{found:#}"
    );
    assert!(resident(&found, "metadata/caches") > 64 * 4096 && resident(&found, "ledger") > 0, "{found:#}");
}

#[test]
fn both_sides_of_a_fork_and_a_process_without_descriptors() {
    let Some(program) = threads() else { return };
    let forked = Running::start(Command::new(&program).arg("-f"));
    let child =
        forked.said.iter().find_map(|line| line.strip_prefix("child ")?.parse().ok()).expect("the child's number");
    let (parent, of_child) = (audit_of_still(forked.pid()), audit_of_still(child));
    balances(&parent);
    balances(&of_child);
    let new = resident(&of_child, "live/small") as i64 - resident(&parent, "live/small") as i64;
    assert!((4_900_000..5_600_000).contains(&new), "1,000 objects of 5,000 bytes: {new}\n{of_child:#}");
    // SAFETY: the process is the child of the one that was started here.
    unsafe { libc::kill(child as i32, libc::SIGKILL) };
    let closed = Running::start(Command::new(&program).arg("-c"));
    balances(&audit_of_still(closed.pid()));
}

/// Between two steps the process is idle, but it has mappings that the list did not have when the audit began.
#[test]
fn a_process_that_grows_while_it_is_looked_at_is_no_failure() {
    let Some(program) = threads() else { return };
    let running = Running::start(Command::new(program).arg("-g"));
    for _ in 0..5 {
        let output = audit(running.pid());
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn a_c_program_audits_itself() {
    let program = compile("gcc", "audit-inside", |gcc| {
        gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]).arg(common::root().join("preload/include"));
        gcc.arg(common::root().join("tests/audit/inside.c")).arg(&artifacts().a)
    });
    let Some(program) = program else { return };
    let output = run(Command::new(&program).env_remove("CROSSFOOT").env_remove("LD_PRELOAD"));
    assert!(output.status.success(), "{}: {}{}", output.status, text(&output.stdout), text(&output.stderr));
}

#[test]
fn python_after_a_large_release() {
    let Some(python) = installed("python3") else { return };
    let program = "\
import sys, time
keep = [str(i) * 3 for i in range(20000)]
many = [[str(i + j) for j in range(10)] for i in range(60000)]
del many
print('ready', flush=True)
time.sleep(600)";
    let running = Running::start(Command::new(python).args(["-c", program]).env("PYTHONMALLOC", "malloc"));
    let found = audit_of_still(running.pid());
    balances(&found);
    let left = resident(&found, "cached") + resident(&found, "free") + resident(&found, "fragmentation");
    assert!(left > 20_000_000, "600,000 strings were released: {found:#}");
    assert!(resident(&found, "live/small") > 2_000_000, "{found:#}");
}

#[test]
fn redis_after_its_benchmark() {
    let (Some(server), Some(benchmark)) = (installed("redis-server"), installed("redis-benchmark")) else { return };
    let folder = scratch().join("audit-redis");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the scratch folder can be written");
    let socket = folder.join("s");
    let mut command = Command::new(server);
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--hz", "1", "--dir"]).arg(&folder);
    command.arg("--unixsocket").arg(&socket);
    let running = Running::start(&mut command);
    let until = Instant::now() + TIMEOUT;
    while !socket.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let load = ["-n", "40000", "-r", "50000", "-d", "300", "-P", "16", "-t", "set,lpush,hset", "-q"];
    let output = run(Command::new(benchmark).arg("-s").arg(&socket).args(load));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found = audit_of_still(running.pid());
    balances(&found);
    assert!(resident(&found, "live/small") > 10_000_000, "{found:#}");
}

#[test]
fn a_process_of_another_user_and_one_that_is_gone() {
    let Some(program) = threads() else { return };
    let running = Running::start(&mut Command::new(program));
    let pid = running.pid();
    drop(running);
    let output = audit(pid);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), format!("crossfoot: no process {pid}\n")));
    let Some(setpriv) = installed("setpriv") else { return };
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("the right to become another user");
    }
    let other = Running::start(Command::new("sh").args(["-c", "echo ready; exec sleep 600"]));
    // A copy that every user may execute.
    let copy = std::env::temp_dir().join(format!("crossfoot-audit-{}", std::process::id()));
    copy_program(&artifacts().cli, &copy);
    let mut command = Command::new(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    let output = run(command.args(["audit", &other.pid().to_string()]));
    fs::remove_file(&copy).expect("it is there");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("crossfoot: ") && said.lines().count() == 1 && said.contains("another user"), "{said}");
}
