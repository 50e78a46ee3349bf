//! Processes that are started, waited for, and never left behind.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::yard::text_of;
use crate::cargo::shown;

/// How often a process is looked at.
const STEP: Duration = Duration::from_millis(5);

/// A process that runs, in a process group of its own. Dropping it kills the group.
pub struct Running {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
    ended: bool,
}

/// A process that has ended.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Processor time of it and of every descendant that was waited for.
    pub cpu: Duration,
    /// What it printed to standard output.
    pub out: String,
    /// What it printed to standard error.
    pub err: String,
}

/// Starts a command whose outputs go to `BASE.out` and `BASE.err`: files, so that nobody has to read them meanwhile,
/// and that a descendant which outlives the process keeps nobody waiting.
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

/// Runs a command to its end, which must be a success. Returns its standard output.
pub fn succeed(command: Command, base: &Path, limit: Duration) -> Result<String> {
    let name = shown(&command);
    let ended = finish(command, base, limit)?;
    ensure!(ended.status.success(), "{name}: {}\n{}", ended.status, last_lines(&ended.err, 10));
    Ok(ended.out)
}

impl Running {
    /// Waits for the end. A process that has not ended within the limit hangs: it is killed, and an error.
    pub fn wait(mut self, limit: Duration) -> Result<Ended> {
        let start = Instant::now();
        // Times are read while it is a zombie: `wait` would give the status only.
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

    /// Whether it is still there.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.cpu_of_zombie()?.is_none())
    }

    /// What it has printed to standard error so far.
    pub fn errors(&self) -> String {
        text_of(&self.err).unwrap_or_default()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, signal: &str) -> Result<()> {
        kill(signal, &self.child.id().to_string())
    }

    /// Waits until `ready` says yes, for half a minute.
    pub fn wait_until(&self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            ensure!(self.is_running()?, "{} ended before {what}:\n{}", self.name, last_lines(&self.errors(), 10));
            ensure!(start.elapsed() < Duration::from_secs(30), "{}: not {what} after 30 s", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its processor time once it has ended and nobody has waited for it, from `/proc`.
    fn cpu_of_zombie(&self) -> Result<Option<Duration>> {
        let stat = text_of(Path::new(&format!("/proc/{}/stat", self.child.id())))?;
        // The name, in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        ensure!(fields.len() > 14, "/proc: {stat}");
        let ticks: u64 = fields[11..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        // A tick is 10 ms on every system of this CPU.
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

/// The end of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
