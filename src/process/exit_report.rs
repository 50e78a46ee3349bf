//! The report that a process writes when it exits.
//!
//! Where it goes is decided when the options are read: the path is made absolute, and the file is opened and kept, so
//! that a directory, a root, rights or descriptors that the program gives up later do not matter. What cannot be
//! written is a line then. The file is written once, and never read.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Display, Write};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicI32, Ordering};

use rustix::fd::BorrowedFd;

use super::ALLOCATOR;
use crate::arch;
use crate::mem_stats::Balance;
use crate::metrics::{self, Aggregates, Heading, Reading};
use crate::options::{self, Format, Options, Report};
use crate::os::{Linux, OsError};
use crate::report;
use crate::stats_page::layout::REPORTED;

/// The longest name of a file: the path of the option, and behind it the process's number.
const NAME: usize = options::PATH + 16;

/// The process whose report is written, or is being written; 0: none.
static CLAIMED: AtomicI32 = AtomicI32::new(0);
/// The process that has said in a line that the report cannot be written; 0: none.
static TOLD: AtomicI32 = AtomicI32::new(0);

/// Makes ready what will be needed at the exit: a copy of standard error for the lines that may be printed then, and the
/// file. Called once, when the options are read.
pub(super) fn prepare(options: &mut Options) {
    if options.check || options.exit_report != Report::Off {
        Linux::keep_stderr();
    }
    let own = [0, Linux::pid()].contains(&options.exit_pid);
    let Report::Path(path) = &mut options.exit_report else { return };
    if let Some(absolute) = Linux::absolute(path) {
        *path = absolute;
    }
    // The file of another process is made when there is something to write.
    if own && let Err(e) = Linux::keep_report(path) {
        complain(path, e);
    }
}

/// Writes the report that was asked for, if `claim` claims it. Calls nothing of the libc, which may allocate and free:
/// neither is possible on a system stack.
pub(super) fn write(options: &Options, balance: &Balance, pid: i32, claim: Claim) {
    if !options.reports(pid) {
        return;
    }
    if claim.report(pid) {
        write_claimed(options, balance, pid);
    } else {
        // Another allocator of the process has; the page that was handed over is this one's.
        ALLOCATOR.stats_page().note_ending(&Linux, REPORTED);
    }
}

fn write_claimed(options: &Options, balance: &Balance, pid: i32) {
    match &options.exit_report {
        Report::Off => {}
        Report::Stderr => {
            if let Some(stderr) = Linux::stderr() {
                // Where standard error cannot be written to, nobody can be told.
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
                // `crossfoot run`, if it is the parent, may still have the right to.
                Err(e) => complain(&name, e),
            }
        }
    }
}

/// Says that a report cannot be written to `name`: once.
fn complain(name: &[u8], e: OsError) {
    let pid = Linux::pid();
    if TOLD.swap(pid, Ordering::Relaxed) != pid {
        report::line(format_args!("crossfoot: exit_report: cannot write '{}': {}", name.escape_ascii(), why(e)));
    }
}

/// Returns what an error means for somebody who chose a path.
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

/// Claims the report of the process `pid`. `false`: somebody has. Not 0.
pub fn claim_report(pid: i32) -> bool {
    CLAIMED.swap(pid, Ordering::Relaxed) != pid
}

/// Claims the report of a process for all of its allocators.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    /// The shared object's function; null: there is none, or it may not be looked for.
    found: *const c_void,
}

impl Claim {
    /// Claims the report among the callers of [`claim_report`] of this very allocator: for a signal handler, which may not
    /// call the libc.
    pub(super) const OWN: Claim = Claim { found: null() };

    /// Finds how all allocators of this crate in the process claim the report, where one is wanted. A program with one of
    /// its own may run under the preloaded one; its own exits first, and has the program's objects, so its report is the
    /// one that is written.
    ///
    /// The libc allocates an error that `dlsym` has, and frees the one before: never call this on a system stack, nor where
    /// this thread is inside the allocator.
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

    fn report(self, pid: i32) -> bool {
        if self.found.is_null() {
            return claim_report(pid);
        }
        type Function = unsafe extern "C" fn(c_int) -> c_int;
        // SAFETY: only the C API of this crate has the name, and it is of this type there.
        unsafe { core::mem::transmute::<*const c_void, Function>(self.found)(pid) != 0 }
    }
}

struct Bytes<'a, const N: usize>(&'a mut heapless::Vec<u8, N>);

impl<const N: usize> Write for Bytes<'_, N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Gathers text, so that a report is written in few calls.
struct Buffered<'a> {
    file: BorrowedFd<'a>,
    /// What came of the last write.
    result: Result<(), OsError>,
    text: heapless::Vec<u8, 4096>,
}

impl Write for Buffered<'_> {
    // Once: a report is written from many places.
    #[inline(never)]
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.text.len() + s.len() > self.text.capacity() {
            self.flush()?;
        }
        self.text.extend_from_slice(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl Buffered<'_> {
    fn flush(&mut self) -> fmt::Result {
        self.result = Linux::write_all(self.file, &self.text);
        self.text.clear();
        self.result.map_err(|_| fmt::Error)
    }
}

fn write_to(file: BorrowedFd<'_>, format: Format, balance: &Balance) -> Result<(), OsError> {
    let mut reading = Reading::new();
    reading.snapshot.clone_from(&balance.snapshot);
    // Where not everything was compared, a lock may be held that is never released.
    let wanted = if balance.complete { Aggregates::ALL } else { Aggregates::FREE };
    ALLOCATOR.fill_around(wanted, balance.answer, Linux::pid, &mut reading);
    let mut out = Buffered { file, result: Ok(()), text: heapless::Vec::new() };
    let mut name = [0; 16];
    let heading = Heading { pid: reading.pid, command: Linux::command(&mut name), ended: "" };
    let written =
        metrics::write_headed(&mut out, format, &heading, &reading, balance.into()).and_then(|()| out.flush());
    // What is formatted always fits, so what failed is a write.
    if written.is_err() { out.result } else { Ok(()) }
}
