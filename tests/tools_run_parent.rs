//! `crossfoot run` as the parent of a program, as with a report or a check: a shell or a supervisor sees what the
//! program alone would show.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{artifacts, run, text};

/// The limit of every wait, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `crossfoot run --check -- sh -c SCRIPT`
fn under_run(script: &str) -> Command {
    let mut command = Command::new(&artifacts().cli);
    command.args(["run", "--check", "--", "sh", "-c", script]).stdin(Stdio::null());
    for variable in ["CROSSFOOT", "CROSSFOOT_LIB", "LD_PRELOAD"] {
        command.env_remove(variable);
    }
    // A shell ignores the first two for what it starts in the background, `nohup` ignores SIGHUP, and what a process ignores,
    // its children ignore.
    let restore = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            // SAFETY: no conditions; it may be called between fork and exec.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the function calls nothing but `signal`.
    unsafe { command.pre_exec(restore) };
    command
}

/// A run. Dropping it ends it.
struct Running {
    run: Child,
    /// The pid of the program, from its first line.
    program: i32,
    output: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Starts a script that first prints its pid.
    fn start(script: &str) -> Running {
        let mut run = under_run(&format!("echo $$; {script}")).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut output = BufReader::new(run.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        Running { run, program: line.trim().parse().expect("a number"), output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }

    /// Sends a signal to the command.
    fn send(&self, signal: i32) {
        // SAFETY: a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.run.id() as i32, signal) }, 0);
    }

    /// Waits until the process is in one of these states.
    #[track_caller]
    fn until(&self, pid: i32, states: &str) {
        let since = Instant::now();
        loop {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            if state.is_some_and(|state| states.contains(state)) {
                return;
            }
            assert!(since.elapsed() < TIMEOUT, "process {pid} is in state {state:?}, not {states}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.run.try_wait().expect("a child") {
                return status;
            }
            assert!(since.elapsed() < TIMEOUT, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.run.try_wait().is_ok_and(|ended| ended.is_none()) {
            // SAFETY: the program is a child of the command, which is there to wait for it.
            unsafe { libc::kill(self.program, libc::SIGKILL) };
            let _ = self.run.kill();
            let _ = self.run.wait();
        }
    }
}

#[test]
fn it_ends_as_the_program_ends() {
    for status in [0, 1, 42, 255] {
        let output = run(&mut under_run(&format!("exit {status}")));
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(status), ""));
    }
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGABRT, libc::SIGUSR1, libc::SIGSEGV, 40] {
        let output = run(&mut under_run(&format!("ulimit -c 0; kill -{signal} $$")));
        assert_eq!((output.status.signal(), output.status.core_dumped()), (Some(signal), false));
    }
    let mut command = Command::new(&artifacts().cli);
    let output = run(command.args(["run", "--check", "--", "/nowhere/program"]));
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(text(&output.stderr), "crossfoot: cannot run '/nowhere/program': there is no such file\n");
}

#[test]
fn signals_are_passed_on() {
    for (name, number) in
        [("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP), ("INT", libc::SIGINT), ("USR2", libc::SIGUSR2)]
    {
        let script = format!("trap 'echo got; exit 33' {name}; echo ready; while :; do sleep 0.05; done");
        let mut running = Running::start(&script);
        assert_eq!(running.line(), "ready\n");
        assert_ne!(running.program, running.run.id() as i32);
        running.send(number);
        assert_eq!((running.ended().code(), running.line().as_str()), (Some(33), "got\n"), "{name}");
    }
    // Without a handler, the signal ends both.
    let mut running = Running::start("echo ready; while :; do sleep 0.05; done");
    assert_eq!(running.line(), "ready\n");
    running.send(libc::SIGTERM);
    assert_eq!(running.ended().signal(), Some(libc::SIGTERM));
}

#[test]
fn it_stops_and_goes_on_with_the_program() {
    let mut running = Running::start("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    assert_eq!(running.line(), "ready\n");
    let (program, command) = (running.program, running.run.id() as i32);
    for _ in 0..3 {
        // SAFETY: a child of the command's, which has not ended.
        assert_eq!(unsafe { libc::kill(program, libc::SIGSTOP) }, 0);
        running.until(program, "T");
        running.until(command, "T");
        running.send(libc::SIGCONT);
        running.until(program, "SR");
        running.until(command, "SR");
    }
    running.send(libc::SIGTERM);
    assert_eq!(running.ended().code(), Some(5));
}

#[test]
fn the_program_inherits_the_caller_s_state() {
    let script = |prefix: &str| {
        format!("{prefix}; grep -E '^Sig(Blk|Ign):' /proc/self/status; echo $(ls /proc/self/fd | wc -l)")
    };
    let shown = |command: &mut Command| text(&run(command).stdout);
    let plain = shown(Command::new("sh").args(["-c", &script("trap '' USR1 HUP")]));
    let cli = artifacts().cli.display();
    // The inner shell ignores what the outer one does.
    let outer = format!("trap '' USR1 HUP; exec {cli} run --check -- sh -c \"$1\"");
    let ours = shown(Command::new("sh").args(["-c", &outer, "sh", &script(":")]).env_remove("CROSSFOOT"));
    let (plain, ours): (Vec<_>, Vec<_>) = (plain.lines().take(2).collect(), ours.lines().take(2).collect());
    assert_eq!(ours, plain);
    // A timer that was set before ends the program, and the command with it.
    if let Some(perl) = common::installed("perl") {
        let mut command = Command::new(perl);
        command.args(["-e", "alarm 1; exec @ARGV"]).arg(&artifacts().cli).args(["run", "--check", "--", "sleep", "60"]);
        assert_eq!(run(&mut command).status.signal(), Some(libc::SIGALRM));
    }
}

#[test]
fn it_keeps_neither_pipes_nor_the_directory() {
    let mut running = Running::start("trap 'exit 6' TERM; exec >&- 3>&-; while :; do sleep 0.05; done");
    // The end of the pipe: the command has no copy of it.
    assert_eq!(running.line(), "");
    let directory = fs::read_link(format!("/proc/{}/cwd", running.run.id())).expect("it runs");
    assert_eq!(directory.to_str(), Some("/"));
    running.send(libc::SIGTERM);
    assert_eq!(running.ended().code(), Some(6));
}

/// Runs `crossfoot run` with these arguments. Returns `None` without a compiler.
fn reporting(arguments: &[&str], words: &[&str]) -> Option<std::process::Output> {
    reporting_after("true", arguments, words)
}

/// As [`reporting`], after shell commands.
fn reporting_after(commands: &str, arguments: &[&str], words: &[&str]) -> Option<std::process::Output> {
    let source = common::root().join("tests/exit_report/program.c");
    let flags = ["-O1", "-fno-builtin", "-pthread"];
    let program = common::compile("gcc", "run-parent-program", |gcc| gcc.args(flags).arg(source))?;
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "60", "sh", "-c", &format!("{commands}; exec \"$@\""), "sh"])
        .arg(&artifacts().cli)
        .arg("run")
        .args(arguments)
        .arg("--")
        .arg(program)
        .args(words);
    for variable in ["CROSSFOOT", "CROSSFOOT_LIB", "LD_PRELOAD"] {
        command.env_remove(variable);
    }
    Some(run(&mut command))
}

#[test]
fn an_end_that_the_program_cannot_report_is_reported() {
    let path = common::scratch().join("run-parent-report");
    let to = path.to_str().expect("text");
    for (words, how) in [
        (&["allocate", "1", "kill", "9"][..], "ended by SIGKILL, "),
        (&["allocate", "5000", "kill", "15"], "ended by SIGTERM, "),
        (&["allocate", "5000", "raw-exit", "7"], "ended with status 7 and without Crossfoot's exit handler, "),
    ] {
        let Some(output) = reporting(&["--report", to], words) else { return };
        assert_eq!(text(&output.stderr), "");
        let report = fs::read_to_string(&path).expect("a report");
        let head = report.lines().next().expect("a head");
        assert!(head.contains("  process run-parent-prog") && head.contains(how), "{head}");
        assert!(head.ends_with(" s after these figures"), "{head}");
        assert!(
            report.contains("  /memory/classes/total:bytes\n") && report.ends_with("not checked  crossfoot\n"),
            "{report}"
        );
    }
    // A program that was executed by exec writes its own report.
    let output = reporting(&["--report", to], &["allocate", "5", "exit", "3"]).expect("it was built");
    assert_eq!(output.status.code(), Some(3));
    let report = fs::read_to_string(&path).expect("a report");
    assert!(
        report.ends_with("  balanced  crossfoot\n")
            && !report.lines().next().is_some_and(|head| head.contains("ended")),
        "{report}"
    );
    let output =
        reporting(&["--report", to, "--format", "json"], &["allocate", "5", "kill", "15"]).expect("it was built");
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).expect("a report")).expect("JSON");
    assert_eq!(json["crossfoot"], "not checked");
    assert!(json["process"]["ended"].as_str().is_some_and(|ended| ended.starts_with("ended by SIGTERM, ")), "{json:#}");
}

