//! Every order of loads and stores of Crossfoot's lock-free protocols, tried by loom.
//!
//! The protocols are compiled from the shipped files, which take their atomics from `src/sync.rs`; here that
//! gives them [loom](https://docs.rs/loom)'s. A [scenario](scenarios) is a small program of two to four threads
//! that uses a protocol and checks what it promises; loom runs it in every order, up to a number of preemptions. And
//! so that none of the orderings is there for nothing, and none is missing in a scenario, each one is weakened in
//! turn: then some scenario must fail.
//!
//! `cargo test --release` runs all. `CROSSFOOT_MODEL_PREEMPTIONS=3` tries more orders than the scenarios ask for,
//! for hours.
//!
//! What loom cannot see: a load that is answered by a store that comes later in the execution. And its fences say
//! a little too much: one of kind `SeqCst` orders everything before the one with everything after the next, and an
//! acquire fence also acquires what other threads read that this one synchronised with.

#[allow(dead_code, reason = "the model has no use for all of it")]
pub mod stats;
pub mod cache;
pub mod check;
pub mod ghost;
#[cfg(test)]
mod litmus;
pub mod scenarios;
pub mod sites;
pub mod span;
pub mod text;

#[path = "../../src/sync.rs"]
mod sync;
