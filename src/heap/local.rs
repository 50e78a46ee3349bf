//! Local pages and span records of a cache. Small spans are taken and given back without the heap's lock, and a thread's memory
//! stays in its CPU's caches.
//!
//! The pages are Ready and count as free. They move inside a section of the statistics (`ConsistentStats::enter`), so that a
//! crossfoot can stop all movements. If the section is refused, they move under the heap's lock.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use super::state::became_used;
use super::{Heap, State, Use, mapped, move_in_use, move_out_of_use, record_in_use};
use crate::os::Os;
use crate::page::{CACHE_PAGES, PageCache};
use crate::span::Span;
use crate::stats::{Account, Delta, Moved, Writer};
use crate::units::Pages;

/// Spans of more pages go to the heap: two of so many empty a block of 64 pages.
pub(super) const LOCAL_PAGES: usize = 32;
/// The most blocks of pages that a cache has. Memory that a thread frees in one of them is reused by it, without the lock.
const BLOCKS: usize = 4;
/// The most free pages that a cache keeps when it gets more back: other threads may need them.
const FREE_PAGES: usize = 2 * CACHE_PAGES;
/// The number of records that a cache takes at a time.
const RECORDS_TAKEN: usize = 8;
/// The most records that a cache keeps.
const RECORDS: usize = 16;

/// The part of a cache that the page heap uses. All-zero bytes are a new one.
///
/// `repr(C)`, so that the words that an audit reads of each cache lie together, before the writer.
#[repr(C)]
pub struct Client {
    /// Movements that the accounts do not have yet. Changed inside a section of the statistics, or with the heap's lock held.
    /// Invariant: `local free pages + moved ≥ 0`.
    moved: Moved,
    writer: Writer,
    local: UnsafeCell<LocalPages>,
}

/// Touched by the owner only, inside a section of the statistics or with the heap's lock held. Read by a reader that has
/// closed the gate and holds the heap's lock.
struct LocalPages {
    /// The blocks, the one used last first.
    blocks: [PageCache; BLOCKS],
    records: [*mut Span; RECORDS],
    count: usize,
}

impl LocalPages {
    /// Returns the first result of `f` on the blocks, and moves its block to the front.
    fn find<T>(&mut self, mut f: impl FnMut(&mut PageCache) -> Option<T>) -> Option<T> {
        let (i, found) = self.blocks.iter_mut().enumerate().find_map(|(i, block)| Some((i, f(block)?)))?;
        if i != 0 {
            // A slice of an index that was found.
            self.blocks.get_mut(..=i)?.rotate_right(1);
        }
        Some(found)
    }

    fn has(&self, pages: Pages) -> bool {
        self.blocks.iter().any(|block| block.has(pages))
    }

    /// Returns how many pages are free.
    fn free(&self) -> Pages {
        Pages(self.blocks.iter().map(|block| block.free_pages().0).sum())
    }

    /// Returns whether more than [`FREE_PAGES`] pages are free. Counts blocks first: mostly too few have free pages.
    fn has_too_many(&self) -> bool {
        let blocks = self.blocks.iter().filter(|block| !block.is_empty()).count();
        blocks > FREE_PAGES / CACHE_PAGES && self.free().0 > FREE_PAGES
    }

    fn record(&mut self) -> Option<NonNull<Span>> {
        self.count = self.count.checked_sub(1)?;
        NonNull::new(*self.records.get(self.count)?)
    }

    fn keep(&mut self, record: NonNull<Span>) -> bool {
        match self.records.get_mut(self.count) {
            Some(place) => {
                *place = record.as_ptr();
                self.count += 1;
                true
            }
            None => false,
        }
    }
}

impl Client {
    /// Returns a client without local pages.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Client {
        let local =
            LocalPages { blocks: [PageCache::EMPTY; BLOCKS], records: [core::ptr::null_mut(); RECORDS], count: 0 };
        Client { writer: Writer::new(), moved: Moved::new(), local: UnsafeCell::new(local) }
    }

    /// Returns the writer of statistics.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The offset of [`Client::moved`] from the writer, in bytes, wrapping.
    pub(super) const MOVED: usize =
        core::mem::offset_of!(Client, moved).wrapping_sub(core::mem::offset_of!(Client, writer));

    /// Returns the bytes that the owner moved and the accounts do not have yet.
    pub fn moved(&self) -> isize {
        self.moved.get()
    }

    /// Returns how many free pages and how many spare records the cache has.
    ///
    /// # Safety
    /// The caller owns the cache, or has closed the books and holds the heap's lock.
    pub unsafe fn local_pages(&self) -> (Pages, usize) {
        // SAFETY: no thread writes at the same time, by the caller's promise.
        let local = unsafe { &*self.local.get() };
        (local.free(), local.count)
    }
}

