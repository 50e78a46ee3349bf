//! Tries Crossfoot's lock-free protocols in every order of loads and stores, with loom.
//!
//! The protocols are compiled from the shipped files, which take their atomics from `src/sync.rs`; here these are
//! [loom](https://docs.rs/loom)'s. A [scenario](scenarios) is a small program of two to four threads that uses a
//! protocol and checks its guarantees. Loom runs it in every order, up to a number of preemptions. Then each ordering
//! is weakened in turn, and some scenario must fail: so no ordering is superfluous, and no scenario is missing.
//!
//! `cargo test --release` runs everything. `CROSSFOOT_MODEL_PREEMPTIONS=3` tries more orders than the scenarios ask
//! for, and takes hours.
//!
//! Loom does not model a load that reads a store which executes later. Its fences are slightly too strong: a `SeqCst`
//! fence orders everything before it with everything after the next one, and an acquire fence also acquires what was
//! read by threads with which this thread synchronised.

pub mod cache;
pub mod check;
pub mod ghost;
#[cfg(test)]
mod litmus;
pub mod scenarios;
pub mod sites;
pub mod span;
#[allow(dead_code, reason = "the model has no use for all of it")]
pub mod stats;
pub mod text;

#[path = "../../src/sync.rs"]
mod sync;
