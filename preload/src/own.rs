//! Functions that only Crossfoot has, as `include/crossfoot.h` declares them.

use core::ffi::{CStr, c_char, c_int};

use crossfoot::process;
use crossfoot::report;

/// The version, with its null byte.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// Returns the version as text, for instance `0.1.0`. The text lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Retires the calling thread's cache, for another thread to adopt. For threads that exit unnoticed by the libc, such
/// as those of a raw `clone`. A thread that allocates afterwards gets another cache.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_retire_thread() {
    process::retire_cache();
}

/// Checks every identity of the statistics. Returns 1 if all hold. Otherwise returns 0, and prints a line to standard
/// error for each that fails.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_balanced() -> c_int {
    process::crossfoot_with(|balance| {
        // Before the first allocation there are no statistics to check.
        let Some(balance) = balance else { return 1 };
        balance.failures.describe(|what| report::line(format_args!("crossfoot: unbalanced: {what}")));
        c_int::from(balance.failures.is_empty())
    })
}