impl<O: Os> Heap<O> {
    /// Gives an empty span of small objects back. The caller owns the span, or took it out of its list, and has counted
    /// all frees into it.
    pub fn retire(&self, client: &Client, span: &Span) {
        debug_assert!(span.out.get() == 0);
        if span.live().is_some() {
            // Frees are validated: the last chance to see a write to a free object.
            span.count_free().unwrap_or_else(|changed| changed.abort());
        }
        self.detach_bitmap(span);
        // SAFETY: no object of the span is live or in transit, and it stands in no list.
        unsafe { self.give_back_near(client, span, Use::Small(span.class())) };
    }

    /// Takes a span of `pages` pages for the owner of `client`, from its local pages if they suffice. Returns `None` if there is
    /// no memory.
    pub fn take_near(&self, client: &Client, pages: Pages, what: Use) -> Option<&Span> {
        if pages.0 > LOCAL_PAGES {
            return self.take(client.writer(), pages, 1, what);
        }
        if let Some(section) = self.stats.enter(client.writer()) {
            let mut delta = Delta::new();
            // SAFETY: the owner is running this, inside a section.
            let span = self.take_from(client, unsafe { &mut *client.local.get() }, pages, what, &mut delta);
            if span.is_some() {
                section.post(&delta);
                return span;
            }
            // Nothing changed: the section ends without an entry.
        }
        let mut delta = Delta::new();
        let mut guard = self.state.lock();
        // SAFETY: the owner is running this, with the heap's lock held.
        let local = unsafe { &mut *client.local.get() };
        self.fill(client, &mut guard, local, pages, &mut delta);
        let span = match self.take_from(client, local, pages, what, &mut delta) {
            Some(span) => Some(span),
            None => self.take_locked(&mut guard, pages, 1, what, &mut delta).map(|(span, _)| span),
        };
        self.stats.post(client.writer(), &delta);
        let state = &mut *guard;
        let question = state.density.question(&state.pages, what, span);
        drop(guard);
        if let Some(question) = question {
            self.answer(&question);
        }
        span
    }

    /// Takes a span from local pages. Returns `None` and changes nothing if they do not suffice.
    fn take_from(
        &self,
        client: &Client,
        local: &mut LocalPages,
        pages: Pages,
        what: Use,
        delta: &mut Delta,
    ) -> Option<&Span> {
        if local.count == 0 {
            return None;
        }
        let (base, zero) = local.find(|block| block.alloc(pages))?;
        let record = local.record()?;
        match what {
            Use::Small(_) => client.moved.move_free_in_use(pages.bytes() as isize, delta),
            _ => {
                // The accounts may lack free pages that only this cache knows of.
                self.vm.accounts().settle(&client.moved);
                self.move_accounts(pages, Pages(0), what, delta);
            }
        }
        move_in_use(pages, what, delta);
        record_in_use(1, delta);
        // SAFETY: the pages and the record are ours.
        Some(unsafe { self.install(record, base, pages, what, zero == pages) })
    }

    /// Refills the records, and if no block has a run of `pages` free pages, takes a block that has one.
    fn fill(&self, client: &Client, state: &mut State, local: &mut LocalPages, pages: Pages, delta: &mut Delta) {
        self.state.assert_held();
        self.vm.accounts().settle(&client.moved);
        while local.count < RECORDS_TAKEN {
            match self.take_record(state, delta) {
                Some(record) => local.keep(record),
                None => break,
            };
        }
        if local.has(pages) {
            return;
        }
        // Free pages that are too few go back. The blocks stay, except for the one used longest ago: pages that are freed in
        // them are in the CPU's cache, and come here.
        local.blocks.iter_mut().for_each(|block| block.give_back(&mut state.pages));
        let fresh = state.pages.allocate_to_cache(pages);
        if fresh.is_empty() {
            return;
        }
        let place = local.blocks.iter().position(|block| block.is_same_block(&fresh)).unwrap_or(BLOCKS - 1);
        let Some(block) = local.blocks.get_mut(place) else { return };
        *block = fresh;
        // SAFETY: the pages are ours, and exactly these runs of them are Prepared. A physical page is
        // released as a whole or not at all, and does not cross a block.
        let used = |at, run: Pages| unsafe { self.vm.used(at, run.bytes(), run.bytes(), delta) }.is_ok();
        let (done, all) = block.make_resident(used);
        became_used(self.vm.accounts(), Account::HeapFree, done.bytes(), delta);
        if !all {
            block.flush(&mut state.pages);
        }
    }

