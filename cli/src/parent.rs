//! Runs the program as a child of this command, for a report or a check: a killed program writes neither, so its parent
//! has to.
//!
//! The program starts as if this command became it: in the same process group, so that a terminal's signals and job
//! control reach it, and with the same ignored signals, signal mask and timers. This command blocks all signals and
//! passes on those that were sent to it alone. It stops when the program stops, and ends as the program ended. It
//! closes its copies of the program's descriptors and leaves its directory. If this command is killed by SIGKILL, the
//! program runs on, as under `nohup` or `time`.

use std::cell::OnceCell;
use std::fs;
use std::io::{PipeReader, Read, Write};
use std::mem::zeroed;
use std::ptr::null_mut;

use crate::failure::Failure;
use crate::proc_files;

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With an exit status.
    Exited(u8),
    /// By a signal.
    Killed(i32),
}

/// The program, as a running child process.
pub struct Child {
    pid: libc::pid_t,
    /// The name that Linux had for the program when the process ended.
    name: OnceCell<Vec<u8>>,
}

/// The inherited state that this command changes for itself and gives back to the program.
struct Inherited {
    mask: libc::sigset_t,
    on_child: libc::sigaction,
    timers: [libc::itimerval; 3],
}

const TIMERS: [libc::c_int; 3] = [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF];

/// Blocks all signals, so that none arrives before there is a child to pass it on to. Stops the timers. Returns the
/// state before.
fn hold_signals() -> Inherited {
    // SAFETY: the structures are plain data that the calls fill. The calls change this process's signals and timers.
    unsafe {
        let mut inherited: Inherited = zeroed();
        let mut all: libc::sigset_t = zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut inherited.mask);
        // While SIGCHLD is ignored, Linux does not report how children end.
        let mut default: libc::sigaction = zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGCHLD, &raw const default, &raw mut inherited.on_child);
        let none: libc::itimerval = zeroed();
        for (timer, left) in TIMERS.into_iter().zip(&mut inherited.timers) {
            libc::setitimer(timer, &raw const none, left);
        }
        inherited
    }
}

impl Inherited {
    /// Restores the inherited state, in the child, or in this process if there is no child.
    fn restore(&self) {
        // SAFETY: as above.
        unsafe {
            for (timer, left) in TIMERS.into_iter().zip(&self.timers) {
                libc::setitimer(timer, left, null_mut());
            }
            libc::sigaction(libc::SIGCHLD, &raw const self.on_child, null_mut());
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, null_mut());
        }
    }
}

/// Starts a program in a child process: `execute` becomes the program there. Returns an error if `execute` failed.
/// Returns `None`, with everything restored, if no child can be made.
pub fn start(execute: impl FnOnce() -> Failure) -> Option<Result<Child, Failure>> {
    let (reader, writer) = std::io::pipe().ok()?;
    let inherited = hold_signals();
    // SAFETY: this process has one thread, so the child may call any function.
    match unsafe { libc::fork() } {
        -1 => {
            inherited.restore();
            None
        }
        0 => {
            drop(reader);
            inherited.restore();
            let failure = execute();
            // An error is dropped: it means that the parent is gone.
            let _ = (&writer).write_all(&[&[failure.status], failure.line.as_bytes()].concat());
            // SAFETY: ends the process without flushing the streams, which the parent flushes.
            unsafe { libc::_exit(failure.status.into()) }
        }
        pid => {
            drop(writer);
            Some(match failed(reader) {
                None => Ok(Child { pid, name: OnceCell::new() }),
                Some(failure) => {
                    // SAFETY: waits for the child that was created above.
                    unsafe { libc::waitpid(pid, null_mut(), 0) };
                    Err(failure)
                }
            })
        }
    }
}

/// Waits until the child has executed the program. Returns the failure if it could not.
fn failed(mut reader: PipeReader) -> Option<Failure> {
    let mut bytes = Vec::new();
    // A failed read counts as an empty one: the child's exit status still shows that it failed.
    let _ = reader.read_to_end(&mut bytes);
    let (&status, line) = bytes.split_first()?;
    Some(Failure { status, line: String::from_utf8_lossy(line).into_owned() })
}

impl Child {
    /// Returns the process's number.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Returns the name that Linux had for the program when the process ended (at most 15 bytes). Empty while it runs,
    /// and where there is no `/proc`.
    pub fn name(&self) -> &[u8] {
        self.name.get().map_or(&[], Vec::as_slice)
    }

    /// Gives up what only the program should hold: the input, the output unless `keep_output`, every descriptor above
    /// standard error, and the directory, so that its file system can be unmounted.
    pub fn let_go(&self, keep_output: bool) {
        // SAFETY: the calls change the directory and descriptors of this process, which uses no others afterwards.
        unsafe {
            libc::chdir(c"/".as_ptr());
            let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            let own = nothing.max(0);
            for standard in [0, 1] {
                if nothing >= 0 && (standard == 0 || !keep_output) {
                    libc::dup2(own, standard);
                }
            }
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        }
    }

    /// Waits until the program ends. Passes signals on to it, and stops when it stops.
    pub fn wait(&self) -> Ended {
        // SAFETY: plain data that the calls fill.
        let mut all: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: as above.
        unsafe { libc::sigfillset(&raw mut all) };
        loop {
            if let Some(ended) = self.poll() {
                return ended;
            }
            // SAFETY: as above. All signals are blocked.
            let mut information: libc::siginfo_t = unsafe { zeroed() };
            // SAFETY: as above.
            let signal = unsafe { libc::sigwaitinfo(&raw const all, &raw mut information) };
            if signal > 0 && signal != libc::SIGCHLD {
                self.pass_on(signal, &information);
            }
        }
    }

