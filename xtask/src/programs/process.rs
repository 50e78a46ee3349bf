//! Starts processes and waits for them. No process outlives its handle.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::yard::text_of;
use crate::cargo::shown;

/// The interval at which a process is polled.
const STEP: Duration = Duration::from_millis(5);

/// A running process with a process group of its own. Dropping it kills the group.
pub struct Running {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
    ended: bool,
}

/// An exited process.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// CPU time of the process and of every descendant that was waited for.
    pub cpu: Duration,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Starts a command with its output in `BASE.out` and `BASE.err`. They are files: a pipe would have to be read
/// meanwhile, and a descendant that outlives the process would keep the reader waiting.
pub fn start(mut command: Command, base: &Path) -> Result<Running> {
    let name = shown(&command);
    let file = |ending| base.with_extension(ending);
    let (out, err) = (file("out"), file("err"));
    command.stdin(Stdio::null());
    command.stdout(File::create(&out).with_context(|| out.display().to_string())?);
    command.stderr(File::create(&err).with_context(|| err.display().to_string())?);
    let child = command.process_group(0).spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(Running { child, name, out, err, ended: false })
}

/// Runs a command to its end.
pub fn finish(command: Command, base: &Path, limit: Duration) -> Result<Ended> {
    start(command, base)?.wait(limit)
}

/// Runs a command to its end. Returns its standard output, or an error if the command fails.
pub fn succeed(command: Command, base: &Path, limit: Duration) -> Result<String> {
    let name = shown(&command);
    let ended = finish(command, base, limit)?;
    ensure!(ended.status.success(), "{name}: {}\n{}", ended.status, last_lines(&ended.err, 10));
    Ok(ended.out)
}

impl Running {
    /// Waits until the process exits. A process that has not exited within the limit is killed, and an error.
    pub fn wait(mut self, limit: Duration) -> Result<Ended> {
        let start = Instant::now();
        // The times are read while the process is a zombie: `wait` returns the status only.
        let cpu = loop {
            if let Some(cpu) = self.cpu_of_zombie()? {
                break cpu;
            }
            if start.elapsed() > limit {
                bail!("{} hangs: no end after {} s", self.name, limit.as_secs());
            }
            std::thread::sleep(STEP);
        };
        let status = self.child.wait()?;
        self.ended = true;
        Ok(Ended { status, cpu, out: text_of(&self.out)?, err: text_of(&self.err)? })
    }

    /// Returns whether the process still runs.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.cpu_of_zombie()?.is_none())
    }

    /// Returns its standard error so far.
    pub fn errors(&self) -> String {
        text_of(&self.err).unwrap_or_default()
    }

    /// Sends a signal, by name, to the process.
    pub fn signal(&self, signal: &str) -> Result<()> {
        kill(signal, &self.child.id().to_string())
    }

    /// Waits until `ready` returns true, for at most half a minute.
    pub fn wait_until(&self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            ensure!(self.is_running()?, "{} ended before {what}:\n{}", self.name, last_lines(&self.errors(), 10));
            ensure!(start.elapsed() < Duration::from_secs(30), "{}: not {what} after 30 s", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Returns the CPU time of a zombie, from `/proc`.
    fn cpu_of_zombie(&self) -> Result<Option<Duration>> {
        let stat = text_of(Path::new(&format!("/proc/{}/stat", self.child.id())))?;
        // The name, in parentheses, may contain any character.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        ensure!(fields.len() > 14, "/proc: {stat}");
        let ticks: u64 = fields[11..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        // A tick is 10 ms on Linux for this CPU.
        Ok((fields[0] == "Z").then_some(Duration::from_millis(ticks * 10)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill("KILL", &format!("-{}", self.child.id()));
            let _ = self.child.wait();
        }
    }
}

fn kill(signal: &str, target: &str) -> Result<()> {
    let status = Command::new("kill").args(["-s", signal, "--", target]).stderr(Stdio::null()).status();
    ensure!(status.context("cannot start kill")?.success(), "kill -s {signal} {target}: there is none");
    Ok(())
}

/// Returns the last lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
