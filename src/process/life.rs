//! Threads that begin, fork and end.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::settings::{OPTIONS, read_options};
use super::stack::borrow;
use super::{ALLOCATOR, exit, inside, streams};
use crate::arch;
use crate::cache::Cache;
use crate::isolated;
use crate::local::{self, Busy};
use crate::lock::{self, Fork};
use crate::os::{Linux, OsError};
use crate::report;
use crate::system_stack;

/// How often the end of a thread is put off, so that other destructors still find its cache. POSIX promises
/// four rounds of destructors; this leaves one to spare.
const ROUNDS: usize = 2;

/// No thread-exit key was made.
const NO_KEY: u32 = u32::MAX;
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
static STARTED: AtomicBool = AtomicBool::new(false);
/// Whether the libc was asked to tell of forks: it tells as often as it was asked.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// Prints a line, unless this thread is dying: then it has said why.
fn print(text: &[u8]) {
    if !local::is_dying() {
        Linux::print(text);
    }
}

/// Ends the process. A handler of the signal runs, but not twice.
fn die() -> ! {
    if local::is_dying() {
        Linux::abort_unhandled();
    }
    local::set_dying();
    Linux::abort()
}

/// When the process starts, before the program's own constructors: handlers of fork that are registered later may
/// allocate.
///
/// Nothing that could find misuse runs before [`begin`] has: no lock is taken where nobody allocates.
#[inline(always)]
pub(super) fn at_start() {
    register_fork_handlers();
}

/// Makes the process ready for an isolated heap, whether or not it allocates here otherwise.
pub(super) fn prepare() {
    begin();
    read_options();
    register_fork_handlers();
}

/// This thread gets or loses its cache until the result is dropped. A signal handler that comes meanwhile and calls
/// `function` would wait for a lock of its own thread for ever; it is told, and ends the process.
#[inline]
pub(super) fn busy(function: &str) -> Busy {
    match Busy::begin() {
        Some(busy) => busy,
        None => report::fatal(format_args!("crossfoot: {function}: called by a signal handler inside the allocator")),
    }
}

/// Says how the process prints and dies, and where system stacks come from, before anything that may find misuse. Once.
#[inline]
pub(super) fn begin() {
    if !STARTED.load(Ordering::Acquire) && !STARTED.swap(true, Ordering::AcqRel) {
        report::set_sink(print, die);
        system_stack::set_provider(borrow);
    }
}

#[cold]
#[inline(never)]
pub(super) fn adopt() -> Result<&'static Cache, OsError> {
    begin();
    let busy = busy("malloc");
    // First: they say what the start may ask the system for, and where the heap begins.
    read_options();
    // SAFETY: the kernel is a static; the token is the thread pointer.
    let (cache, found) = unsafe { ALLOCATOR.adopt_for(local::thread_id(), Linux::pid) }?;
    isolated::list_on_stats_page(&ALLOCATOR);
    local::set_cache(cache);
    if local::ended() {
        // There may be no second round of destructors any more.
        cache.exit_rounds.set(ROUNDS);
    }
    if !found {
        cache.set_thread_id(local::thread_id());
    }
    drop(busy);
    register_fork_handlers();
    exit::keep();
    register_thread_exit(cache);
    Ok(cache)
}

/// Asks the libc to tell of forks, where there is one.
#[inline(always)]
fn register_fork_handlers() {
    if WATCHED.swap(true, Ordering::Relaxed) {
        return;
    }
    type Handler = unsafe extern "C" fn();
    let (register, portable) = (arch::register_atfork(), arch::pthread_atfork());
    if register.is_null() && !portable.is_null() {
        type Register = unsafe extern "C" fn(Handler, Handler, Handler) -> c_int;
        // SAFETY: the symbol is POSIX's function of this type.
        let register: Register = unsafe { core::mem::transmute(portable) };
        // SAFETY: as below.
        unsafe { register(before_fork, after_fork_in_parent, after_fork_in_child) };
    }
    if register.is_null() {
        return;
    }
    type Register = unsafe extern "C" fn(Handler, Handler, Handler, *mut c_void) -> c_int;
    // SAFETY: the symbol is glibc's function of this type, which `pthread_atfork` is made of.
    let register: Register = unsafe { core::mem::transmute(register) };
    // SAFETY: functions that live as long as the process. Where it fails for want of memory, a child of a
    // process with several threads may find a lock held.
    unsafe { register(before_fork, after_fork_in_parent, after_fork_in_child, null_mut()) };
}

