//! The asymmetric fence: one side of a protocol pays for the ordering of both.

/// A memory barrier on all threads of the process. The statistics' writers then need no barrier of their own.
pub trait Fence {
    /// Enables [`Fence::fence_all`]. Called once, before the first fence. Returns `false` if the environment has no such
    /// fence; then both sides of a protocol use a real one.
    fn register_fence(&self) -> bool;

    /// Executes a full memory barrier on every running thread of the process. Returns `false` if the OS refuses, as a
    /// seccomp filter does that was installed after [`Fence::register_fence`].
    fn fence_all(&self) -> bool;
}
