//! The audit for C, as `include/crossfoot-audit.h` declares it.

use core::ffi::{c_char, c_int};

use crossfoot::audit::{Audit, Cause};
use crossfoot::os::OsError;
use crossfoot::process;

/// `ENOMEM`, `EEXIST` and `ENOSYS` of `errno.h`.
const ENOMEM: c_int = 12;
const EEXIST: c_int = 17;
const ENOSYS: c_int = 38;

/// `struct crossfoot_cause`.
#[repr(C)]
pub struct Amount {
    name: *const c_char,
    bytes: u64,
    resident: u64,
}

/// The number of words of `struct crossfoot_audit`.
const WORDS: usize = 20;

/// Returns the words of `struct crossfoot_audit`, in its order.
fn words(audit: &Audit) -> [u64; WORDS] {
    let (outside, none) = (&audit.outside, u64::MAX);
    let agrees = audit.comparisons.iter().all(|c| c.account_bytes == c.walked);
    [
        audit.resident,
        audit.causes.resident(),
        audit.unexplained as u64,
        audit.moved,
        audit.passes.into(),
        outside.files,
        outside.brk,
        outside.stack,
        outside.anonymous,
        outside.other,
        outside.process,
        outside.proportional,
        outside.huge,
        outside.lazily_freed,
        outside.swapped,
        outside.mappings,
        audit.group.current.unwrap_or(none),
        audit.group.limit.unwrap_or(none),
        agrees.into(),
        Cause::ALL.len() as u64,
    ]
}

/// Audits this process. Returns 0 or an error number.
///
/// # Safety
/// `size` bytes from `out` can be written, and `capacity` elements of `causes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crossfoot_audit(out: *mut u64, size: usize, causes: *mut Amount, capacity: usize) -> c_int {
    let audit = match process::audit() {
        Ok(audit) => audit,
        Err(OsError::OutOfMemory | OsError::Lost) => return ENOMEM,
        Err(OsError::Taken) => return EEXIST,
        Err(OsError::Unsupported) => return ENOSYS,
        Err(OsError::Errno(number)) => return number,
    };
    let words = words(&audit);
    for i in 0..size / size_of::<u64>() {
        // SAFETY: the caller's promise: the word is within `size`. Words that this version does not know are zero.
        unsafe { out.add(i).write(words.get(i).copied().unwrap_or(0)) };
    }
    for (i, cause) in Cause::ALL.into_iter().enumerate().take(capacity) {
        let amount = audit.causes.get(cause);
        let amount = Amount { name: cause.c_name().as_ptr(), bytes: amount.bytes, resident: amount.resident };
        // SAFETY: the caller's promise: the element is within `capacity`.
        unsafe { causes.add(i).write(amount) };
    }
    0
}
