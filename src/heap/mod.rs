//! The page heap: arenas, page bitmaps and summaries, span records.
//!
//! `cache` and `central` take spans here and give them back; `allocator` starts it; `mem_stats` walks it. It grows by
//! arenas, allocates pages first fit by address, and returns pages to the OS.
//!
//! One lock, [`Rank::Heap`], protects all but the page map, which is read
//! without it. No slow system call is made under that lock.
//!
//! Invariant: every page of an arena that was mapped is in exactly one of a span, the free pages, the
//! released pages, or the run that is being released; accounts and consistent statistics agree.

mod backing;
mod bitmaps;
mod chunks;
mod grow;
mod huge;
mod local;
mod lose;
mod release;
mod remap;
mod resize;
mod stacks;
mod state;
mod walk;

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::lock::{CachePadded, Fork, Mutex, Rank, hold_row, let_go_row};
use crate::os::{Os, OsError, Window};
use crate::page::{PageAlloc, PageOffsets};
use crate::span::{MapOffsets, PageMap, Span};
use crate::stats::{Account, AccountOffsets, Accounts, ConsistentStats, Delta, Moved, Total, Writer, WriterOffsets};
use crate::stats_page::StatsPage;
use crate::units::{Addr, PAGE_SIZE, Pages};
use crate::vm::Vm;

use backing::Records;
pub use chunks::{CHUNK_BOUNDS, Chunks};
pub use local::Client;
use remap::Fresh;
pub use state::Use;
use state::{State, account_of, became_used, mapped, move_in_use, move_out_of_use, record_in_use};
pub use walk::{Stopped, Walked};

/// The page heap of one allocator.
pub struct Heap<O: Os> {
    vm: Vm<O>,
    /// Against false sharing: every entry reads the generation, and the accounts change.
    stats: CachePadded<ConsistentStats<O>>,
    /// Against false sharing: every free reads the map's address, and its neighbours change.
    map: CachePadded<PageMap>,
    /// The number of caches that take spans here.
    clients: AtomicUsize,
    /// The number of large objects that moved by their physical pages.
    moves: AtomicUsize,
    /// Whether an object ever stayed larger than its requested size became, for want of memory for a smaller one.
    larger: AtomicBool,
    /// Aligned, so that the lock shares a cache line with the words that every holder needs.
    state: CachePadded<Mutex<O, State>>,
}

impl<O: Os> Heap<O> {
    /// Returns a heap that has nothing yet.
    pub const fn new(os: O) -> Heap<O> {
        Heap {
            vm: Vm::new(os),
            stats: CachePadded::new(ConsistentStats::new()),
            map: CachePadded::new(PageMap::new()),
            clients: AtomicUsize::new(0),
            moves: AtomicUsize::new(0),
            larger: AtomicBool::new(false),
            state: CachePadded::new(Mutex::new(Rank::Heap, State::new())),
        }
    }

    /// Records that an object stays larger than its requested size became: from now on an object's size says less about
    /// its class.
    pub fn note_larger(&self) {
        self.larger.store(true, Ordering::Relaxed);
    }

    /// Returns whether an object may be larger than its size needs.
    pub fn has_larger(&self) -> bool {
        self.larger.load(Ordering::Relaxed)
    }

    /// Counts a new cache.
    pub fn add_client(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the states of address space: the OS, and the accounts.
    pub fn vm(&self) -> &Vm<O> {
        &self.vm
    }

    /// Returns the OS.
    #[inline(always)]
    pub fn os(&self) -> &O {
        self.vm.os()
    }

    /// Returns the balances by account.
    #[inline(always)]
    pub fn accounts(&self) -> &Accounts {
        self.vm.accounts()
    }

    /// Returns the page that other processes read.
    #[inline(always)]
    pub fn stats_page(&self) -> &StatsPage<O> {
        self.vm.stats_page()
    }

    /// Returns the consistent statistics.
    pub fn stats(&self) -> &ConsistentStats<O> {
        &self.stats
    }

    /// The span of `addr`; see [`PageMap::lookup`]. Any address may be asked for, at any time, without a lock.
    #[inline(always)]
    pub fn span_of(&self, addr: Addr) -> Option<&Span> {
        self.map.lookup::<O>(addr)
    }

    /// The span of `addr` if its token is `thread_id`; see [`PageMap::lookup_of`]. As for [`Heap::span_of`].
    #[inline(always)]
    pub fn span_of_thread(&self, addr: Addr, thread_id: usize) -> Option<&Span> {
        self.map.lookup_of::<O>(addr, thread_id)
    }

    /// As [`Heap::span_of_thread`], for a live object.
    ///
    /// # Safety
    /// `addr` is the address of a live object of this heap.
    #[inline(always)]
    pub unsafe fn span_of_live(&self, addr: Addr, thread_id: usize) -> Option<&Span> {
        // SAFETY: the caller's promise.
        unsafe { self.map.lookup_live_of::<O>(addr, thread_id) }
    }

    /// Where the page map, the bits of pages and the accounts lie: for a reader in another process. Takes the heap's
    /// lock.
    pub fn offsets(&self) -> (MapOffsets, PageOffsets, AccountOffsets) {
        (self.map.offsets(), self.state.lock().pages.offsets(), self.vm.accounts().offsets())
    }

    /// Where the writers lie, and the address of the turns of the heap's lock: as for [`Heap::offsets`].
    pub fn movement_offsets(&self) -> (WriterOffsets, u64) {
        (self.stats.offsets(Client::MOVED), self.state.turns_address())
    }

    /// Returns whether the calling thread holds the heap's lock, or the lock of the consistent statistics.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.state.is_mine() || self.stats.is_held_by_this_thread()
    }

