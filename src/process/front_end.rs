//! Start and exit for the C API. There, the crate is the process's allocator for certain, so it also reports on a process
//! that never allocated.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use super::adopt::adopt;
use super::exit::{at_exit, at_immediate_exit};
use super::instance::ALLOCATOR;
use super::settings::{OPTIONS, wants_exit};
use super::{environment, inside, startup};
use crate::arch;

/// Reads the options at the process's start, if they may ask for a report or a check.
#[inline]
pub fn at_process_start() {
    if OPTIONS.get().is_none_or(wants_exit) {
        start_wanted();
    }
}

#[cold]
#[inline(never)]
fn start_wanted() {
    startup::begin();
    environment::read_options();
    if OPTIONS.get().is_some_and(wants_exit) {
        register_quick_exit();
    }
}

/// Registers [`at_immediate_exit`] for `quick_exit`, to run after handlers that the program registers later. Called before
/// the program runs, because the libc takes a lock.
fn register_quick_exit() {
    let register = arch::cxa_at_quick_exit();
    if register.is_null() {
        return;
    }
    type Register = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void) -> c_int;
    // SAFETY: the symbol is glibc's function of this type, which C's `at_quick_exit` calls.
    let register: Register = unsafe { core::mem::transmute(register) };
    // SAFETY: a function that lives as long as the process. If it fails for want of memory, `quick_exit` writes no report.
    unsafe { register(at_quick_exit, null_mut()) };
}

extern "C" fn at_quick_exit(_: *mut c_void) {
    at_immediate_exit();
}

/// Does the same as [`at_exit`], also for a process that never allocated.
#[inline]
pub fn at_process_exit() {
    if OPTIONS.get().is_none_or(wants_exit) {
        exit_wanted();
    }
}

#[cold]
#[inline(never)]
fn exit_wanted() {
    startup::begin();
    environment::read_options();
    if OPTIONS.get().is_some_and(wants_exit) && !ALLOCATOR.is_ready() && !inside::this_thread() {
        let _ = adopt();
    }
    at_exit();
}
