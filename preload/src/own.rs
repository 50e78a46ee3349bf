//! What only Crossfoot has: declared in `include/crossfoot.h`.

use core::ffi::{CStr, c_char, c_int};

use crossfoot::process;
use crossfoot::report;

/// The version, with its null byte.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The version as text, for instance `0.1.0`. It lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Gives the calling thread's cache back, for the next thread to adopt. For threads of which the libc does not tell
/// us when they end, such as those of a raw `clone`. A thread that allocates afterwards gets another cache.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_retire_thread() {
    process::retire_cache();
}

/// Checks every identity of the books: 1 if all hold, else 0, and each that fails is a line on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn crossfoot_balanced() -> c_int {
    process::crossfoot_with(|balance| {
        // Before the first allocation there is nothing that could be wrong.
        let Some(balance) = balance else { return 1 };
        balance.failures.describe(|what| report::line(format_args!("crossfoot: unbalanced: {what}")));
        c_int::from(balance.failures.is_empty())
    })
}
