//! Records of one type. Freed records are reused and never returned to the OS.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::persistent::{Charge, Persistent};
use crate::os::{Os, OsError};
use crate::stats::Delta;
use crate::units::Addr;
use crate::vm::Vm;

/// How many of a record's first words keep their values while the record is free.
const KEPT: usize = 2;

/// A free record. Its first words keep the values that the last user left there for stale pointers to find.
/// The link of the free list follows them.
#[repr(C)]
struct Free {
    kept: [usize; KEPT],
    next: *mut Free,
}

/// Allocates records of type `T`. Their memory never holds anything else, so a stale pointer to a record
/// still points to a record. `C` is charged.
pub struct Fixed<T, C> {
    source: Persistent<C>,
    free: *mut Free,
    in_use: usize,
    records: PhantomData<*mut T>,
}

// SAFETY: the list is reached through `&mut self` only.
unsafe impl<T, C> Send for Fixed<T, C> {}

impl<T, C: Charge> Fixed<T, C> {
    /// Returns an allocator without records.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Fixed<T, C> {
        const { assert!(size_of::<T>() >= size_of::<Free>() && align_of::<T>() >= align_of::<Free>()) };
        Fixed { source: Persistent::new(), free: core::ptr::null_mut(), in_use: 0, records: PhantomData }
    }

    /// Allocates a record. Its content is unspecified.
    pub fn alloc<O: Os>(&mut self, vm: &Vm<O>, delta: &mut Delta) -> Result<NonNull<T>, OsError> {
        let record = match NonNull::new(self.free) {
            Some(free) => {
                // SAFETY: the records of the list are free, so their memory holds a `Free`.
                self.free = unsafe { free.as_ref() }.next;
                free.cast()
            }
            None => {
                let at = self.source.alloc(vm, size_of::<T>(), align_of::<T>(), delta)?;
                NonNull::new(at.ptr::<T>()).ok_or(OsError::OutOfMemory)?
            }
        };
        self.in_use += 1;
        Ok(record)
    }

    /// Adds `size` bytes from `start` on, aligned for records and accounted for by the caller, as memory for
    /// new records.
    pub fn feed(&mut self, start: Addr, size: usize) {
        self.source.feed(start, size);
    }

    /// Frees a record.
    ///
    /// # Safety
    /// The record came from this allocator and is not used after.
    pub unsafe fn free(&mut self, record: NonNull<T>) {
        let free = record.cast::<Free>();
        // SAFETY: the record is free now. Its memory is large and aligned enough for a `Free`.
        unsafe { (&raw mut (*free.as_ptr()).next).write(self.free) };
        self.free = free.as_ptr();
        self.in_use -= 1;
    }

    /// Returns how many records are in use.
    pub fn in_use(&self) -> usize {
        self.in_use
    }
}
