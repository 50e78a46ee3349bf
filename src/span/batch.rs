//! Free objects that travel together.

/// A free object as batches link it.
pub trait Link: Sized {
    /// The next object of its batch.
    fn next(&self) -> *mut Self;
    /// Sets what [`Link::next`] returns.
    fn set_next(&self, next: *mut Self);
    /// A word beside it.
    fn extra(&self) -> u64;
    /// Sets what [`Link::extra`] returns.
    fn set_extra(&self, extra: u64);
    /// Asks for the line of the object at `at`, which is read soon. Any address may be asked for.
    fn prefetch(_at: *mut Self) {}
}

/// Objects of one span on their way home, linked through `next`: `head` first, `tail` last.
pub struct Batch<L> {
    /// The first object.
    pub head: *mut L,
    /// The last object.
    pub tail: *mut L,
    /// The sum of the objects' addresses, which says how many they are.
    pub sum: u64,
}