    /// Returns a change of the child's state, or `None` if there is none. Returns an error if the child is no longer
    /// known.
    fn change(&self, flags: libc::c_int) -> std::io::Result<Option<libc::siginfo_t>> {
        // SAFETY: plain data that the call fills.
        let mut information: libc::siginfo_t = unsafe { zeroed() };
        // SAFETY: the call writes to `information`.
        match unsafe { libc::waitid(libc::P_PID, self.pid(), &raw mut information, flags | libc::WNOHANG) } {
            // SAFETY: the call filled the structure, or left it zero.
            0 => Ok(Some(information).filter(|found| unsafe { found.si_pid() } == self.pid)),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Handles the changes of the program's state since the last call. Returns how the program ended, if it has.
    fn poll(&self) -> Option<Ended> {
        loop {
            match self.change(libc::WEXITED | libc::WNOWAIT) {
                Ok(None) => {}
                Ok(Some(_)) => return Some(self.ended()),
                // No other code waits for this child. So its status is lost, and the command fails.
                Err(_) => return Some(Ended::Exited(Failure::REFUSED)),
            }
            match self.change(libc::WSTOPPED) {
                // SAFETY: the structure was filled for a child.
                Ok(Some(stopped)) => self.stop_too(unsafe { stopped.si_status() }),
                _ => return None,
            }
        }
    }

    /// Returns how the program ended. Called once it is a zombie. Keeps its name first: `/proc` has it only until the
    /// process is waited for, and nothing else tells which program it was.
    fn ended(&self) -> Ended {
        if let Ok(mut name) = fs::read(proc_files::of(self.pid, "comm")) {
            name.pop_if(|last| *last == b'\n');
            let _ = self.name.set(name);
        }
        let mut status = 0;
        // SAFETY: the call writes to `status`. The child has ended, so it does not block.
        match unsafe { libc::waitpid(self.pid, &raw mut status, 0) } {
            -1 => Ended::Exited(Failure::REFUSED),
            _ if libc::WIFSIGNALED(status) => Ended::Killed(libc::WTERMSIG(status)),
            _ => Ended::Exited(libc::WEXITSTATUS(status) as u8),
        }
    }

    /// Stops this process by the signal that stopped the program, so that a shell sees its job stopped.
    fn stop_too(&self, signal: i32) {
        // SAFETY: the structures are plain data that the calls fill. The changed signal state is restored below.
        unsafe {
            let mut now: libc::siginfo_t = zeroed();
            let flags = libc::WCONTINUED | libc::WNOHANG | libc::WNOWAIT;
            let asked = libc::waitid(libc::P_PID, self.pid.unsigned_abs(), &raw mut now, flags);
            if asked == 0 && now.si_signo != 0 {
                return;
            }
            let (mut default, mut before): (libc::sigaction, libc::sigaction) = (zeroed(), zeroed());
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &raw const default, &raw mut before);
            let (mut this, mut mask): (libc::sigset_t, libc::sigset_t) = (zeroed(), zeroed());
            libc::sigemptyset(&raw mut this);
            libc::sigaddset(&raw mut this, signal);
            libc::kill(libc::getpid(), signal);
            // The process stops at this unblocking, until SIGCONT.
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const this, &raw mut mask);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, null_mut());
            libc::sigaction(signal, &raw const before, null_mut());
        }
    }

    /// Passes a signal on, unless the program got it as well.
    fn pass_on(&self, signal: i32, information: &libc::siginfo_t) {
        // SAFETY: the calls read numbers and send a signal to the child. Its number is not reused before it was waited
        // for.
        unsafe {
            let leads_session = libc::getsid(0) == libc::getpid();
            match information.si_code {
                // A terminal signals the whole group. Only a hangup goes to the session's leader alone.
                libc::SI_KERNEL if !(leads_session && matches!(signal, libc::SIGHUP | libc::SIGCONT)) => {}
                // The program signalled its own group.
                _ if information.si_code <= 0 && information.si_pid() == self.pid => {}
                libc::SI_QUEUE => {
                    libc::sigqueue(self.pid, signal, information.si_value());
                }
                _ => {
                    libc::kill(self.pid, signal);
                }
            }
        }
    }
}

impl Ended {
    /// Ends this process in the same way, without a second core dump. Returns the exit status where a signal cannot end
    /// it, as for the first process of a container.
    pub fn end_so(self) -> u8 {
        let signal = match self {
            Ended::Exited(status) => return status,
            Ended::Killed(signal) => signal,
        };
        // SAFETY: the structures are plain data. The calls change only this process, which ends.
        unsafe {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            let mut default: libc::sigaction = zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &raw const default, null_mut());
            libc::kill(libc::getpid(), signal);
            let mut this: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut this);
            libc::sigaddset(&raw mut this, signal);
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const this, null_mut());
        }
        128u8.wrapping_add(signal as u8)
    }
}

/// Returns whether a path leads to the file of this descriptor.
pub fn leads_to(path: &std::path::Path, descriptor: i32) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: plain data that the call fills.
    let mut there: libc::stat = unsafe { zeroed() };
    // SAFETY: as above.
    let known = unsafe { libc::fstat(descriptor, &raw mut there) } == 0;
    known && path.metadata().is_ok_and(|file| (file.dev(), file.ino()) == (there.st_dev, there.st_ino))
}
