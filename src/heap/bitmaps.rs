//! Bitmaps of live objects, for spans whose frees are validated.

use super::{Heap, State, Use};
use crate::os::Os;
use crate::span::{Kind, LiveBits, Span};
use crate::stats::{Delta, Writer};
use crate::units::{PAGE_SIZE, Pages};

/// Free bitmaps. Protected by the page heap's lock. Spans of bitmaps are kept: a free that comes late may look at one.
pub(super) struct Bitmaps {
    free: *mut LiveBits,
}

// SAFETY: the list is reached through `&mut self` only.
unsafe impl Send for Bitmaps {}

impl Bitmaps {
    pub(super) const fn new() -> Bitmaps {
        Bitmaps { free: core::ptr::null_mut() }
    }

    fn take(&mut self) -> Option<&'static LiveBits> {
        // SAFETY: listed bitmaps lie in spans of the heap that are never given back.
        let bits = unsafe { self.free.as_ref() }?;
        self.free = bits.next();
        bits.clear_all();
        Some(bits)
    }

    fn give_back(&mut self, bits: &LiveBits) {
        bits.set_next(self.free);
        self.free = core::ptr::from_ref(bits).cast_mut();
    }
}

impl<O: Os> Heap<O> {
    /// Gives a span of small objects a bitmap. `false`: no memory for one. The caller owns the span, which has no
    /// object yet.
    pub fn attach_bitmap(&self, writer: &Writer, span: &Span) -> bool {
        let mut guard = self.state.lock();
        if guard.bitmaps.free.is_null() {
            let mut delta = Delta::new();
            self.make_bitmaps(&mut guard, &mut delta);
            if !delta.is_empty() {
                self.stats.post(writer, &delta);
            }
        }
        let bits = guard.bitmaps.take();
        span.set_live(bits);
        bits.is_some()
    }

    /// Takes a span's bitmap back. The caller owns the span, which has no object any more.
    pub fn detach_bitmap(&self, span: &Span) {
        if let Some(bits) = span.live() {
            let mut guard = self.state.lock();
            span.set_live(None);
            guard.bitmaps.give_back(bits);
        }
    }

    /// Makes bitmaps of a page; none, where there is no memory.
    fn make_bitmaps(&self, state: &mut State, delta: &mut Delta) {
        self.state.assert_held();
        let Some((span, _)) = self.take_locked(state, Pages(1), 1, Use::Manual(Kind::Bitmap), delta) else { return };
        let first = span.base().ptr::<LiveBits>();
        for i in 0..PAGE_SIZE / size_of::<LiveBits>() {
            // SAFETY: inside the span, which is the heap's; any bytes are a bitmap.
            state.bitmaps.give_back(unsafe { &*first.add(i) });
        }
    }
}
