//! Batches of free objects that are returned to their owner together.

/// The links of a free object in a batch.
pub trait Link: Sized {
    /// Returns the next object of the batch.
    fn next(&self) -> *mut Self;
    /// Sets the next object.
    fn set_next(&self, next: *mut Self);
    /// Returns the second word.
    fn extra(&self) -> u64;
    /// Sets the second word.
    fn set_extra(&self, extra: u64);
    /// Prefetches the object at `_at`, which will be read soon. It may be any address.
    fn prefetch(_at: *mut Self) {}
}

/// Free objects of one span, linked through `next` from `head` to `tail`, to be returned to the owner.
pub struct Batch<L> {
    /// The first object.
    pub head: *mut L,
    /// The last object.
    pub tail: *mut L,
    /// The sum of the objects' addresses. It encodes their number; see
    /// [`Span::count_of`](super::Span::count_of).
    pub sum: u64,
}
