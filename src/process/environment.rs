//! Reads the process's options from the environment variable `CROSSFOOT`, once.
//!
//! The environment is read from `/proc/self/environ`: the libc may not have its own yet when the process allocates first.
//! Without `/proc` the libc's list is searched.

use core::ffi::c_char;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::instance::{ALLOCATOR, heap};
use super::settings::{self, OPTIONS};
use super::{exit_report, startup};
use crate::arch;
use crate::options::{self, Options};
use crate::os::{Linux, OsError};
use crate::report;

/// The variable's name.
const NAME: &str = "CROSSFOOT";

/// The environment at the process's start, if the variable is in it; null otherwise. [`scan_environment`] sets it.
static ENVIRONMENT: AtomicPtr<*const c_char> = AtomicPtr::new(null_mut());

/// Searches the environment at the process's start for the variable. If it is absent, as it nearly always is, the defaults
/// are set, and the first allocation reads nothing.
///
/// If it is present, it is not parsed yet, so nothing is printed about it: the process may have linked the crate for
/// something else than allocating.
///
/// # Safety
/// `environment` is a list of C strings that a null ends.
pub(super) unsafe fn scan_environment(environment: *const *const c_char) {
    // SAFETY: the caller's promise.
    match unsafe { find(environment) } {
        None => OPTIONS.set(Options::default()),
        Some(_) => ENVIRONMENT.store(environment.cast_mut(), Ordering::Relaxed),
    }
}

/// Returns the variable's entry in a list of the environment.
///
/// # Safety
/// `environment` is a list of C strings that a null ends.
unsafe fn find(environment: *const *const c_char) -> Option<*const u8> {
    let mut at = environment;
    loop {
        // SAFETY: the caller's promise: each entry up to the null is followed by another.
        let string = unsafe { *at };
        if string.is_null() {
            return None;
        }
        // SAFETY: an entry is a C string.
        if unsafe { names(string.cast(), NAME.as_bytes()) } {
            return Some(string.cast());
        }
        // SAFETY: as above.
        at = unsafe { at.add(1) };
    }
}

/// Copies the variable's value from the libc's environment, where there is no `/proc`. Returns `None` if there is no
/// libc, or if it does not know its environment yet. Otherwise returns the same as [`Linux::environment`].
fn environment_of_libc(buffer: &mut [u8]) -> Option<Result<Option<&[u8]>, OsError>> {
    let mut list = ENVIRONMENT.load(Ordering::Relaxed).cast_const();
    let variable = arch::environ().cast::<*const *const c_char>();
    if list.is_null() && !variable.is_null() {
        // SAFETY: the symbol is POSIX's variable of this type.
        list = unsafe { *variable };
    }
    if list.is_null() {
        return None;
    }
    // SAFETY: the libc's list of its environment, or the list that it passed to `scan_environment`.
    let Some(entry) = (unsafe { find(list) }) else { return Some(Ok(None)) };
    let mut length = 0;
    loop {
        // SAFETY: the entry is the name, an equals sign and a C string, and no byte up to here was zero.
        let byte = unsafe { *entry.add(NAME.len() + 1 + length) };
        if byte == 0 {
            return Some(Ok(buffer.get(..length)));
        }
        let Some(slot) = buffer.get_mut(length) else { return Some(Err(OsError::OutOfMemory)) };
        *slot = byte;
        length += 1;
    }
}

/// Returns whether a C string begins with `name` and an equals sign.
///
/// # Safety
/// It is a C string.
unsafe fn names(string: *const u8, name: &[u8]) -> bool {
    // SAFETY: nothing is read behind the first byte that differs, and the string's end differs.
    name.iter().chain(b"=").enumerate().all(|(i, &byte)| unsafe { *string.add(i) } == byte)
}

/// Returns whether the option `deepbind:keep` is set, with which `dlopen` leaves `RTLD_DEEPBIND` as it is. Reads the
/// options if they are not set yet.
pub fn keeps_deepbind() -> bool {
    startup::begin();
    read_options();
    OPTIONS.get().is_some_and(|options| options.keep_deepbind)
}

/// Reads and sets the options, unless they are set. Allocates nothing. Several threads may read them at the same time; the
/// first to finish sets them.
pub(super) fn read_options() {
    if OPTIONS.get().is_some() {
        return;
    }
    let mut buffer = [0; options::LONGEST];
    let shown = match Linux::environment(NAME, &mut buffer) {
        Err(OsError::Errno(_)) => None,
        other => Some(other.map(|found| found.map(<[u8]>::len))),
    };
    let found = match shown {
        Some(found) => Some(found.map(|length| length.and_then(|length| buffer.get(..length)))),
        None => environment_of_libc(&mut buffer),
    };
    // The next thread's first allocation, or the exit, tries again.
    let Some(found) = found else { return };
    let mut parsed = parsed(found);
    ALLOCATOR.set_stats_page(parsed.stats_page);
    if parsed.no_membarrier {
        Linux::set_membarrier(false);
    }
    ALLOCATOR.set_double_check(parsed.double_check);
    ALLOCATOR.set_check(parsed.check);
    // A seccomp filter that kills for one of these system calls mostly kills for the other.
    if parsed.no_huge_pages || parsed.no_membarrier {
        heap().set_huge_pages(false);
    }
    Linux::set_heap_base(parsed.heap_base);
    exit_report::prepare(&mut parsed);
    settings::set_owner(&parsed);
    OPTIONS.set(parsed);
}

/// Returns the options from the variable's value. Ignores the value in a setuid program (`AT_SECURE`), and where that is
/// unknown.
fn parsed(found: Result<Option<&[u8]>, OsError>) -> Options {
    match (found, Linux::secure()) {
        (Ok(None), _) | (_, Some(true)) => Options::default(),
        (_, None) => {
            report::line(format_args!("crossfoot: CROSSFOOT: ignored: without /proc, nobody says whose it is"));
            Options::default()
        }
        (Ok(Some(text)), _) => Options::parse(text, |wrong| report::line(format_args!("{wrong}"))),
        (Err(_), _) => {
            report::line(format_args!("crossfoot: CROSSFOOT: longer than {} bytes, ignored", options::LONGEST));
            Options::default()
        }
    }
}