    /// Takes a span back from the owner of `client`: into its local pages if it came from there.
    ///
    /// # Safety
    /// As for [`Heap::give_back`].
    pub unsafe fn give_back_near(&self, client: &Client, span: &Span, what: Use) {
        let (base, pages) = (span.base(), span.pages());
        if let Some(section) = self.stats.enter(client.writer()) {
            // SAFETY: the owner is running this, inside a section.
            let local = unsafe { &mut *client.local.get() };
            if local.count < RECORDS && local.find(|block| block.free(base, pages).then_some(())).is_some() {
                let mut delta = Delta::new();
                span.end();
                // SAFETY: the pages were the span's, so the map has entries for them.
                unsafe { self.map.set(base.page(), mapped(pages), None) };
                local.keep(NonNull::from(span));
                match what {
                    Use::Small(_) => client.moved.move_free_in_use(-(pages.bytes() as isize), &mut delta),
                    _ => self.vm.accounts().transfer(what.account(), Account::HeapFree, pages.bytes(), &mut delta),
                }
                move_out_of_use(pages, what, &mut delta);
                record_in_use(-1, &mut delta);
                let too_many = local.has_too_many();
                section.post(&delta);
                if too_many {
                    self.lessen(client);
                }
                return;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.give_back_with(client.writer(), Some(&client.moved), span, what) };
    }

    /// Gives the pages of the block that was used longest ago back to the heap.
    #[cold]
    fn lessen(&self, client: &Client) {
        let mut guard = self.state.lock();
        self.vm.accounts().settle(&client.moved);
        // SAFETY: the owner is running this, with the heap's lock held.
        let local = unsafe { &mut *client.local.get() };
        if let Some(block) = local.blocks.iter_mut().rev().find(|block| !block.is_empty()) {
            block.give_back(&mut guard.pages);
        }
    }

    /// Grows a large object's span by the pages behind it, if they are free local pages.
    pub(super) fn grow_near(&self, client: &Client, span: &Span, pages: Pages) -> bool {
        let (behind, more) = (span.base().plus(span.pages().bytes()), Pages(pages.0 - span.pages().0));
        let Some(section) = self.stats.enter(client.writer()) else { return false };
        // SAFETY: the owner is running this, inside a section.
        let local = unsafe { &mut *client.local.get() };
        if local.find(|block| block.take_at(behind, more).then_some(())).is_none() {
            return false;
        }
        let mut delta = Delta::new();
        // The accounts may lack free pages that only this cache knows of.
        self.vm.accounts().settle(&client.moved);
        self.grown(span, pages, Pages(0), &mut delta);
        section.post(&delta);
        true
    }

    /// Settles the owner's movements in the accounts. The caller owns the client, and has given no span to others since.
    pub fn settle(&self, client: &Client) {
        // Inside a section if that is allowed, so that an exiting thread takes the lock once less.
        let section = self.stats.enter(client.writer());
        let _guard = if section.is_none() { Some(self.state.lock()) } else { None };
        self.vm.accounts().settle(&client.moved);
    }

    /// Gives the local pages and records back to the heap. The caller owns the client.
    pub fn empty_local(&self, client: &Client) {
        let mut guard = self.state.lock();
        self.vm.accounts().settle(&client.moved);
        // SAFETY: the owner is running this, with the heap's lock held.
        let local = unsafe { &mut *client.local.get() };
        local.blocks.iter_mut().for_each(|block| block.flush(&mut guard.pages));
        while let Some(record) = local.record() {
            // SAFETY: the cache's records came from these records, and are not in use.
            unsafe { guard.spans.free(record) };
        }
    }
}
