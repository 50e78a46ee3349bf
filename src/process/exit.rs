//! What happens when the process starts and exits.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use super::exit_report::{self, Claim};
use super::settings::{self, OPTIONS};
use super::{ALLOCATOR, adopt, inside, on_system_stack};
use crate::arch;
use crate::cache::Cache;
use crate::local;
use crate::lock::stand_back;
use crate::mem_stats::Balance;
use crate::metrics::Verdict;
use crate::options::{Options, Report};
use crate::os::{Linux, Platform};
use crate::report;
use crate::stats;
use crate::stats_page::layout::CHECK_TOLD;

/// Exit status of a process whose books do not balance, with `check:on`.
const UNBALANCED: i32 = 70;

/// Checks every identity of the process's books. `None` before the first allocation. What it returns takes 12 KiB of the
/// caller's stack, and once more where it is handed on: [`crossfoot_with`] needs none of it.
pub fn crossfoot() -> Option<Balance> {
    stand_back::<Linux>();
    super::exchange();
    on_system_stack(balance)
}

/// As [`crossfoot`], and hands what it found to `f`, which runs on the system stack: see [`on_system_stack`].
pub fn crossfoot_with<R>(f: impl FnOnce(Option<&Balance>) -> R) -> R {
    stand_back::<Linux>();
    super::exchange();
    on_system_stack(|| f(balance().as_ref()))
}

fn balance() -> Option<Balance> {
    // SAFETY: it is null or this thread's cache.
    let cache = unsafe { local::cache::<Cache>().as_ref() };
    let _inside = cache.map(|cache| cache.enter(|| ("a check of the books", 0)));
    ALLOCATOR.crossfoot(cache)
}

/// The loader or the libc runs this when the process exits by `exit`, after the program's own destructors.
#[used]
#[unsafe(link_section = ".fini_array")]
static FINI: extern "C" fn() = fini;

// Where compilers put what runs at the start: a process that never allocates maps nothing else of the code.
#[unsafe(link_section = ".text.startup")]
extern "C" fn fini() {
    // A process that never allocated here may have linked the crate for something else.
    if ALLOCATOR.is_ready() {
        at_exit();
    }
}

/// The loader or the libc runs this when the process starts, before constructors without a number as low.
#[used]
#[unsafe(link_section = ".init_array.00050")]
static INIT: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = init;

/// # Safety
/// Where [`passes_environment`] says so, `environment` is null or a list of C strings that a null ends.
#[unsafe(link_section = ".text.startup")]
unsafe extern "C" fn init(_count: c_int, _arguments: *const *const c_char, environment: *const *const c_char) {
    // Tests of kernels hold locks of theirs around a fork.
    if !cfg!(feature = "testing") {
        super::life::at_start();
        super::pin::pin();
        if passes_environment() && !environment.is_null() {
            // SAFETY: the caller's promise.
            unsafe { settings::scan_environment(environment) };
        }
    }
}

/// Whether functions that run at the start get the arguments of `main`: those of glibc do. POSIX says nothing of such
/// functions.
fn passes_environment() -> bool {
    !arch::gnu_get_libc_version().is_null()
}

/// Keeps [`INIT`] and [`FINI`] in the program: a linker takes an object file from a library only if something names it.
#[inline]
pub(super) fn keep() {
    core::hint::black_box((&INIT, &FINI));
}

/// The process that has exited by [`at_exit`] or [`at_immediate_exit`] already; 0: none.
static EXITED: AtomicI32 = AtomicI32::new(0);
/// The thread that writes the report now, by its token; 0: none.
static EXITING: AtomicUsize = AtomicUsize::new(0);
/// The process whose memory this is, where something happens at its exit; 0: not known. A child of `vfork` has another
/// number and the same memory.
static STARTED_AS: AtomicI32 = AtomicI32::new(0);

/// How long a thread that ends the process waits for another one that writes the report, in nanoseconds.
const WAIT_NANOS: u64 = 1_000_000_000;

/// Reads the options when the process starts, for a face that is the process's allocator for sure.
#[inline]
pub fn at_start_of_any() {
    if OPTIONS.get().is_none_or(wants_exit) {
        at_start_wanted();
    }
}

#[cold]
#[inline(never)]
fn at_start_wanted() {
    super::life::begin();
    settings::read_options();
    if OPTIONS.get().is_some_and(wants_exit) {
        register_quick_exit();
    }
}

/// Says that this process has the options, when they are read, and in the child of a fork.
pub(super) fn set_started_as(options: &Options) {
    if wants_exit(options) {
        STARTED_AS.store(Linux::pid(), Ordering::Relaxed);
    }
}

/// Has the libc run [`at_immediate_exit`] in `quick_exit`, after the handlers that the program registers later. Called
/// before the program runs: the libc takes a lock.
fn register_quick_exit() {
    let register = arch::cxa_at_quick_exit();
    if register.is_null() {
        return;
    }
    type Register = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void) -> c_int;
    // SAFETY: the symbol is glibc's function of this type, which C's `at_quick_exit` is made of.
    let register: Register = unsafe { core::mem::transmute(register) };
    // SAFETY: a function that lives as long as the process. Where it fails for want of memory, `quick_exit` writes no report.
    unsafe { register(at_quick_exit, null_mut()) };
}

