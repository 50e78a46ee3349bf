//! Where the stack is chosen on which the allocator does what may need more than the caller has.

/// Runs `f`, on the stack that the caller has.
#[inline]
pub(super) fn on_stack<R>(f: impl FnOnce() -> R) -> R {
    f()
}
