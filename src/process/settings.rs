//! The process's options, read once.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::{ALLOCATOR, exit, exit_report};
use crate::arch;
use crate::options::{self, Options};
use crate::os::{Linux, OsError};
use crate::report;

/// The options, set once. No lock: a fork could leave it held.
pub(super) static OPTIONS: Settings = Settings { state: AtomicU8::new(UNSET), options: UnsafeCell::new(None) };
/// The variable's name.
const NAME: &str = "CROSSFOOT";
/// Nobody has set the options.
const UNSET: u8 = 0;
/// A thread is setting them.
const SETTING: u8 = 1;
/// They are set, for good.
const SET: u8 = 2;

/// Options that are set once.
pub(super) struct Settings {
    state: AtomicU8,
    options: UnsafeCell<Option<Options>>,
}

// SAFETY: the options are written by the one thread that moved the state from UNSET to SETTING, and read by
// others only once it is SET.
unsafe impl Sync for Settings {}

impl Settings {
    pub(super) fn get(&self) -> Option<&Options> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: set for good, see above.
        unsafe { (*self.options.get()).as_ref() }
    }

    /// Sets the options unless somebody has or does.
    fn set(&self, options: Options) {
        if self.state.compare_exchange(UNSET, SETTING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return;
        }
        // SAFETY: this thread alone moved the state here, and nobody reads before it is SET.
        unsafe { *self.options.get() = Some(options) };
        self.state.store(SET, Ordering::Release);
    }

    /// In the child of a fork: what a thread was doing that is not there any more is begun anew.
    pub(super) fn after_fork(&self) {
        let _ = self.state.compare_exchange(SETTING, UNSET, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The environment that the process starts with, where the variable is in it: a libc hands it to [`look`]. Null: not known.
static ENVIRONMENT: AtomicPtr<*const c_char> = AtomicPtr::new(null_mut());

/// Looks for the variable in the environment that the process starts with. Where it is not there, which is nearly always,
/// nothing needs to be read in the first allocation.
///
/// Says nothing about a variable that is there: this process may have linked the crate for something else.
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

/// The variable's entry in a list of the environment.
///
/// # Safety
/// `environment` is a list of C strings that a null ends.
unsafe fn find(environment: *const *const c_char) -> Option<*const u8> {
    let mut at = environment;
    loop {
        // SAFETY: the caller's promise: up to the null, there is an entry behind each.
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

/// Copies the variable's value from the environment that the libc has, where `/proc` does not show it. `None`: there is no
/// libc, or it does not know its environment yet. Otherwise as [`Linux::environment`].
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
    // SAFETY: the libc's list of its environment, or what it handed to `look`.
    let Some(entry) = (unsafe { find(list) }) else { return Some(Ok(None)) };
    let mut length = 0;
    loop {
        // SAFETY: the entry is the name, an equals sign and a C string, of which no byte was zero yet.
        let byte = unsafe { *entry.add(NAME.len() + 1 + length) };
        if byte == 0 {
            return Some(Ok(buffer.get(..length)));
        }
        let Some(place) = buffer.get_mut(length) else { return Some(Err(OsError::OutOfMemory)) };
        *place = byte;
        length += 1;
    }
}

/// Whether a C string begins with `name` and an equals sign.
///
/// # Safety
/// It is a C string.
unsafe fn names(string: *const u8, name: &[u8]) -> bool {
    // SAFETY: no byte is looked at behind one that differs, as the string's end does.
    name.iter().chain(b"=").enumerate().all(|(i, &byte)| unsafe { *string.add(i) } == byte)
}

/// Returns whether `dlopen` leaves `RTLD_DEEPBIND` as it is: the option `deepbind:keep`. Reads the options if this comes
/// before the first allocation.
pub fn keeps_deepbind() -> bool {
    super::life::begin();
    read_options();
    OPTIONS.get().is_some_and(|options| options.keep_deepbind)
}

/// Reads the options once, without memory. Threads that come here together read them together; the first to finish
/// sets them.
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
    // They are read again in the next thread's first allocation, or at the exit.
    let Some(found) = found else { return };
    let mut parsed = parsed(found);
    ALLOCATOR.set_stats_page(parsed.stats_page);
    if parsed.no_membarrier {
        Linux::set_membarrier(false);
    }
    ALLOCATOR.set_double_check(parsed.double_check);
    ALLOCATOR.set_check(parsed.check);
    // Where a filter of system calls kills for one of the two, it mostly does for the other.
    if parsed.no_huge_pages || parsed.no_membarrier {
        ALLOCATOR.caches().central().heap().set_huge_pages(false);
    }
    Linux::set_heap_base(parsed.heap_base);
    exit_report::prepare(&mut parsed);
    exit::set_started_as(&parsed);
    OPTIONS.set(parsed);
}

/// The options, from what was found of the variable.
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