extern "C" fn at_quick_exit(_: *mut c_void) {
    at_immediate_exit();
}

/// As [`at_exit`], for a face that is the process's allocator for sure, and so reports on a process that never
/// allocated.
#[inline]
pub fn at_exit_of_any() {
    if OPTIONS.get().is_none_or(wants_exit) {
        at_exit_wanted();
    }
}

#[cold]
#[inline(never)]
fn at_exit_wanted() {
    super::life::begin();
    settings::read_options();
    if OPTIONS.get().is_some_and(wants_exit) && !ALLOCATOR.is_ready() && !inside::this_thread() {
        let _ = adopt();
    }
    at_exit();
}

/// Whether anything happens at the exit.
fn wants_exit(options: &Options) -> bool {
    options.check || options.exit_report != Report::Off
}

/// What happens when the process exits: the report that was asked for, and the check. Once for each process.
pub fn at_exit() {
    let Some(options) = OPTIONS.get().filter(|options| wants_exit(options)) else { return };
    let pid = Linux::pid();
    if begins(pid) {
        exit_with(options, pid);
        EXITING.store(0, Ordering::Release);
    }
}

/// What happens when the process ends without exit handlers, by `_exit` or `quick_exit`: as [`at_exit`], but beside other
/// threads no lock is waited for, except at most 10 ms for a reader's. Nothing happens in a child that shares its parent's memory, or came to be past the libc.
///
/// A signal handler may call it, whatever it interrupted.
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
    // Before anything is written: this may be the memory of a parent that waits.
    if STARTED_AS.load(Ordering::Relaxed) != pid || !ALLOCATOR.is_ready() {
        return;
    }
    if begins(pid) {
        immediate_exit_with(options, pid);
        EXITING.store(0, Ordering::Release);
    }
}

/// Says that the process exits. `false`: it does already; then another thread has had the time to write its report.
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
        // A signal handler may be here, so the libc is not called.
        let why = "the process ended by _exit beside its threads";
        is_reported_and_right(options, balance, pid, Claim::OWN, why)
    };
    // Where no other thread has a cache, nobody keeps a lock.
    let is_alone = ALLOCATOR.caches().is_alone(!local::cache::<Cache>().is_null());
    if !(if is_alone { compare(options, judge) } else { inside::crossfoot_at_once(judge) }) {
        Linux::exit(UNBALANCED);
    }
}

/// Compares what can be compared where this thread is, and hands it to `judge`, which runs on a system stack. Returns
/// whether the process may end with its own status.
fn compare(options: &Options, judge: impl FnOnce(Option<&Balance>) -> bool) -> bool {
    if inside::is_interrupted() {
        // Nothing is waited for, the libc's streams neither: what fails is told, and the status is the program's.
        inside::crossfoot_at_once(judge);
        true
    } else if !options.check && Linux::blocks_signals() {
        inside::crossfoot_without_objects(judge)
    } else {
        crossfoot_with(judge)
    }
}

/// Kept out of [`at_exit`], which mostly does nothing.
#[cold]
#[inline(never)]
fn exit_with(options: &Options, pid: i32) {
    if !stats::BOOKS_ENABLED {
        return report::line(format_args!("crossfoot: this build keeps no books: there is nothing to report or check"));
    }
    // The program exits on whatever stack. What the libc does, before and when streams are written out, it does on that one.
    let claim = if inside::is_interrupted() { Claim::OWN } else { Claim::find(options, pid) };
    if !compare(options, |balance| is_reported_and_right(options, balance, pid, claim, Verdict::REFUSED)) {
        flush_libc();
        Linux::exit(UNBALANCED);
    }
}

/// Writes the report, and says whether the process may end with its own status; `why` not all was compared, if it was not.
fn is_reported_and_right(options: &Options, balance: Option<&Balance>, pid: i32, claim: Claim, why: &str) -> bool {
    let Some(balance) = balance else { return unchecked(options, "no allocation succeeded") };
    exit_report::write(options, balance, pid, claim);
    is_right(options, balance, why)
}

/// Prints the identities that failed, where that is asked for; `why` not all were compared, if they were not.
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

/// Says, where a check was asked for, that it could not be made, and why. The process ends with its own status.
fn unchecked(options: &Options, why: &str) -> bool {
    if options.check {
        report::line(format_args!("crossfoot: check: not everything was compared: {why}"));
    }
    true
}

/// Writes out what the program printed: the process ends before the libc does it.
fn flush_libc() {
    let fflush = arch::fflush();
    if !fflush.is_null() {
        // SAFETY: the symbol is the libc's function of this type; null means every stream.
        unsafe {
            core::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(fflush)(null_mut())
        };
    }
}
