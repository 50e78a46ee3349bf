//! Forks: the libc calls these handlers around `fork`, so that a child never finds a lock held by a thread that it does
//! not have.
//!
//! [`before_fork`] takes every lock of the process's allocator and of the isolated heaps, in rank order. A signal handler
//! may fork while its thread is inside the allocator: locks that the thread itself holds are skipped, and other threads'
//! locks are waited for at most 10 ms (see `lock::Fork`).
//!
//! musl's `fork` takes the lock of its list of streams after the handlers of `pthread_atfork` ran, which deadlocks as
//! `streams` describes. A static program has a better place: musl calls `__malloc_atfork` of the linked `malloc` after its
//! own locks, if there are several threads. The C API defines it and calls [`at_fork_of_libc`]. Then the handlers of
//! `pthread_atfork` do nothing but what is left for a process with one thread, in the child.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::instance::{ALLOCATOR, own_cache};
use super::settings::{self, OPTIONS};
use super::{inside, streams};
use crate::arch;
use crate::isolated;
use crate::local;
use crate::lock::{self, Fork};
use crate::os::Linux;
use crate::report;

/// Whether the handlers are registered. The libc calls a handler once per registration.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Registers the handlers with the libc, if there is one. Only the first call does anything.
#[inline(always)]
pub(super) fn register() {
    if REGISTERED.swap(true, Ordering::Relaxed) {
        return;
    }
    type Handler = unsafe extern "C" fn();
    let (register, portable) = (arch::register_atfork(), arch::pthread_atfork());
    if register.is_null() && !portable.is_null() {
        type Register = unsafe extern "C" fn(Handler, Handler, Handler) -> c_int;
        // SAFETY: the symbol is POSIX's function of this type.
        let register: Register = unsafe { core::mem::transmute(portable) };
        // SAFETY: as below.
        unsafe { register(before_posix, after_posix_in_parent, after_posix_in_child) };
    }
    if register.is_null() {
        return;
    }
    type Register = unsafe extern "C" fn(Handler, Handler, Handler, *mut c_void) -> c_int;
    // SAFETY: the symbol is glibc's function of this type; glibc's `pthread_atfork` calls it.
    let register: Register = unsafe { core::mem::transmute(register) };
    // SAFETY: the functions live as long as the process. If the registration fails for want of memory, a child of a
    // process with several threads may find a lock held.
    unsafe { register(before_fork, after_fork_in_parent, after_fork_in_child, null_mut()) };
}

/// Whether the libc calls [`at_fork_of_libc`] at a fork beside other threads.
static BY_LIBC: AtomicBool = AtomicBool::new(false);
/// The id of the last child for which [`at_fork_of_libc`] has run, or 0.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// Records whether [`at_fork_of_libc`] is linked as musl's `__malloc_atfork`. Does nothing in a program whose libc is a shared
/// object: that calls its own. Called before the program has threads.
pub fn let_libc_fork() {
    BY_LIBC.store(!arch::fork_handler().is_null(), Ordering::Relaxed);
}

/// Takes all locks if `when` is -1, and releases them in the parent if it is 0, in the child if it is 1, as musl's `fork`
/// asks. Does nothing unless [`let_libc_fork`] found that musl's `fork` is linked statically.
pub fn at_fork_of_libc(when: c_int) {
    if !BY_LIBC.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: musl calls this before the fork and after it, on the same thread.
    unsafe {
        match when {
            -1 => before_fork(),
            0 => after_fork_in_parent(),
            _ => {
                after_fork_in_child();
                CHILD.store(Linux::pid(), Ordering::Relaxed);
            }
        }
    }
}

unsafe extern "C" fn before_posix() {
    if !BY_LIBC.load(Ordering::Relaxed) {
        // SAFETY: the libc calls the three handlers of a fork on one thread, in this order.
        unsafe { before_fork() }
    }
}

unsafe extern "C" fn after_posix_in_parent() {
    if !BY_LIBC.load(Ordering::Relaxed) {
        // SAFETY: as above.
        unsafe { after_fork_in_parent() }
    }
}

/// Resets the allocator in the child. musl calls [`at_fork_of_libc`] only where the parent has several threads; in the child
/// of a process with one thread, this handler takes and releases the locks instead. It may do so after the fork, since no
/// other thread could hold a lock then.
unsafe extern "C" fn after_posix_in_child() {
    // SAFETY: as above; the child has one thread.
    unsafe {
        if !BY_LIBC.load(Ordering::Relaxed) {
            after_fork_in_child();
        } else if CHILD.load(Ordering::Relaxed) != Linux::pid() {
            before_fork();
            after_fork_in_child();
        }
    }
}

/// Takes all locks. Does nothing while this thread aborts: then the program's `SIGABRT` handler forks, and the thread may
/// hold a lock since it found misuse.
unsafe extern "C" fn before_fork() {
    if local::is_dying() {
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
    lock::note_waited(&fork);
    lock::set_pending(false);
}

/// Releases all locks in the parent.
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

/// Makes the child's allocator consistent: releases all locks, and resets what belongs to the parent's other threads.
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
        settings::set_owner(options);
    }
    Linux::forget_kept();
}

/// # Safety
/// [`before_fork`] ran on this thread, or in the child on the thread that forked.
unsafe fn after_fork(child: bool) {
    let fork = this_fork();
    // SAFETY: the caller's promise.
    unsafe {
        ALLOCATOR.after_fork(&fork, own_cache(), child);
        isolated::after_fork(&fork, child);
    }
    lock::settle_waited(child);
    local::end_fork();
}

/// Returns the innermost of this thread's forks in progress.
fn this_fork() -> Fork {
    Fork::new(local::forks(), local::forks_inside(), streams::is_single_threaded())
}
