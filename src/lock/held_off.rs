//! The names of `held.rs` with nothing behind them, for release builds.

use super::rank::Rank;
use core::marker::PhantomData;

/// Whether this build checks the order.
pub const CHECKED: bool = false;

/// Takes the place of a note; zero bytes. It cannot leave the thread, as in checked builds.
#[must_use = "in checked builds the note is struck out when this is dropped"]
pub struct HeldGuard {
    thread_bound: PhantomData<*const ()>,
}

/// What a lock knows of its rank: nothing, so that a new lock is zero bytes.
#[derive(Clone, Copy)]
pub struct Known;

/// Nothing.
#[inline(always)]
pub const fn known(_rank: Rank) -> Known {
    Known
}

/// Nothing.
#[inline(always)]
pub fn acquire(_rank: Known, _address: usize) -> HeldGuard {
    HeldGuard { thread_bound: PhantomData }
}

/// Nothing.
#[inline(always)]
pub fn note_in_line(_rank: Known, _address: usize) {}

/// Nothing.
#[inline(always)]
pub fn release(_rank: Known, _address: usize) {}

/// Nothing.
#[inline(always)]
pub fn may_acquire(_rank: Known) {}

/// Nothing.
#[inline(always)]
pub fn assert_held(_rank: Rank) {}

/// Nothing.
#[inline(always)]
pub fn assert_held_at(_rank: Known, _address: usize) {}

/// Nothing.
#[inline(always)]
pub fn assert_not_held(_rank: Rank) {}

/// Nothing.
#[inline(always)]
pub fn none_held() {}
