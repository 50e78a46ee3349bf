//! The atomics of the protocols that a model checks.
//!
//! `stats` and `cache` import theirs from here. The same source files then run in the allocator and, built
//! with `--cfg loom`, in `model/`, which tries every execution that the memory model allows. Other modules
//! use `core`.
//!
//! It defines names only and has no state.
//!
//! Invariant: a name means the same in both builds, apart from what only loom observes.

#[cfg(not(loom))]
mod atomics {
    pub(crate) use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};

    /// Makes a function `const` if the atomics have const constructors.
    macro_rules! constant {
        ($(#[$meta:meta])* $visibility:vis fn $($rest:tt)+) => { $(#[$meta])* $visibility const fn $($rest)+ };
    }

    /// Makes an array of equal elements of a type that is not `Copy`.
    macro_rules! array {
        ($element:expr; $count:expr) => {
            [const { $element }; $count]
        };
    }

    pub(crate) use {array, constant};
}

#[cfg(loom)]
#[path = "../model/src/atomics.rs"]
mod atomics;

pub(crate) use atomics::*;
