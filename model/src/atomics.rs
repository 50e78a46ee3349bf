//! The atomics that `src/sync.rs` gives to the protocols here: loom's, wrapped so that the ghost records them.
//!
//! Every operation knows its place in the shipped source ([`Location::caller`]), so that it can be recorded, executed
//! with a weaker ordering, or skipped. `ghost::operation` does the rest of the work around an operation.

use core::panic::Location;

use loom::sync::atomic as real;

use crate::ghost::operation::{self, Late, Readers};
pub(crate) use core::sync::atomic::Ordering;

/// A macro, because loom's constructors are not `const` functions.
macro_rules! constant {
    ($($item:tt)+) => { $($item)+ };
}

/// Builds an array of equal elements that cannot be copied.
macro_rules! array {
    ($element:expr; $count:expr) => {
        core::array::from_fn::<_, { $count }, _>(|_| $element)
    };
}

pub(crate) use {array, constant};

macro_rules! number {
    ($name:ident, $value:ty, $late:expr) => {
        /// A number.
        pub(crate) struct $name {
            real: real::$name,
            readers: Readers,
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                $name { real: real::$name::new(value), readers: Readers::default() }
            }

            #[track_caller]
            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                let cell = (address(&self.real), &self.readers);
                operation::load(cell, Location::caller(), ordering, |ordering| self.real.load(ordering))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                let late: fn(&Self, $value) -> Option<Late> = $late;
                operation::store(&self.readers, value, late(self, value), Location::caller(), ordering, |ordering| {
                    self.real.store(value, ordering);
                });
            }
        }
    };
}

number!(AtomicUsize, usize, |it, value| Some(Late { cell: &it.real, readers: &it.readers, value }));
number!(AtomicI64, i64, |_, _| None);

/// A pointer.
pub(crate) struct AtomicPtr<T> {
    real: real::AtomicPtr<T>,
    readers: Readers,
}

impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        AtomicPtr { real: real::AtomicPtr::new(value), readers: Readers::default() }
    }

    #[track_caller]
    pub(crate) fn load(&self, ordering: Ordering) -> *mut T {
        let cell = (address(&self.real), &self.readers);
        operation::load(cell, Location::caller(), ordering, |ordering| self.real.load(ordering))
    }

    #[track_caller]
    pub(crate) fn store(&self, value: *mut T, ordering: Ordering) {
        operation::store(&self.readers, value, None, Location::caller(), ordering, |ordering| {
            self.real.store(value, ordering);
        });
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let orderings = (success, failure);
        operation::exchange(&self.readers, Location::caller(), orderings, current, |success, failure| {
            self.real.compare_exchange(current, new, success, failure)
        })
    }

    #[track_caller]
    pub(crate) fn swap(&self, new: *mut T, ordering: Ordering) -> *mut T {
        // A swap does not fail.
        let orderings = (ordering, Ordering::Relaxed);
        operation::exchange(&self.readers, Location::caller(), orderings, core::ptr::null_mut(), |ordering, _| {
            Ok(self.real.swap(new, ordering))
        })
        .unwrap_or_else(|seen| seen)
    }
}

#[track_caller]
pub(crate) fn fence(ordering: Ordering) {
    operation::fence(Location::caller(), ordering);
}

#[track_caller]
pub(crate) fn compiler_fence(ordering: Ordering) {
    operation::compiler_fence(Location::caller(), ordering);
}

/// Returns the address of an atomic, which identifies it.
fn address<T>(cell: &T) -> *const () {
    core::ptr::from_ref(cell).cast()
}
