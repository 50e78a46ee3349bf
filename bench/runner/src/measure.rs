//! One process, from its start to its end, with what it used.

use crate::watch::{Ended, Watch};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    env,
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

/// Seconds after which a run counts as hung.
const PATIENCE: u32 = 120;

/// What one run used. Nothing is subtracted: starting the process and loading
/// the allocator are part of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sample {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Seconds of processor time, in the process and in the kernel.
    pub cpu_seconds: f64,
    /// The part of it that was spent in the kernel.
    pub system_seconds: f64,
    /// Peak of the resident memory in KiB.
    pub peak_kib: u64,
    /// Mean of the resident memory in KiB; the peak, if the run was shorter than the time between two looks. 0 in files
    /// of before it was taken.
    #[serde(default)]
    pub mean_kib: u64,
    /// Page faults that needed no reading from a device.
    pub minor_faults: u64,
}

/// Beginnings of the names of settings for an allocator, other than Crossfoot's.
const SETTINGS: &[&str] = &["LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_", "_RJEM_MALLOC_", "MIMALLOC_", "TCMALLOC_"];

/// A command that runs `program` with the allocator in `object`, if any.
pub fn command(program: &Path, object: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    // Settings for one allocator must not leak in from the caller's shell.
    for (name, _) in env::vars_os() {
        if SETTINGS.iter().any(|beginning| name.as_encoded_bytes().starts_with(beginning.as_bytes())) {
            command.env_remove(name);
        }
    }
    if let Some(object) = object {
        command.env("LD_PRELOAD", object);
    }
    command
}

/// Runs the command to its end; gives what it used and what it printed.
pub fn run(command: Command) -> Result<(Sample, String)> {
    run_beside(command, false, None)
}

/// What is done beside a running server: it is handed nothing, ends the server when it is done, and gives what the
/// server answered.
pub type Beside<'a> = &'a (dyn Fn() -> Result<String> + Sync);

/// As [`run`], with something that is done meanwhile, whose answer is part of the output. With `family`, the largest of
/// the process and its children is what is looked at.
///
/// The peak is the one that the child names in a line `peak<TAB>KiB`, if it does, or else `ru_maxrss`, which is never
/// less than this process's own size.
pub fn run_beside(mut command: Command, family: bool, beside: Option<Beside<'_>>) -> Result<(Sample, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: alarm may be called between fork and exec. It outlives the exec and ends a child that hangs, without a
    // thread or timer in this process.
    unsafe {
        command.pre_exec(|| {
            libc::alarm(PATIENCE);
            Ok(())
        });
    }
    let start = Instant::now();
    let child = command.spawn().context("cannot be started")?;
    let watch = Watch::new(&child, family)?;
    let (ended, answer) = thread::scope(|scope| {
        let driver = beside.map(|drive| scope.spawn(|| drive().inspect_err(|_| watch.end())));
        let ended = watch.wait();
        (ended, driver.map(|driver| driver.join().expect("a driver never panics")))
    });
    let seconds = start.elapsed().as_secs_f64();
    let Ended { status, usage, mean_kib } = ended?;
    let (output, complaint) = outputs(child)?;
    let answer = answer.transpose().with_context(|| complaint.clone())?.unwrap_or_default();
    if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM {
        bail!("not done after {PATIENCE} s");
    }
    if libc::WIFSIGNALED(status) {
        bail!("ended by signal {}: {}", libc::WTERMSIG(status), complaint);
    }
    if libc::WEXITSTATUS(status) != 0 {
        bail!("exit code {}: {}", libc::WEXITSTATUS(status), complaint);
    }
    let named = output.lines().find_map(|line| line.strip_prefix("peak\t"));
    let named = named.and_then(|text| text.parse().ok());
    let system_seconds = to_seconds(usage.ru_stime);
    let peak_kib = named.unwrap_or(usage.ru_maxrss as u64);
    let sample = Sample {
        seconds,
        cpu_seconds: to_seconds(usage.ru_utime) + system_seconds,
        system_seconds,
        peak_kib,
        mean_kib: mean_kib.unwrap_or(peak_kib),
        minor_faults: usage.ru_minflt as u64,
    };
    Ok((sample, output + &answer))
}

/// What the child wrote: its output, and the first line of its complaints.
fn outputs(child: Child) -> Result<(String, String)> {
    let mut output = Vec::new();
    child.stdout.context("the output is piped")?.read_to_end(&mut output)?;
    let mut complaint = Vec::new();
    child.stderr.context("the complaints are piped")?.read_to_end(&mut complaint)?;
    let complaint = String::from_utf8_lossy(&complaint);
    let first = complaint.lines().find(|line| !line.trim().is_empty());
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok((output, first.unwrap_or("nothing said").to_owned()))
}

/// Seconds of a C time value.
fn to_seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_ends_with_its_server_and_its_failure_ends_the_server() {
        let sleep = |seconds: &str| {
            let mut command = Command::new("sleep");
            command.arg(seconds);
            command
        };
        let (sample, output) = run_beside(sleep("0.05"), false, Some(&|| Ok("answer".to_owned()))).expect("both end");
        assert!(output == "answer" && sample.seconds > 0.04, "{output} after {} s", sample.seconds);
        let start = Instant::now();
        let failed = run_beside(sleep("60"), false, Some(&|| bail!("no answer")));
        assert!(format!("{:#}", failed.expect_err("the driver failed")).contains("no answer"));
        assert!(start.elapsed().as_secs() < 30, "the server was waited for");
    }
}
