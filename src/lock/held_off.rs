//! The items of `held.rs` with empty bodies, for release builds.

use super::rank::Rank;
use core::marker::PhantomData;

/// Whether this build checks the lock order.
pub const CHECKED: bool = false;

/// Replaces the record of a held lock. It has zero bytes and cannot leave the thread, as in checked builds.
#[must_use = "in checked builds the record is removed when this is dropped"]
pub struct HeldGuard {
    thread_bound: PhantomData<*const ()>,
}

/// Replaces the rank of a lock, so that a new lock is zero bytes.
#[derive(Clone, Copy)]
pub struct Known;

/// Does nothing.
#[inline(always)]
pub const fn known(_rank: Rank) -> Known {
    Known
}

/// Does nothing.
#[inline(always)]
pub fn acquire(_rank: Known, _address: usize) -> HeldGuard {
    HeldGuard { thread_bound: PhantomData }
}

/// Does nothing.
#[inline(always)]
pub fn note_in_line(_rank: Known, _address: usize) {}

/// Does nothing.
#[inline(always)]
pub fn release(_rank: Known, _address: usize) {}

/// Does nothing.
#[inline(always)]
pub fn may_acquire(_rank: Known) {}

/// Does nothing.
#[inline(always)]
pub fn assert_held(_rank: Rank) {}

/// Does nothing.
#[inline(always)]
pub fn assert_held_at(_rank: Known, _address: usize) {}

/// Does nothing.
#[inline(always)]
pub fn assert_not_held(_rank: Rank) {}

/// Does nothing.
#[inline(always)]
pub fn none_held() {}
