//! One process, from its start to its end, with what it used.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    io::Read,
    mem,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
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
    /// Page faults that needed no reading from a device.
    pub minor_faults: u64,
}

/// A command that runs `program` with the allocator in `object`, if any.
pub fn command(program: &Path, object: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    // Settings for one allocator must not leak in from the caller's shell.
    for name in ["LD_PRELOAD", "MALLOC_CONF", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"] {
        command.env_remove(name);
    }
    if let Some(object) = object {
        command.env("LD_PRELOAD", object);
    }
    command
}

/// Runs the command to its end; gives what it used and what it printed.
///
/// The peak is the one that the child names in a line `peak<TAB>KiB`, if it
/// does, or else `ru_maxrss`, which is never less than this process's own size.
pub fn run(mut command: Command) -> Result<(Sample, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: alarm may be called between fork and exec. It outlives the exec
    // and ends a child that hangs, without a thread or timer in this process.
    unsafe {
        command.pre_exec(|| {
            libc::alarm(PATIENCE);
            Ok(())
        });
    }
    let start = Instant::now();
    let child = command.spawn().context("cannot be started")?;
    let (status, usage) = wait(&child)?;
    let seconds = start.elapsed().as_secs_f64();
    let (output, complaint) = outputs(child)?;
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
    let sample = Sample {
        seconds,
        cpu_seconds: to_seconds(usage.ru_utime) + system_seconds,
        system_seconds,
        peak_kib: named.unwrap_or(usage.ru_maxrss as u64),
        minor_faults: usage.ru_minflt as u64,
    };
    Ok((sample, output))
}

/// Waits for the child; gives its status and its resources.
fn wait(child: &Child) -> Result<(libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    let id = child.id() as libc::pid_t;
    loop {
        // SAFETY: both out pointers are valid for the call; the child is ours
        // and nobody else waits for it.
        let ended = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
        if ended == id {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("wait4");
        }
    }
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