#[test]
fn a_check_that_was_not_made_is_reported_and_fails() {
    let words = |status| ["allocate", "50", "raw-exit", status];
    for (status, expected) in [("0", 70), ("7", 7)] {
        let Some(output) = reporting(&["--check"], &words(status)) else { return };
        let line = text(&output.stderr);
        let why = format!("--check: its books were not checked, because it ended with status {status} and without");
        assert!(line.contains(&why) && line.lines().count() == 1, "{line}");
        assert_eq!(output.status.code(), Some(expected));
    }
    let output = reporting(&["--check"], &["allocate", "50", "kill", "9"]).expect("it was built");
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    assert!(text(&output.stderr).contains("because it ended by SIGKILL; "), "{}", text(&output.stderr));
    // A check that was made prints nothing.
    for words in [&["allocate", "50", "exit", "0"][..], &["allocate", "50", "_exit", "0"], &["exit", "0"]] {
        let output = reporting(&["--check"], words).expect("it was built");
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    }
}

#[test]
fn a_missing_stats_page_is_reported() {
    let words = ["allocate", "50", "raw-exit", "0"];
    let Some(output) = reporting_after("export CROSSFOOT=stats_page:off", &["--check"], &words) else { return };
    let line = text(&output.stderr);
    assert!(line.contains("had no stats page: unless its exit handlers ran, nothing was checked"), "{line}");
    let words = ["allocate", "50", "kill", "9"];
    let output = reporting_after("ulimit -f 0", &["--check"], &words).expect("it was built");
    assert_eq!(output.status.signal(), Some(libc::SIGKILL));
    let line = text(&output.stderr);
    assert!(line.contains("it ended by SIGKILL, so nothing was checked"), "{line}");
}

