//! A value on cache lines of its own.

use core::ops::Deref;

/// A value that shares no cache line with another one, so that who only reads it does not lose it to those who write
/// its neighbours.
#[repr(align(64))]
pub struct CachePadded<T>(T);

impl<T> CachePadded<T> {
    /// The value, apart.
    pub const fn new(value: T) -> CachePadded<T> {
        CachePadded(value)
    }
}

impl<T> Deref for CachePadded<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