    /// Takes the heap's lock for a fork.
    pub fn hold_for_fork(&self, fork: &Fork) {
        hold_row([&*self.state], fork);
    }

    /// Releases what [`Heap::hold_for_fork`] took.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, fork: &Fork, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&*self.state], fork, child) };
    }

    /// Reserves what the heap needs before its first page. Called by `allocator`, until it succeeds once.
    pub fn boot(&self, writer: &Writer) -> Result<(), OsError> {
        let os = self.vm.os();
        match (self.boot_in(writer, os.window()), os.small_window()) {
            (Err(OsError::OutOfMemory), Some(window)) => self.boot_in(writer, window),
            (result, _) => result,
        }
    }

    fn boot_in(&self, writer: &Writer, window: Window) -> Result<(), OsError> {
        let mut delta = Delta::new();
        if u32::try_from(window.size / PAGE_SIZE).is_err() {
            // A record counts pages in 32 bits.
            return Err(OsError::OutOfMemory);
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.growth.init(window);
        let arrays = state.pages.init(&mut state.records.with(&self.vm, &mut delta), window.base, window.size);
        self.stats.post(writer, &delta);
        // The map comes last, because from then on addresses are looked up.
        let result = arrays.map_err(|_| OsError::OutOfMemory).and_then(|()| self.map.init(&self.vm, window));
        if result.is_err() {
            // Another try starts afresh.
            state.pages = PageAlloc::new();
            core::mem::replace(&mut state.records, Records::new()).give_up(&self.vm);
        }
        result
    }

    /// Takes a span of `pages` pages, aligned to `align`, a power of two. Returns `None` if there is no memory; then
    /// the heap may have grown, and nothing else has changed.
    pub fn take(&self, writer: &Writer, pages: Pages, align: usize, what: Use) -> Option<&Span> {
        self.take_noting(writer, pages, align, what, true).map(|(span, _)| span)
    }

    /// As [`Heap::take`], with a note of which parts of the span were released. The heap grows for it if it `may_grow`.
    fn take_noting(
        &self,
        writer: &Writer,
        pages: Pages,
        align: usize,
        what: Use,
        may_grow: bool,
    ) -> Option<(&Span, Fresh)> {
        let mut delta = Delta::new();
        let mut guard = self.state.lock();
        if !may_grow && guard.pages.find_run(pages, Pages((align / PAGE_SIZE).max(1))).is_none() {
            return None;
        }
        let span = self.take_locked(&mut guard, pages, align, what, &mut delta);
        if !delta.is_empty() {
            self.stats.post(writer, &delta);
        }
        let state = &mut *guard;
        let question = state.density.question(&state.pages, what, span.as_ref().map(|(span, _)| *span));
        drop(guard);
        if let Some(question) = question {
            self.answer(&question);
        }
        span
    }

    /// Takes a span, and notes which parts of it were released. Returns `None` if there is no memory.
    fn take_locked(
        &self,
        state: &mut State,
        pages: Pages,
        align: usize,
        what: Use,
        delta: &mut Delta,
    ) -> Option<(&Span, Fresh)> {
        let record = self.take_record(state, delta)?;
        let taken = self.take_pages(state, pages, align, delta);
        let Some((base, released, fresh)) = taken else {
            // SAFETY: the record was taken above and no other thread has seen it.
            unsafe { state.spans.free(record) };
            return None;
        };
        self.move_accounts(pages, released, what, delta);
        move_in_use(pages, what, delta);
        record_in_use(1, delta);
        // SAFETY: the record and the pages were taken above.
        Some((unsafe { self.install(record, base, pages, what, released == pages) }, fresh))
    }

    /// Initializes a record as that of a span, and enters the span in the page map.
    ///
    /// # Safety
    /// The record and the pages are the caller's; the map was grown to the pages.
    unsafe fn install(&self, record: NonNull<Span>, base: Addr, pages: Pages, what: Use, zero: bool) -> &Span {
        let class = if let Use::Small(class) = what { Some(class) } else { None };
        // SAFETY: the record is memory for a span, ours alone.
        let span = unsafe {
            record.write(Span::new(base, pages, what.kind(), class, zero));
            record.as_ref()
        };
        // SAFETY: the pages are the span's from now on.
        unsafe { self.map.set(base.page(), mapped(pages), Some(span)) };
        span
    }

    /// Takes a record for a span. If the OS has no memory for more records, a free page of the heap becomes records.
    fn take_record(&self, state: &mut State, delta: &mut Delta) -> Option<NonNull<Span>> {
        self.state.assert_held();
        if let Ok(record) = state.spans.alloc(&self.vm, delta) {
            return Some(record);
        }
        let pages = Pages(1);
        let base = state.pages.find_run(pages, Pages(1))?;
        let released = self.make_used(state, base, pages, delta).ok()?;
        state.pages.take_run(base, pages);
        let accounts = self.vm.accounts();
        became_used(accounts, Account::HeapFree, released.bytes(), delta);
        accounts.transfer(Account::HeapFree, Account::SpanSys, pages.bytes(), delta);
        delta.add(Total::Committed, -(pages.bytes() as isize));
        delta.add(Total::SpanFree, pages.bytes() as isize);
        state.spans.feed(base, pages.bytes());
        state.spans.alloc(&self.vm, delta).ok()
    }

    /// Finds pages, growing the heap if need be, makes them Ready and takes them. Returns the first byte, how many of the
    /// pages had been released, and which parts.
    fn take_pages(
        &self,
        state: &mut State,
        pages: Pages,
        align: usize,
        delta: &mut Delta,
    ) -> Option<(Addr, Pages, Fresh)> {
        let align = Pages((align / PAGE_SIZE).max(1));
        let base = match state.pages.find_run(pages, align) {
            Some(base) => base,
            None => {
                let room = pages.0.checked_add(align.0 - 1)?;
                self.grow(state, Pages(room), delta).ok()?;
                state.pages.find_run(pages, align)?
            }
        };
        let fresh = Fresh::of(state, base, pages);
        let released = self.make_used(state, base, pages, delta).ok()?;
        state.pages.take_run(base, pages);
        Some((base, released, fresh))
    }

    /// Makes free pages Ready; on failure nothing has changed. Returns how many of them were released.
    ///
    /// The OS knows physical pages only. Where those are larger than a page, the ones at both ends become Ready as a
    /// whole, and the pages in them that are not wanted become free and not released.
    fn make_used(&self, state: &mut State, base: Addr, pages: Pages, delta: &mut Delta) -> Result<Pages, OsError> {
        self.state.assert_held();
        let released = state.pages.released_in(base, pages);
        if released.0 == 0 {
            return Ok(released);
        }
        let physical = self.vm.os().physical_page_size();
        let start = base.align_down(physical.max(PAGE_SIZE));
        let whole = Pages(base.plus(pages.bytes()).align_up(physical.max(PAGE_SIZE)).since(start) / PAGE_SIZE);
        let prepared = if whole == pages { released } else { state.pages.released_in(start, whole) };
        // SAFETY: the pages are the heap's, and exactly the released ones are Prepared.
        unsafe { self.vm.used(start, whole.bytes(), prepared.bytes(), delta) }?;
        if whole != pages {
            // The pages that are wanted are taken below, which clears their released bits too.
            state.pages.clear_released(start, whole);
        }
        let more = prepared.bytes() - released.bytes();
        if more > 0 {
            became_used(self.vm.accounts(), Account::HeapFree, more, delta);
        }
        Ok(released)
    }

    /// The accounts of pages that come into use, of which `released` were released.
    fn move_accounts(&self, pages: Pages, released: Pages, what: Use, delta: &mut Delta) {
        let accounts = self.vm.accounts();
        became_used(accounts, what.account(), released.bytes(), delta);
        accounts.transfer(Account::HeapFree, what.account(), pages.bytes() - released.bytes(), delta);
    }

    /// Takes a span back.
    ///
    /// # Safety
    /// The span came from [`Heap::take`]; its memory and its record are not in use.
    pub unsafe fn give_back(&self, writer: &Writer, span: &Span, what: Use) {
        // SAFETY: the caller's promise.
        unsafe { self.give_back_with(writer, None, span, what) };
    }

    /// As [`Heap::give_back`]. Settles the caller's movements in `moved` first.
    ///
    /// # Safety
    /// As for [`Heap::give_back`].
    unsafe fn give_back_with(&self, writer: &Writer, moved: Option<&Moved>, span: &Span, what: Use) {
        let mut delta = Delta::new();
        let (base, pages) = (span.base(), span.pages());
        let mut guard = self.state.lock();
        // SAFETY: the pages are the span's, so the map has entries for them.
        unsafe { self.map.set(base.page(), mapped(pages), None) };
        span.end();
        guard.pages.free(base, pages);
        // The accounts must have the pages before these are taken from them.
        moved.into_iter().for_each(|moved| self.vm.accounts().settle(moved));
        // SAFETY: the record came from these records, by the caller's promise.
        unsafe { guard.spans.free(NonNull::from(span)) };
        self.vm.accounts().transfer(what.account(), Account::HeapFree, pages.bytes(), &mut delta);
        move_out_of_use(pages, what, &mut delta);
        record_in_use(-1, &mut delta);
        self.stats.post(writer, &delta);
    }
}