#[test]
fn few_descriptors_are_enough_for_a_report() {
    let path = common::scratch().join("run-parent-few");
    let to = path.to_str().expect("text");
    for limit in ["64", "20"] {
        let _ = fs::remove_file(&path);
        let words = ["allocate", "50", "exit", "7"];
        let limit = format!("ulimit -n {limit}");
        let Some(output) = reporting_after(&limit, &["--check", "--report", to], &words) else { return };
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(7), ""), "{limit}");
        assert!(fs::read_to_string(&path).expect("a report").ends_with("  balanced  crossfoot\n"), "{limit}");
    }
}

#[test]
fn the_report_of_a_program_with_an_allocator_of_its_own_stays() {
    let path = common::scratch().join("run-parent-two");
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "60"])
        .arg(&artifacts().cli)
        .args(["run", "--check", "--report"])
        .arg(&path)
        .arg("--");
    let output = run(command.arg(common::target("rust-global").join("rust-global")).env_remove("CROSSFOOT"));
    assert!(output.status.success(), "{} {}", output.status, text(&output.stderr));
    let report = fs::read_to_string(&path).expect("a report");
    let objects = report.lines().find_map(|line| line.trim().strip_suffix("  /gc/heap/allocs:objects"));
    // 8 threads, 15 rounds, 2,000 entries of a key and a value each: the program's own, not what its libc asked for.
    assert!(objects.is_some_and(|objects| objects.parse::<u64>().is_ok_and(|n| n >= 480_000)), "{report}");
    assert!(report.ends_with("  balanced  crossfoot\n"), "{report}");
}

