//! The type [`Linux`], and conversions that its files share.

use core::ffi::c_void;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::os::OsError;
use crate::units::Addr;

/// Linux under this process.
pub struct Linux;

impl Linux {
    /// Returns the process id.
    pub fn pid() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    /// Returns the limit on this process's address space in bytes, or `None` if there is none.
    pub fn address_space_limit() -> Option<u64> {
        getrlimit(Resource::As).current
    }
}

/// Returns the error of a failed system call.
pub(super) fn error(e: Errno) -> OsError {
    match e {
        Errno::NOMEM | Errno::AGAIN => OsError::OutOfMemory,
        Errno::EXIST => OsError::Taken,
        Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP => OsError::Unsupported,
        e => OsError::Errno(e.raw_os_error()),
    }
}

/// Returns the address as C's `void *`.
pub(super) fn void(addr: Addr) -> *mut c_void {
    addr.ptr()
}
