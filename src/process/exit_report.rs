//! The report that a process writes when it exits.
//!
//! When the options are read, the path is made absolute, and the file is opened and kept. So the program may later change
//! its directory, root or rights, or run out of descriptors. If the file cannot be opened, a line is printed at once. The
//! file is written once, and never read.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Display, Write};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicI32, Ordering};

use rustix::fd::BorrowedFd;

use super::instance::ALLOCATOR;
use crate::arch;
use crate::mem_stats::Balance;
use crate::metrics::{self, Aggregates, Heading, Reading};
use crate::options::{self, Format, Options, Report};
use crate::os::{Linux, OsError};
use crate::report;
use crate::stats_page::layout::REPORTED;

/// The longest file name: the option's path, followed by the process id.
const NAME: usize = options::PATH + 16;

/// The id of the process that has claimed its report; 0 if none has.
static CLAIMED: AtomicI32 = AtomicI32::new(0);
/// The id of the process that has printed that its report cannot be written; 0 if none has.
static COMPLAINED: AtomicI32 = AtomicI32::new(0);

/// Keeps what the exit needs: a copy of standard error for lines, and the report's file. Called when the options are read.
pub(super) fn prepare(options: &mut Options) {
    if options.check || options.exit_report != Report::Off {
        Linux::keep_stderr();
    }
    let own = [0, Linux::pid()].contains(&options.exit_pid);
    let Report::Path(path) = &mut options.exit_report else { return };
    if let Some(absolute) = Linux::absolute(path) {
        *path = absolute;
    }
    // A descendant creates its file when it has something to write.
    if own && let Err(e) = Linux::keep_report(path) {
        complain(path, e);
    }
}

/// Writes the report if the options ask for it and `claim` succeeds. Calls no libc function that may allocate or free,
/// which is forbidden on a system stack.
pub(super) fn write(options: &Options, balance: &Balance, pid: i32, claim: Claim) {
    if !options.reports(pid) {
        return;
    }
    if claim.report(pid) {
        write_claimed(options, balance, pid);
    } else {
        // Another allocator of the process writes the report. `crossfoot run` reads this one's stats page, so it is marked.
        ALLOCATOR.stats_page().note_ending(&Linux, REPORTED);
    }
}

fn write_claimed(options: &Options, balance: &Balance, pid: i32) {
    match &options.exit_report {
        Report::Off => {}
        Report::Stderr => {
            if let Some(stderr) = Linux::stderr() {
                // If standard error cannot be written, there is no other place for a message.
                let _ = Linux::without_signals(|| write_to(stderr, options.exit_format, balance));
            }
            ALLOCATOR.stats_page().note_ending(&Linux, REPORTED);
        }
        Report::Path(path) => {
            let mut name = heapless::Vec::<u8, NAME>::new();
            let _ = name.extend_from_slice(path);
            let own = options.exit_pid == 0 || options.exit_pid == pid;
            if !own {
                let _ = write!(Bytes(&mut name), ".{pid}");
            }
            let written = Linux::without_signals(|| {
                Linux::with_report(&name, own, |file| write_to(file, options.exit_format, balance)).flatten()
            });
            match written {
                Ok(()) => ALLOCATOR.stats_page().note_ending(&Linux, REPORTED),
                // If `crossfoot run` is the parent, it may still be able to write the file.
                Err(e) => complain(&name, e),
            }
        }
    }
}

/// Prints that the report cannot be written to `name`. Prints once for each process.
fn complain(name: &[u8], e: OsError) {
    let pid = Linux::pid();
    if COMPLAINED.swap(pid, Ordering::Relaxed) != pid {
        report::line(format_args!("crossfoot: exit_report: cannot write '{}': {}", name.escape_ascii(), why(e)));
    }
}

/// Returns the meaning of an error for a user's path.
fn why(e: OsError) -> impl Display {
    let known = match e {
        OsError::OutOfMemory => "no memory",
        OsError::Taken => "it is there already",
        OsError::Unsupported | OsError::Lost => "it takes no such call",
        OsError::Errno(0) => "nothing can be written to it",
        OsError::Errno(1 | 13) => "permission denied",
        OsError::Errno(2) => "no such directory",
        OsError::Errno(6) => "a socket, or a pipe that nobody reads",
        OsError::Errno(20) => "a part of it is no directory",
        OsError::Errno(21) => "it is a directory",
        OsError::Errno(23 | 24) => "too many open files",
        OsError::Errno(27) => "the limit on the size of files (ulimit -f)",
        OsError::Errno(28) => "no space left on the device",
        OsError::Errno(30) => "a read-only file system",
        OsError::Errno(32) => "nobody reads it any more",
        OsError::Errno(40) => "too many symbolic links",
        OsError::Errno(122) => "over the quota",
        OsError::Errno(_) => "",
    };
    fmt::from_fn(move |f| match e {
        OsError::Errno(number) if known.is_empty() => write!(f, "error {number}"),
        _ => f.write_str(known),
    })
}

