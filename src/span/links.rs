//! Following links that lie in free objects, where a program that writes to freed memory changes them.
//!
//! Each link is validated before it is followed, and no list is followed further than its span has objects. So a walk
//! ends, and reads only memory of the span, whatever stands there. The fast paths do not come here: they follow a link
//! without a look.

use super::record::{Object, Span};
use crate::report;
use crate::units::Addr;

/// A list of free objects that a program wrote to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// The link in the free object at this address leads to no free object of its span.
    Object(usize),
    /// The list of the span that begins at this address does not have the objects that it should have.
    List(usize),
}

impl Changed {
    /// Ends the process with a line that says what was changed. The caller holds no lock: a handler of the signal that
    /// follows may allocate.
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

/// What a list of free objects was found to have.
pub struct Followed {
    /// How many objects.
    pub count: u32,
    /// The sum of their addresses.
    pub sum: u64,
    /// The last one; null in an empty list.
    pub last: *mut Object,
}

impl Span {
    /// Whether `at` can be a free object of this small span, as far as any thread may ask: an object's first byte, and
    /// not live if that is known. Any address may be asked for.
    #[inline]
    pub fn may_be_free(&self, at: Addr) -> bool {
        self.is_object(at) && (self.live().is_none() || self.is_freed(at))
    }

    /// As [`Span::may_be_free`], and handed out before. Owner only.
    #[inline]
    fn was_freed(&self, at: Addr) -> bool {
        self.may_be_free(at) && (self.index_of(at) as u32) < self.carved.get()
    }

    /// Whether `next` can be the link to `left` more free objects of this span: null, if that is zero. Owner only.
    #[inline]
    pub fn leads_on(&self, next: *mut Object, left: u32) -> bool {
        if left == 0 { next.is_null() } else { self.was_freed(Addr::of(next)) }
    }

    /// Follows a list of at most `at_most` free objects of this span from its `first` one. Owner only, or with all
    /// threads outside the allocator.
    pub fn follow(&self, first: *mut Object, at_most: u32) -> Result<Followed, Changed> {
        // A longer list goes round, or through live objects: which link was changed is not known.
        self.walk(first, at_most.min(self.carved.get()), |_| Changed::List(self.base().0))
    }

    /// As [`Span::follow`], of a list that has exactly `count` objects.
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
            // SAFETY: an object of the span, by `was_freed`; a span in use can be read.
            at = unsafe { (*at).next.get() };
        }
        Ok(found)
    }

    /// How many objects stand in the list of free ones, counted one by one. As for [`Span::follow`].
    ///
    /// Where live objects are known, they are as many as the span's accounts say. Elsewhere a signal handler may have
    /// interrupted its thread between the two, so a list that is too short is left to the comparison of all sums.
    pub fn count_free(&self) -> Result<u64, Changed> {
        let found = self.follow(self.free.get(), self.carved.get())?;
        if self.live().is_some() && found.count != self.carved.get().wrapping_sub(self.outstanding()) {
            return Err(self.changed(found.last));
        }
        Ok(u64::from(found.count))
    }

    /// What was changed, where the free object `from` leads to what cannot be: null, where the list's first one did.
    fn changed(&self, from: *mut Object) -> Changed {
        if from.is_null() { Changed::List(self.base().0) } else { Changed::Object(from.addr()) }
    }
}
