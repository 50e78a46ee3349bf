//! Free objects that travel together.

/// A free object as batches link it.
pub trait Link: Sized {
    /// What its address is a multiple of: so many objects fit in a batch.
    const ALIGN: usize;
    /// The next object of its batch.
    fn next(&self) -> *mut Self;
    /// Sets what [`Link::next`] returns.
    fn set_next(&self, next: *mut Self);
    /// A word beside it.
    fn extra(&self) -> usize;
    /// Sets what [`Link::extra`] returns.
    fn set_extra(&self, extra: usize);
}

/// Objects on their way home, linked through `next`: `head` first, `tail` last.
pub struct Batch<L> {
    /// The first object.
    pub head: *mut L,
    /// The last object.
    pub tail: *mut L,
    /// How many objects.
    pub count: u32,
}
