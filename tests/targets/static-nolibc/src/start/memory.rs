//! The functions on memory that the compiler calls. Volatile, so that it does not make calls of themselves of them.

use core::ffi::{c_int, c_void};

const WORD: usize = size_of::<usize>();

/// # Safety
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    let mut i = 0;
    // SAFETY: inside of both ranges; words are read and written where both are aligned.
    unsafe {
        if (to.addr() | from.addr()).is_multiple_of(WORD) {
            while i + WORD <= n {
                to.add(i).cast::<usize>().write_volatile(from.add(i).cast::<usize>().read_volatile());
                i += WORD;
            }
        }
        while i < n {
            to.add(i).write_volatile(from.add(i).read_volatile());
            i += 1;
        }
    }
    to
}

/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= n {
        // SAFETY: upward copying reads each byte before it is overwritten.
        return unsafe { memcpy(to, from, n) };
    }
    let mut i = n;
    while i > 0 {
        i -= 1;
        // SAFETY: inside of both ranges.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    }
    to
}

/// # Safety
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, n: usize) -> *mut u8 {
    let byte = byte as u8;
    let word = usize::from_ne_bytes([byte; WORD]);
    let mut i = 0;
    // SAFETY: inside of the range; words are written where it is aligned.
    unsafe {
        while i < n {
            if to.addr().wrapping_add(i).is_multiple_of(WORD) && i + WORD <= n {
                to.add(i).cast::<usize>().write_volatile(word);
                i += WORD;
            } else {
                to.add(i).write_volatile(byte);
                i += 1;
            }
        }
    }
    to
}

/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
    for i in 0..n {
        // SAFETY: inside of both ranges.
        let (a, b) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

/// # Safety
/// As BSD's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, n) }
}

/// # Safety
/// As C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_void) -> usize {
    let mut n = 0;
    // SAFETY: the text ends with a null byte.
    while unsafe { text.cast::<u8>().add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}
