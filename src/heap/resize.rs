//! Large objects that grow or shrink where they are, or move by their pages.

use super::remap::ASKED_FROM;
use super::{Client, Heap, State, Use, mapped, move_in_use};
use core::sync::atomic::Ordering;

use crate::os::{Os, OsError};
use crate::span::{Kind, Span};
use crate::stats::{Account, Delta, Total, Writer};
use crate::units::{Addr, Pages};

/// How many moves by pages a process may make. Each can leave the process with two mappings more, of which
/// Linux allows a process 65,530 together with its own.
const MOVES: usize = 8_192;

impl<O: Os> Heap<O> {
    /// Grows a large object's span to `pages` pages in place, if the pages behind it are free.
    ///
    /// The caller owns the live large object, and `client`.
    pub fn grow_in_place(&self, client: &Client, span: &Span, pages: Pages) -> bool {
        let behind = span.base().plus(span.pages().bytes());
        // Mostly the next page is in use, which the page map tells without the lock. During a change either answer is right.
        if self.span_of(behind).is_some_and(|next| next.kind() != Kind::Dead) {
            return false;
        }
        if self.grow_near(client, span, pages) {
            return true;
        }
        let more = pages.bytes() - span.pages().bytes();
        if more >= ASKED_FROM && !self.vm.os().would_give(more) {
            return false;
        }
        let mut delta = Delta::new();
        let mut guard = self.state.lock();
        let old = span.pages().bytes();
        let taken = self.take_behind(&mut guard, span, pages, &mut delta);
        // The heap may have grown, also in vain.
        if !delta.is_empty() {
            self.stats.post(client.writer(), &delta);
        }
        let grown = guard.density.take_grown();
        drop(guard);
        if let Some(grown) = grown {
            self.advise_behind(behind, old, grown);
        }
        taken
    }

    /// Takes the pages behind a large object's span, so that it has `pages` pages, if they are free or the heap can grow
    /// there.
    fn take_behind(&self, state: &mut State, span: &Span, pages: Pages, delta: &mut Delta) -> bool {
        self.state.assert_held();
        let (behind, more) = (span.base().plus(span.pages().bytes()), Pages(pages.0 - span.pages().0));
        if !state.pages.all_free(behind, more) && !self.grow_behind(state, behind, more, delta) {
            return false;
        }
        let Ok(released) = self.make_used(state, behind, more, delta) else {
            return false;
        };
        state.pages.take_run(behind, more);
        self.grown(span, pages, released, delta);
        true
    }

    /// Notes that a large object's span has grown to `pages` pages in place: by pages that are the caller's, of which
    /// `released` were released.
    pub(super) fn grown(&self, span: &Span, pages: Pages, released: Pages, delta: &mut Delta) {
        let more = Pages(pages.0 - span.pages().0);
        self.move_accounts(more, released, Use::Large, delta);
        move_in_use(more, Use::Large, delta);
        // The object is the same one: only its bytes grow.
        delta.add(Total::LargeAllocs, -1);
        self.remap(span, pages);
    }

    /// Shrinks a large object's span to `pages` pages and frees the rest.
    ///
    /// The caller owns the live large object and needs nothing of the rest.
    pub fn shrink(&self, writer: &Writer, span: &Span, pages: Pages) {
        let less = Pages(span.pages().0 - pages.0);
        let mut delta = Delta::new();
        let mut guard = self.state.lock();
        self.remap(span, pages);
        guard.pages.free(span.base().plus(pages.bytes()), less);
        self.vm.accounts().transfer(Account::HeapInUse, Account::HeapFree, less.bytes(), &mut delta);
        delta.add(Total::InHeap, -(less.bytes() as isize));
        delta.add(Total::LargeFreeBytes, less.bytes() as isize);
        self.stats.post(writer, &delta);
    }

    /// Changes the span's pages and, where they differ, the page map's entries. The pages between are the caller's.
    fn remap(&self, span: &Span, pages: Pages) {
        let first = span.base().page();
        let (old, new) = (mapped(span.pages()), mapped(pages));
        span.set_pages(pages);
        let (low, high) = (Pages(old.0.min(new.0)), Pages(old.0.max(new.0)));
        let delta = if new.0 > old.0 { Some(span) } else { None };
        // SAFETY: the pages between are, or were until now, the span's.
        unsafe { self.map.set(first.plus(low), Pages(high.0 - low.0), delta) };
    }

    /// Moves the physical pages of one large object's span under another. Refused after some thousands, because each may
    /// leave the process with more mappings. After [`OsError::Lost`] the caller calls `Heap::lose` for `to`.
    ///
    /// # Safety
    /// The caller owns both large objects; `to` holds nothing that is needed, and both ranges lie inside
    /// their spans.
    pub unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        if self.moves.fetch_add(1, Ordering::Relaxed) >= MOVES {
            self.moves.store(MOVES, Ordering::Relaxed);
            return Err(OsError::Unsupported);
        }
        // SAFETY: pages of spans are Ready; two spans do not overlap.
        unsafe { self.vm.move_pages(from, to, size) }
    }
}
