//! The process's exit: the report and the check that the options ask for, once for each process.
//!
//! [`at_exit`] runs after the program's own destructors and compares everything. [`at_immediate_exit`] runs at `_exit` and
//! `quick_exit`, beside running threads or in a signal handler, and compares what it can without waiting.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use super::check::{crossfoot_at_once, crossfoot_with, crossfoot_without_objects};
use super::exit_report::{self, Claim};
use super::inside;
use super::instance::{ALLOCATOR, own_cache};
use super::settings::{OPTIONS, is_owner, wants_exit};
use crate::arch;
use crate::local;
use crate::mem_stats::Balance;
use crate::metrics::Verdict;
use crate::options::Options;
use crate::os::{Linux, Platform};
use crate::report;
use crate::stats;
use crate::stats_page::layout::CHECK_TOLD;

/// The exit status with `check:on` if an identity fails.
const UNBALANCED: i32 = 70;

/// The id of the process that ran [`at_exit`] or [`at_immediate_exit`]; 0 if none did.
static EXITED: AtomicI32 = AtomicI32::new(0);
/// The thread id of the thread that is writing the report; 0 if there is none.
static EXITING: AtomicUsize = AtomicUsize::new(0);
/// How long an exiting thread waits for another thread that is writing the report, in nanoseconds.
const WAIT_NANOS: u64 = 1_000_000_000;

/// Writes the report and runs the check that the options ask for. Only the first call in a process does anything.
pub fn at_exit() {
    let Some(options) = OPTIONS.get().filter(|options| wants_exit(options)) else { return };
    let pid = Linux::pid();
    if begins(pid) {
        exit_with(options, pid);
        EXITING.store(0, Ordering::Release);
    }
}

/// Does the same as [`at_exit`] when the process ends without exit handlers, by `_exit` or `quick_exit`. Beside other
/// threads it waits for no lock, except at most 10 ms for a reader's.
///
/// Does nothing in a child that shares its parent's memory (`vfork`), and in a child that was not made by the libc's
/// `fork`. A signal handler may call it, whatever it interrupted.
#[inline]
pub fn at_immediate_exit() {
    if let Some(options) = OPTIONS.get().filter(|options| wants_exit(options)) {
        immediate_exit_wanted(options);
    }
}

#[cold]
#[inline(never)]
fn immediate_exit_wanted(options: &Options) {
    let pid = Linux::pid();
    // Checked before anything is written: this may be the memory of a parent that waits in `vfork`.
    if !is_owner(pid) || !ALLOCATOR.is_ready() {
        return;
    }
    if begins(pid) {
        immediate_exit_with(options, pid);
        EXITING.store(0, Ordering::Release);
    }
}

/// Marks the process as exiting. Returns `false` if it was marked already, after waiting for the thread that is writing
/// the report.
fn begins(pid: i32) -> bool {
    let own = local::thread_id();
    if EXITED.swap(pid, Ordering::Relaxed) != pid {
        EXITING.store(own, Ordering::Release);
        return true;
    }
    let since = Linux::now();
    while ![0, own].contains(&EXITING.load(Ordering::Acquire)) && Linux::now().saturating_sub(since) < WAIT_NANOS {
        Linux::yield_now();
    }
    false
}

fn immediate_exit_with(options: &Options, pid: i32) {
    if !stats::BOOKS_ENABLED {
        return;
    }
    let judge = |balance: Option<&Balance>| {
        // The caller may be a signal handler, so the libc is not called.
        let why = "the process ended by _exit beside its threads";
        is_reported_and_right(options, balance, pid, Claim::OWN, why)
    };
    // If no other thread has a cache, no other thread holds a lock.
    let is_alone = ALLOCATOR.caches().is_alone(own_cache().is_some());
    if !(if is_alone { compare(options, judge) } else { crossfoot_at_once(judge) }) {
        Linux::exit(UNBALANCED);
    }
}

/// Compares as much as this thread can, and calls `judge` with the result, on a system stack. Returns whether the process
/// may end with its own status.
fn compare(options: &Options, judge: impl FnOnce(Option<&Balance>) -> bool) -> bool {
    if inside::is_interrupted() {
        // Flushing the libc's streams could wait for ever. So failures are only printed, and the status is the program's.
        crossfoot_at_once(judge);
        true
    } else if !options.check && Linux::blocks_signals() {
        crossfoot_without_objects(judge)
    } else {
        crossfoot_with(judge)
    }
}

/// The part of [`at_exit`] that most processes never run.
#[cold]
#[inline(never)]
fn exit_with(options: &Options, pid: i32) {
    if !stats::BOOKS_ENABLED {
        return report::line(format_args!("crossfoot: this build keeps no books: there is nothing to report or check"));
    }
    // The libc's functions (`dlsym` here, `fflush` below) run on the program's stack, which is large enough for them.
    let claim = if inside::is_interrupted() { Claim::OWN } else { Claim::find(options, pid) };
    if !compare(options, |balance| is_reported_and_right(options, balance, pid, claim, Verdict::REFUSED)) {
        flush_libc();
        Linux::exit(UNBALANCED);
    }
}

/// Writes the report, and returns whether the process may end with its own status. `why` is the reason for an incomplete
/// comparison.
fn is_reported_and_right(options: &Options, balance: Option<&Balance>, pid: i32, claim: Claim, why: &str) -> bool {
    let Some(balance) = balance else { return unchecked(options, "no allocation succeeded") };
    exit_report::write(options, balance, pid, claim);
    is_right(options, balance, why)
}

/// Prints the identities that failed, with `check:on`, and returns whether there are none. `why` is the reason for an
/// incomplete comparison.
fn is_right(options: &Options, balance: &Balance, why: &str) -> bool {
    ALLOCATOR.stats_page().note_ending(&Linux, CHECK_TOLD);
    if balance.failures.is_empty() && !balance.complete {
        return unchecked(options, if balance.interrupted { Verdict::INTERRUPTED } else { why });
    }
    if !options.check || balance.failures.is_empty() {
        return true;
    }
    balance.failures.describe(|what| report::line(format_args!("crossfoot: unbalanced: {what}")));
    false
}

/// Prints, with `check:on`, that not everything was compared, and `why`. Returns `true`: the process ends with its own
/// status.
fn unchecked(options: &Options, why: &str) -> bool {
    if options.check {
        report::line(format_args!("crossfoot: check: not everything was compared: {why}"));
    }
    true
}

/// Flushes the libc's streams, since [`Linux::exit`] ends the process before the libc does it.
fn flush_libc() {
    let fflush = arch::fflush();
    if !fflush.is_null() {
        // SAFETY: the symbol is the libc's function of this type; null means every stream.
        unsafe {
            core::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(fflush)(null_mut())
        };
    }
}