/// Claims the report of the process `pid`, which is not 0. Returns `false` if it was claimed before.
pub fn claim_report(pid: i32) -> bool {
    CLAIMED.swap(pid, Ordering::Relaxed) != pid
}

/// Claims the report of a process for all of its allocators.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    /// `crossfoot_claim_report` of the process's first shared object that has it; null if there is none, or if `dlsym` must
    /// not be called.
    found: *const c_void,
}

impl Claim {
    /// Claims by this allocator's own [`claim_report`]: for a signal handler, which must not call the libc.
    pub(super) const OWN: Claim = Claim { found: null() };

    /// Finds the function by which all copies of this crate in the process claim the report, if a report is wanted.
    ///
    /// A program that contains the crate may run under the preloaded object, too. Its own copy exits first and has the
    /// program's objects, so that copy writes the report.
    ///
    /// `dlsym` may allocate and free an error text in the libc. So this must not run on a system stack, nor while the thread
    /// is inside the allocator.
    pub(super) fn find(options: &Options, pid: i32) -> Claim {
        const NAME: &CStr = c"crossfoot_claim_report";
        let find = arch::dlsym();
        if find.is_null() || !options.reports(pid) {
            return Claim::OWN;
        }
        type Find = unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void;
        // SAFETY: the symbol is POSIX's function of this type; the null handle means all objects of the program.
        Claim { found: unsafe { core::mem::transmute::<*const c_void, Find>(find)(null_mut(), NAME.as_ptr()) } }
    }

    /// Claims the report of the process `pid`. Returns `false` if another allocator has claimed it.
    fn report(self, pid: i32) -> bool {
        if self.found.is_null() {
            return claim_report(pid);
        }
        type Function = unsafe extern "C" fn(c_int) -> c_int;
        // SAFETY: only the C API of this crate has the name, and it is of this type there.
        unsafe { core::mem::transmute::<*const c_void, Function>(self.found)(pid) != 0 }
    }
}

/// Writes text to bytes; fails where they are full.
struct Bytes<'a, const N: usize>(&'a mut heapless::Vec<u8, N>);

impl<const N: usize> Write for Bytes<'_, N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Buffers text, so that a report takes few system calls.
struct Buffered<'a> {
    file: BorrowedFd<'a>,
    /// The result of the last write.
    result: Result<(), OsError>,
    text: heapless::Vec<u8, 4096>,
}

impl Write for Buffered<'_> {
    // Not inlined: the report's code calls it in many places.
    #[inline(never)]
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.text.len() + s.len() > self.text.capacity() {
            self.flush()?;
        }
        self.text.extend_from_slice(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl Buffered<'_> {
    /// Writes the buffered text to the file.
    fn flush(&mut self) -> fmt::Result {
        self.result = Linux::write_all(self.file, &self.text);
        self.text.clear();
        self.result.map_err(|_| fmt::Error)
    }
}

/// Writes the report of `balance` to `file`.
fn write_to(file: BorrowedFd<'_>, format: Format, balance: &Balance) -> Result<(), OsError> {
    let mut reading = Reading::new();
    reading.snapshot.clone_from(&balance.snapshot);
    // After an incomplete comparison, a lock may be held that is never released, so only aggregates without a lock are read.
    let wanted = if balance.complete { Aggregates::ALL } else { Aggregates::FREE };
    ALLOCATOR.fill_around(wanted, balance.answer, Linux::pid, &mut reading);
    let mut out = Buffered { file, result: Ok(()), text: heapless::Vec::new() };
    let mut name = [0; 16];
    let heading = Heading { pid: reading.pid, command: Linux::command(&mut name), ended: "" };
    let written =
        metrics::write_headed(&mut out, format, &heading, &reading, balance.into()).and_then(|()| out.flush());
    // Formatting itself never fails, so an error is a failed write.
    if written.is_err() { out.result } else { Ok(()) }
}
