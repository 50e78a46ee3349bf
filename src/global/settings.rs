//! The process's options, read once.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::sync::atomic::{AtomicU8, Ordering};

use super::{KERNEL, exit_report};
use crate::options::{self, Options};
use crate::os::Linux;
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

/// Looks for the variable in the environment that the process starts with. Where it is not there, which is nearly always,
/// nothing needs to be read in the first allocation.
///
/// Says nothing about a variable that is there: this process may have linked the crate for something else.
///
/// # Safety
/// `environment` is a list of C strings that a null ends.
pub(super) unsafe fn look(environment: *const *const c_char) {
    let mut at = environment;
    loop {
        // SAFETY: the caller's promise: up to the null, there is an entry behind each.
        let string = unsafe { *at };
        if string.is_null() {
            return OPTIONS.set(Options::default());
        }
        // SAFETY: an entry is a C string.
        if unsafe { names(string.cast(), NAME.as_bytes()) } {
            return;
        }
        // SAFETY: as above.
        at = unsafe { at.add(1) };
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
    let mut parsed = match Linux::environment(NAME, &mut buffer) {
        Ok(Some(_)) | Err(_) if Linux::secure() => Options::default(),
        Ok(Some(text)) => Options::parse(text, |wrong| report::line(format_args!("{wrong}"))),
        Ok(None) => Options::default(),
        Err(_) => {
            report::line(format_args!("crossfoot: CROSSFOOT: longer than {} bytes, ignored", options::LONGEST));
            Options::default()
        }
    };
    KERNEL.set_stats_page(parsed.stats_page);
    if parsed.no_membarrier {
        Linux::set_membarrier(false);
    }
    KERNEL.set_double_check(parsed.double_check);
    KERNEL.set_check(parsed.check);
    // Where a filter of system calls kills for one of the two, it mostly does for the other.
    if parsed.no_huge_pages || parsed.no_membarrier {
        KERNEL.caches().central().heap().set_huge_pages(false);
    }
    exit_report::prepare(&mut parsed);
    OPTIONS.set(parsed);
}
