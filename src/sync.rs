//! The atomics of the protocols that a model checks.
//!
//! `account` and `cache` take theirs from here, so that the same source files run on the machine and, built
//! with `--cfg loom`, in `model/`, where every order of loads and stores that the memory model allows is tried.
//! Other rooms use `core`.
//!
//! Names only; no state.
//!
//! Invariant: a name means the same in both, but for what the model can see.

#[cfg(not(loom))]
mod machine {
    pub(crate) use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};

    /// Makes a function `const` where the atomics can be made so.
    macro_rules! constant {
        ($(#[$meta:meta])* $visibility:vis fn $($rest:tt)+) => { $(#[$meta])* $visibility const fn $($rest)+ };
    }

    /// An array of equal elements, none of which can be copied.
    macro_rules! array {
        ($element:expr; $count:expr) => {
            [const { $element }; $count]
        };
    }

    pub(crate) use {array, constant};
}

#[cfg(loom)]
#[path = "../model/src/atomics.rs"]
mod machine;

pub(crate) use machine::*;
