//! Follows links in free objects. A program that writes to freed memory may have changed them.
//!
//! Each link is validated before it is followed, and no walk takes more steps than the span has objects. So a
//! walk ends and reads only memory of the span, whatever the links hold. The fast paths do not use this
//! module: they follow links without validation.

use super::record::{Object, Span};
use crate::report;
use crate::units::Addr;

/// A change that a program made to a list of free objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// The link in the free object at this address leads to no free object of its span.
    Object(usize),
    /// The free list of the span that begins at this address does not have the expected objects.
    List(usize),
}

impl Changed {
    /// Ends the process with a line that names the changed object or list. The caller holds no lock, since a
    /// handler of the signal may allocate.
    #[cold]
    #[inline(never)]
    pub fn abort(self) -> ! {
        match self {
            Changed::Object(at) => report::fatal(format_args!(
                "crossfoot: malloc: the object at {at:#x} was written to after it was freed"
            )),
            Changed::List(base) => {
                report::fatal(format_args!("crossfoot: free: the list of free objects at {base:#x} was changed"))
            }
        }
    }
}

/// The result of a walk over a list of free objects.
pub struct Followed {
    /// The number of objects.
    pub count: u32,
    /// The sum of their addresses.
    pub sum: u64,
    /// The last object, or null if the list is empty.
    pub last: *mut Object,
}

impl Span {
    /// Returns whether `at` can be a free object of this small span, as far as any thread can tell: it is an
    /// object's first byte, and not known to be live. `at` may be any address.
    #[inline]
    pub fn may_be_free(&self, at: Addr) -> bool {
        self.is_object(at) && (self.live().is_none() || self.is_freed(at))
    }

    /// Returns whether `at` can be a free object that was carved. Owner only.
    #[inline]
    fn was_freed(&self, at: Addr) -> bool {
        self.may_be_free(at) && (self.index_of(at) as u32) < self.carved.get()
    }

    /// Returns whether `next` can be the link to `left` more free objects of this span: null if `left` is 0.
    /// Owner only.
    #[inline]
    pub fn leads_on(&self, next: *mut Object, left: u32) -> bool {
        if left == 0 { next.is_null() } else { self.was_freed(Addr::of(next)) }
    }

    /// Follows a list of at most `at_most` free objects of this span from `first` on. The caller owns the
    /// span, or all threads are outside the allocator.
    pub fn follow(&self, first: *mut Object, at_most: u32) -> Result<Followed, Changed> {
        // A longer list has a cycle or leads through live objects. Which link was changed is unknown.
        self.walk(first, at_most.min(self.carved.get()), |_| Changed::List(self.base().0))
    }

    /// Follows a list that must have exactly `count` objects. Otherwise like [`Span::follow`].
    pub fn follow_exactly(&self, first: *mut Object, count: u32) -> Result<Followed, Changed> {
        let found = self.walk(first, count, |last| self.changed(last))?;
        if found.count != count { Err(self.changed(found.last)) } else { Ok(found) }
    }

    fn walk(
        &self,
        first: *mut Object,
        at_most: u32,
        too_long: impl FnOnce(*mut Object) -> Changed,
    ) -> Result<Followed, Changed> {
        let mut found = Followed { count: 0, sum: 0, last: core::ptr::null_mut() };
        let mut at = first;
        while !at.is_null() {
            if !self.was_freed(Addr::of(at)) || at == found.last {
                return Err(self.changed(found.last));
            }
            if found.count == at_most {
                return Err(too_long(found.last));
            }
            found.count += 1;
            found.sum = found.sum.wrapping_add(at.addr() as u64);
            found.last = at;
            // SAFETY: `was_freed` checked that it is an object of the span. A span in use can be read.
            at = unsafe { (*at).next.get() };
        }
        Ok(found)
    }

    /// Counts the objects of the free list one by one. Has the same callers as [`Span::follow`].
    ///
    /// If the span has a bitmap of live objects, the count must match the span's counters. Otherwise a signal
    /// handler may have interrupted the owner between its two updates, so a list that is too short is left to
    /// the comparison of all sums.
    pub fn count_free(&self) -> Result<u64, Changed> {
        let found = self.follow(self.free.get(), self.carved.get())?;
        if self.live().is_some() && found.count != self.carved.get().wrapping_sub(self.outstanding()) {
            return Err(self.changed(found.last));
        }
        Ok(u64::from(found.count))
    }

    /// Returns what was changed if `from` has a bad link. `from` is null if the list's head is bad.
    fn changed(&self, from: *mut Object) -> Changed {
        if from.is_null() { Changed::List(self.base().0) } else { Changed::Object(from.addr()) }
    }
}