/// Runs `crossfoot run` with these arguments and a report at `path`. Returns the output, and the part of the report's
/// first line from the program's name on.
fn head_of(path: &std::path::Path, arguments: &[&str], program: &[&str]) -> (std::process::Output, String) {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60"]).arg(&artifacts().cli).args(["run", "--report"]).arg(path).args(arguments);
    for variable in ["CROSSFOOT", "CROSSFOOT_LIB", "LD_PRELOAD"] {
        command.env_remove(variable);
    }
    let output = run(command.arg("--").args(program));
    let report = fs::read_to_string(path).expect("a report");
    let head = report.lines().next().expect("a head");
    (output, head.trim().split_once("  process ").expect("a process").1.to_owned())
}

#[test]
fn a_program_without_crossfoot_is_not_taken_for_the_one_before() {
    let path = common::scratch().join("run-parent-without");
    let (output, head) = head_of(&path, &["--check"], &["env", "-i", "/bin/sh", "-c", "exit 0"]);
    assert!(head.starts_with("sh, ended with status 0 and without Crossfoot's exit handler, "), "{head}");
    assert!(head.ends_with(" s after these figures of env"), "{head}");
    let line = text(&output.stderr);
    assert!(line.starts_with("crossfoot: 'sh' (") && line.contains("; the sums of env "), "{line}");
    assert_eq!((output.status.code(), line.lines().count()), (Some(70), 1));
    // Two programs on Crossfoot before it.
    let (output, head) = head_of(&path, &[], &["sh", "-c", "exec env -i /bin/sleep 0.01"]);
    assert!(head.starts_with("sleep, ended with status 0 and ") && head.ends_with(" figures of env"), "{head}");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let (_, head) = head_of(&path, &[], &["env", "-i", "/bin/sh", "-c", "kill -9 $$"]);
    assert!(head.starts_with("sh, ended by SIGKILL, ") && head.ends_with(" figures of env"), "{head}");
    // One that runs on Crossfoot until the end.
    let (_, head) = head_of(&path, &[], &["env", "sh", "-c", "kill -9 $$"]);
    assert!(head.starts_with("sh, ended by SIGKILL, ") && !head.contains(" of env"), "{head}");
}

#[test]
fn every_report_has_the_same_name_of_a_program() {
    let folder = common::scratch().join("run-parent-name");
    fs::create_dir_all(&folder).expect("a folder");
    let (path, program) = (folder.join("R"), folder.join("a-name-of-more-than-15-bytes"));
    common::copy_program("/bin/sh", &program);
    let program = program.to_str().expect("text");
    let (_, own) = head_of(&path, &[], &[program, "-c", "exit 0"]);
    assert_eq!(own, "a-name-of-more-");
    let (output, other) = head_of(&path, &["--check"], &[program, "-c", "kill -9 $$"]);
    assert!(other.starts_with("a-name-of-more-, ended by SIGKILL, ") && other.ends_with(" figures"), "{other}");
    assert!(text(&output.stderr).starts_with("crossfoot: 'a-name-of-more-' ("), "{}", text(&output.stderr));
    let Some(perl) = common::installed("perl") else { return };
    // The program changes its name.
    let perl = perl.to_str().expect("text");
    for (end, rest) in [("exit 0", ""), ("kill 9, $$", ", ended by SIGKILL, ")] {
        let (_, head) = head_of(&path, &[], &[perl, "-e", &format!("$0 = 'renamed'; {end}")]);
        assert!(head.starts_with(&format!("renamed{rest}")), "{head}");
        assert_eq!(head.ends_with(" s after these figures of perl"), !rest.is_empty(), "{head}");
    }
}
