//! The program as a child of this command, where a report or a check is asked for: somebody has to be there when it ends
//! in a way in which it writes none.
//!
//! The program is started as if this command became it: in the same process group, so that a terminal's signals and
//! its job control reach it; with the same ignored signals, signal mask and timers. This command holds back all signals
//! and passes on those that were sent to it alone, stops when the program stops, and ends as the program ended. It keeps
//! neither the program's descriptors nor its directory. A program lives on if this command is killed by SIGKILL, as under
//! `nohup` or `time`.

use std::cell::OnceCell;
use std::fs;
use std::io::{PipeReader, Read, Write};
use std::mem::zeroed;
use std::ptr::null_mut;

use crate::failure::Failure;
use crate::process;

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With an exit status.
    Exited(u8),
    /// By a signal.
    Killed(i32),
}

/// The program that runs.
pub struct Child {
    pid: libc::pid_t,
    /// The name of the program, as Linux had it when the process ended.
    name: OnceCell<Vec<u8>>,
}

/// What a program inherits that this command changes for itself.
struct Inherited {
    mask: libc::sigset_t,
    on_child: libc::sigaction,
    timers: [libc::itimerval; 3],
}

const TIMERS: [libc::c_int; 3] = [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF];

/// Holds back all signals, so that none comes before there is a child to pass it on to.
fn hold_signals() -> Inherited {
    // SAFETY: plain data that the calls fill; the calls change this process's signals and timers.
    unsafe {
        let mut inherited: Inherited = zeroed();
        let mut all: libc::sigset_t = zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut inherited.mask);
        // Where SIGCHLD is ignored, the system does not say how children end.
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
    /// Gives everything back, in the child, or where there is none.
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

/// Starts a program: `execute` becomes it, in a process of its own. An error: that failed, there. `None`: there can be no
/// other process, and everything is as it was.
pub fn start(execute: impl FnOnce() -> Failure) -> Option<Result<Child, Failure>> {
    let (reader, writer) = std::io::pipe().ok()?;
    let inherited = hold_signals();
    // SAFETY: this process has one thread, so the child may do everything.
    match unsafe { libc::fork() } {
        -1 => {
            inherited.restore();
            None
        }
        0 => {
            drop(reader);
            inherited.restore();
            let failure = execute();
            // The parent reads it; if that is gone, nobody can be told.
            let _ = (&writer).write_all(&[&[failure.status], failure.line.as_bytes()].concat());
            // SAFETY: ends the process; streams are the parent's.
            unsafe { libc::_exit(failure.status.into()) }
        }
        pid => {
            drop(writer);
            Some(match failed(reader) {
                None => Ok(Child { pid, name: OnceCell::new() }),
                Some(failure) => {
                    // SAFETY: waits for the child made above.
                    unsafe { libc::waitpid(pid, null_mut(), 0) };
                    Err(failure)
                }
            })
        }
    }
}

/// Waits until the program is executed. A failure: it could not be.
fn failed(mut reader: PipeReader) -> Option<Failure> {
    let mut bytes = Vec::new();
    // What cannot be read is as good as nothing: then the way in which the child ends says it.
    let _ = reader.read_to_end(&mut bytes);
    let (&status, line) = bytes.split_first()?;
    Some(Failure { status, line: String::from_utf8_lossy(line).into_owned() })
}

impl Child {
    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Returns the name of the program that the process was in the end, as Linux has it (15 bytes). Empty while it runs, and
    /// where there is no `/proc`.
    pub fn name(&self) -> &[u8] {
        self.name.get().map_or(&[], Vec::as_slice)
    }

    /// Lets go of what the program alone should have: its input, its output unless `keep_output`, and every descriptor
    /// above standard error; and its directory, which somebody may want to unmount.
    pub fn let_go(&self, keep_output: bool) {
        // SAFETY: these change descriptors and the directory of this process, which uses no others from here on.
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

    /// Passes on signals and stops with the program, until it ends.
    pub fn wait(&self) -> Ended {
        // SAFETY: plain data that the calls fill.
        let mut all: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: as above.
        unsafe { libc::sigfillset(&raw mut all) };
        loop {
            if let Some(ended) = self.poll() {
                return ended;
            }
            // SAFETY: as above; all signals are held back.
            let mut information: libc::siginfo_t = unsafe { zeroed() };
            // SAFETY: as above.
            let signal = unsafe { libc::sigwaitinfo(&raw const all, &raw mut information) };
            if signal > 0 && signal != libc::SIGCHLD {
                self.pass_on(signal, &information);
            }
        }
    }

    /// Asks for a change of the child's state. Returns `None` if there is none, an error if it is not known any more.
    fn change(&self, flags: libc::c_int) -> std::io::Result<Option<libc::siginfo_t>> {
        // SAFETY: plain data that the call fills.
        let mut information: libc::siginfo_t = unsafe { zeroed() };
        // SAFETY: asks for the child made in `start`.
        match unsafe { libc::waitid(libc::P_PID, self.pid(), &raw mut information, flags | libc::WNOHANG) } {
            // SAFETY: the call filled it, or left it zeros.
            0 => Ok(Some(information).filter(|found| unsafe { found.si_pid() } == self.pid)),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// What became of the program since the last look.
    fn poll(&self) -> Option<Ended> {
        loop {
            match self.change(libc::WEXITED | libc::WNOWAIT) {
                Ok(None) => {}
                Ok(Some(_)) => return Some(self.ended()),
                // Nobody else asks how it ended. If the system does not say, it is not known.
                Err(_) => return Some(Ended::Exited(Failure::REFUSED)),
            }
            match self.change(libc::WSTOPPED) {
                // SAFETY: it was filled for a child.
                Ok(Some(stopped)) => self.stop_too(unsafe { stopped.si_status() }),
                _ => return None,
            }
        }
    }

    /// Asks how the program ended, which it has. Keeps its name first: nothing else says which program it was, and it is gone
    /// with the process.
    fn ended(&self) -> Ended {
        if let Ok(mut name) = fs::read(process::of(self.pid, "comm")) {
            name.pop_if(|last| *last == b'\n');
            let _ = self.name.set(name);
        }
        let mut status = 0;
        // SAFETY: asks for the child made in `start`, which has ended.
        match unsafe { libc::waitpid(self.pid, &raw mut status, 0) } {
            -1 => Ended::Exited(Failure::REFUSED),
            _ if libc::WIFSIGNALED(status) => Ended::Killed(libc::WTERMSIG(status)),
            _ => Ended::Exited(libc::WEXITSTATUS(status) as u8),
        }
    }

    /// Stops as the program has, so that a shell sees its job stopped.
    fn stop_too(&self, signal: i32) {
        // SAFETY: plain data that the calls fill; what is changed is changed back.
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
            // Here it stops, until somebody has the job go on.
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const this, &raw mut mask);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, null_mut());
            libc::sigaction(signal, &raw const before, null_mut());
        }
    }

    /// Passes on a signal that the program did not get as well.
    fn pass_on(&self, signal: i32, information: &libc::siginfo_t) {
        // SAFETY: these only answer, and send a signal to the child, which exists until it was waited for.
        unsafe {
            let leads_session = libc::getsid(0) == libc::getpid();
            match information.si_code {
                // A terminal sends to the whole group. Only of a hangup the leader of a session is told alone.
                libc::SI_KERNEL if !(leads_session && matches!(signal, libc::SIGHUP | libc::SIGCONT)) => {}
                // It sent to its group.
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
    /// Ends this process in the same way, without a second core file. Returns the status where that is not possible, as
    /// for the first process of a container.
    pub fn end_so(self) -> u8 {
        let signal = match self {
            Ended::Exited(status) => return status,
            Ended::Killed(signal) => signal,
        };
        // SAFETY: plain data; the calls change this process, which ends.
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

/// Whether a path leads to the file of this descriptor.
pub fn leads_to(path: &std::path::Path, descriptor: i32) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: plain data that the call fills.
    let mut there: libc::stat = unsafe { zeroed() };
    // SAFETY: as above.
    let known = unsafe { libc::fstat(descriptor, &raw mut there) } == 0;
    known && path.metadata().is_ok_and(|file| (file.dev(), file.ino()) == (there.st_dev, there.st_ino))
}