unsafe extern "C" fn before_fork() {
    if local::is_dying() {
        // The handler that runs now forks; this thread may hold a lock since it found misuse.
        return;
    }
    let inside = inside::this_thread();
    if streams::are_shared() {
        streams::lock();
    }
    if local::begin_fork(inside).is_none() {
        report::fatal(format_args!("crossfoot: fork: called by a signal handler inside a fork, again and again"));
    }
    let fork = this_fork();
    lock::set_pending(true);
    isolated::before_fork(&fork);
    ALLOCATOR.before_fork(&fork, own_cache());
    lock::set_pending(false);
}

unsafe extern "C" fn after_fork_in_parent() {
    if local::is_dying() {
        return;
    }
    // SAFETY: the libc calls this after `before_fork`, on the same thread.
    unsafe { after_fork(false) };
    if streams::are_shared() {
        streams::unlock();
    }
}

unsafe extern "C" fn after_fork_in_child() {
    if local::is_dying() {
        return;
    }
    lock::none_pending();
    // SAFETY: the libc calls this in the child, on the only thread, after `before_fork`.
    unsafe { after_fork(true) };
    if streams::are_shared() {
        streams::reset();
    }
    OPTIONS.after_fork();
    if let Some(options) = OPTIONS.get() {
        exit::set_started_as(options);
    }
    Linux::forget_kept();
}

/// # Safety
/// [`before_fork`] ran on this thread, or in the child on the one that forked.
unsafe fn after_fork(child: bool) {
    let fork = this_fork();
    // SAFETY: the caller's promise.
    unsafe {
        ALLOCATOR.after_fork(&fork, own_cache(), child);
        isolated::after_fork(&fork, child);
    }
    local::end_fork();
}

/// The last of this thread's forks that are under way.
fn this_fork() -> Fork {
    Fork::new(local::forks(), local::forks_inside(), streams::is_single_threaded())
}

fn own_cache() -> Option<&'static Cache> {
    // SAFETY: it is null or this thread's cache, which is never unmapped.
    unsafe { local::cache::<Cache>().as_ref() }
}

/// Asks the libc to tell when this thread ends, where there is one.
fn register_thread_exit(cache: &Cache) {
    let (create, set) = (arch::pthread_key_create(), arch::pthread_setspecific());
    if create.is_null() || set.is_null() {
        return;
    }
    if KEY.load(Ordering::Acquire) == NO_KEY {
        type Create = unsafe extern "C" fn(*mut u32, unsafe extern "C" fn(*mut c_void)) -> c_int;
        // SAFETY: the symbol is the libc's function of this type.
        let create: Create = unsafe { core::mem::transmute(create) };
        let mut key = NO_KEY;
        // SAFETY: an out parameter and a function that lives as long as the process.
        if unsafe { create(&raw mut key, thread_exit) } != 0 {
            return;
        }
        // A key that another thread made first serves as well; this one stays unused.
        let _ = KEY.compare_exchange(NO_KEY, key, Ordering::AcqRel, Ordering::Acquire);
    }
    set_specific(cache);
}

fn set_specific(cache: &Cache) {
    type Set = unsafe extern "C" fn(u32, *const c_void) -> c_int;
    // SAFETY: `register_thread_exit` saw that the libc has it; it is the function of this type.
    let set: Set = unsafe { core::mem::transmute(arch::pthread_setspecific()) };
    // SAFETY: the key was made above; the value is not touched by the libc.
    unsafe { set(KEY.load(Ordering::Acquire), core::ptr::from_ref(cache).cast()) };
}

/// The libc calls this when a thread that has a cache ends, and again as long as it is asked to.
unsafe extern "C" fn thread_exit(value: *mut c_void) {
    // SAFETY: the value was set to this thread's cache.
    let Some(cache) = (unsafe { value.cast::<Cache>().as_ref() }) else { return };
    if !core::ptr::eq(local::cache::<Cache>(), cache) {
        return;
    }
    let round = cache.exit_rounds.get();
    if round < ROUNDS {
        cache.exit_rounds.set(round + 1);
        return set_specific(cache);
    }
    local::set_ended();
    retire_cache();
}

/// Gives this thread's cache back. A face without a libc calls it when a thread ends; a thread that
/// allocates afterwards gets another.
pub fn retire_cache() {
    // SAFETY: it is null or this thread's cache, which is forgotten here.
    unsafe {
        if let Some(cache) = local::cache::<Cache>().as_ref() {
            let _busy = busy("a thread's end");
            local::set_cache::<Cache>(core::ptr::null());
            cache.exit_rounds.set(0);
            ALLOCATOR.caches().retire(cache);
        }
    }
}
