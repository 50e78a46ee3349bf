//! Growth by arenas.

use super::{Heap, State};
use crate::config::{ARENA_SIZE, MAX_PHYSICAL_PAGE};
use crate::os::{Os, OsError, Window};
use crate::page::CHUNK_BYTES;
use crate::stats::{Account, Delta, Total};
use crate::stats_page::MappingKind;
use crate::units::{Addr, PAGE_SIZE, Pages, checked_align_up};

/// How many places are tried, one arena after the other, before larger steps.
const NEAR_TRIES: usize = 64;
/// How many further places are tried, each twice as far as the one before.
const FAR_TRIES: usize = 20;
/// How often a chunk is halved at most where the OS refuses a whole one: down to 64 KiB.
const LEAST_PART: u32 = 6;

const _: () = assert!(CHUNK_BYTES >> LEAST_PART == MAX_PHYSICAL_PAGE, "a part is whole physical pages");

/// Where the heap grows. Protected by the page heap's lock.
pub(super) struct Growth {
    window: Window,
    /// The rest of the arenas that were reserved last: `current` to `mapped` is mapped and counts as released, but the
    /// page allocator does not have it yet; `mapped` to `end` is Reserved.
    current: Addr,
    mapped: Addr,
    end: Addr,
    /// Above every page that was ever added: places are not always taken upward.
    top: Addr,
    /// Bytes that are mapped and count as released, but belong to no chunk: the OS refused to take them back.
    stranded: usize,
}

impl Growth {
    pub(super) const fn new() -> Growth {
        Growth {
            window: Window { base: Addr::NULL, size: 0 },
            current: Addr::NULL,
            mapped: Addr::NULL,
            end: Addr::NULL,
            top: Addr::NULL,
            stranded: 0,
        }
    }

    pub(super) fn init(&mut self, window: Window) {
        self.window = window;
        self.current = window.base;
        self.mapped = window.base;
        self.top = window.base;
        self.end = window.base;
    }

    /// Bytes that are mapped and not yet the page allocator's.
    pub(super) fn limbo(&self) -> usize {
        self.mapped.since(self.current) + self.stranded
    }

    /// Where pages of the heap may be: from the first address to the last.
    pub(super) fn bounds(&self) -> (Addr, Addr) {
        (self.window.base, self.top)
    }

    fn window_end(&self) -> usize {
        self.window.base.0.saturating_add(self.window.size)
    }
}

impl<O: Os> Heap<O> {
    /// Adds at least `need` pages in one run, as free and released pages: in whole chunks, or a part of one where the OS
    /// refuses more.
    pub(super) fn grow(&self, state: &mut State, need: Pages, delta: &mut Delta) -> Result<(), OsError> {
        self.state.assert_held();
        let bytes = need.0.checked_mul(PAGE_SIZE).ok_or(OsError::OutOfMemory)?;
        let ask = checked_align_up(bytes, CHUNK_BYTES).ok_or(OsError::OutOfMemory)?;
        if state.growth.end.since(state.growth.current) < ask {
            // Whole arenas where there is address space for them, else only what is needed.
            let reserved = self
                .reserve_more(state, ask, ARENA_SIZE, delta)
                .or_else(|_| self.reserve_more(state, ask, CHUNK_BYTES, delta));
            match reserved {
                Err(OsError::OutOfMemory) if ask == CHUNK_BYTES => return self.grow_part(state, bytes, delta),
                reserved => reserved?,
            }
        }
        let start = state.growth.current;
        self.add(state, ask, delta)?;
        state.density.note_grown(start, ask);
        Ok(())
    }

    /// Adds the first part of a chunk, of at least `need` bytes: the largest that the OS gives. The chunk's other pages
    /// stay taken for good, since nothing is behind them.
    ///
    /// For processes with less address space left than a chunk (`ulimit -v`). An error changes nothing.
    fn grow_part(&self, state: &mut State, need: usize, delta: &mut Delta) -> Result<(), OsError> {
        let least = checked_align_up(need, MAX_PHYSICAL_PAGE).ok_or(OsError::OutOfMemory)?;
        if state.growth.current < state.growth.end || least >= CHUNK_BYTES {
            return Err(OsError::OutOfMemory);
        }
        let halves = (1..=LEAST_PART).map(|halvings| (CHUNK_BYTES >> halvings).max(least));
        let reserve = |part| Some((self.reserve_arenas(&state.growth, part).ok()?, part));
        let (start, part) = halves.filter_map(reserve).next().ok_or(OsError::OutOfMemory)?;
        let chunk_end = start.plus(CHUNK_BYTES);
        if !start.is_aligned(CHUNK_BYTES) || !fits(&state.growth, start, CHUNK_BYTES) {
            self.vm.give_up_reserved(start, part);
            return Err(OsError::OutOfMemory);
        }
        let mapped = self.map.grow(&self.vm, start, CHUNK_BYTES).and_then(|()| {
            // SAFETY: the range was reserved above and nothing is mapped there yet.
            unsafe { self.vm.map(start, part, Account::HeapReleased, delta) }
        });
        if let Err(e) = mapped {
            self.vm.give_up_reserved(start, part);
            return Err(e);
        }
        delta.add(Total::Released, part as isize);
        if state.pages.grow(&mut state.records.with(&self.vm, delta), start, CHUNK_BYTES).is_err() {
            // SAFETY: the range was mapped above, and no other thread knows of it.
            match unsafe { self.vm.free(start, part, 0, Account::HeapReleased, delta) } {
                Ok(()) => delta.add(Total::Released, -(part as isize)),
                Err(_) => state.growth.stranded += part,
            }
            return Err(OsError::OutOfMemory);
        }
        state.pages.take_run(start.plus(part), Pages((CHUNK_BYTES - part) / PAGE_SIZE));
        (state.growth.current, state.growth.mapped, state.growth.end) = (chunk_end, chunk_end, chunk_end);
        state.growth.top = state.growth.top.max(chunk_end);
        state.density.note_grown(start, part);
        Ok(())
    }

    /// Makes `more` pages from `behind` free pages of the heap, where the free ones there are its last ones and it can
    /// grow behind them: for a large object that grows at the heap's end, where it need not move.
    pub(super) fn grow_behind(&self, state: &mut State, behind: Addr, more: Pages, delta: &mut Delta) -> bool {
        self.state.assert_held();
        let (end, wanted) = (state.growth.current, behind.0.checked_add(more.bytes()));
        let missing = wanted.map_or(0, |wanted| wanted.saturating_sub(end.0.max(behind.0)));
        let free = Pages(end.0.saturating_sub(behind.0) / PAGE_SIZE);
        let last = free.0 == 0 || state.pages.all_free(behind, free);
        if missing == 0 || behind > end || !last {
            return false;
        }
        self.grow(state, Pages(missing.div_ceil(PAGE_SIZE)), delta).is_ok() && state.pages.all_free(behind, more)
    }

    /// Reserves address space until `ask` bytes are ahead, in multiples of `unit`: behind what there is, or else
    /// elsewhere.
    fn reserve_more(&self, state: &mut State, ask: usize, unit: usize, delta: &mut Delta) -> Result<(), OsError> {
        let (have, end) = (state.growth.end.since(state.growth.current), state.growth.end);
        let more = checked_align_up(ask - have, unit).ok_or(OsError::OutOfMemory)?;
        if fits(&state.growth, end, more) {
            let is_first = end == state.growth.window.base;
            let reserved = if is_first {
                self.vm.reserve(Some(end), more, MappingKind::Heap).map(|_| ())
            } else {
                // SAFETY: arenas of the heap end there.
                unsafe { self.vm.reserve_behind(end, more, MappingKind::Heap) }
            };
            if reserved.is_ok() {
                state.growth.end = end.plus(more);
                return Ok(());
            }
        }
        let whole = checked_align_up(ask, unit).ok_or(OsError::OutOfMemory)?;
        let start = self.reserve_arenas(&state.growth, whole)?;
        if let Err(e) = self.add_rest(state, delta) {
            self.vm.give_up_reserved(start, whole);
            return Err(e);
        }
        state.growth.current = start;
        state.growth.mapped = start;
        state.growth.end = start.plus(whole);
        Ok(())
    }

    /// Adds the rest of the old arenas to the heap, before new arenas elsewhere replace them. Otherwise their address
    /// space would be lost.
    fn add_rest(&self, state: &mut State, delta: &mut Delta) -> Result<(), OsError> {
        let rest = state.growth.end.since(state.growth.current);
        if rest > 0 { self.add(state, rest, delta) } else { Ok(()) }
    }

    /// Maps the next `size` bytes of the current arenas and gives their pages to the page allocator.
    fn add(&self, state: &mut State, size: usize, delta: &mut Delta) -> Result<(), OsError> {
        let start = state.growth.current;
        self.map.grow(&self.vm, start, size)?;
        if start.plus(size) > state.growth.mapped {
            self.map_ahead(state, start.plus(size), delta)?;
        }
        if state.pages.grow(&mut state.records.with(&self.vm, delta), start, size).is_err() {
            return Err(OsError::OutOfMemory);
        }
        state.growth.current = start.plus(size);
        state.growth.top = state.growth.top.max(start.plus(size));
        Ok(())
    }

    /// Maps the current arenas up to `end`, or all of them where Linux allows no border inside: they may be one
    /// mapping of Linux's, and the process may have as many as it can have (`vm.max_map_count`).
    fn map_ahead(&self, state: &mut State, end: Addr, delta: &mut Delta) -> Result<(), OsError> {
        let from = state.growth.mapped;
        let mut map = |to: Addr| {
            let size = to.since(from);
            // SAFETY: the range was reserved for the heap and nothing is mapped there yet.
            unsafe { self.vm.map(from, size, Account::HeapReleased, delta) }?;
            delta.add(Total::Released, size as isize);
            Ok(to)
        };
        state.growth.mapped = match map(end) {
            Err(OsError::OutOfMemory) if end < state.growth.end => map(state.growth.end)?,
            mapped => mapped?,
        };
        Ok(())
    }

    /// Reserves arenas above the current ones: next to them, or further and further up.
    fn reserve_arenas(&self, growth: &Growth, size: usize) -> Result<Addr, OsError> {
        let mut at = growth.end;
        for step in 0..NEAR_TRIES + FAR_TRIES {
            if !fits(growth, at, size) {
                break;
            }
            match self.vm.reserve(Some(at), size, MappingKind::Heap) {
                Ok(at) => return Ok(at),
                // On 32 bits this may mean that the address space ends here, and the OS may have free addresses below.
                Err(OsError::OutOfMemory) if usize::BITS > 32 => return Err(OsError::OutOfMemory),
                Err(OsError::OutOfMemory) => break,
                Err(_) => {}
            }
            at = at.plus(ARENA_SIZE << step.saturating_sub(NEAR_TRIES));
        }
        // The system's own choice will do if the page map reaches it.
        let at = self.vm.reserve_aligned(size, ARENA_SIZE, MappingKind::Heap)?;
        if at >= growth.window.base && fits(growth, at, size) {
            return Ok(at);
        }
        self.vm.give_up_reserved(at, size);
        Err(OsError::OutOfMemory)
    }
}

fn fits(growth: &Growth, at: Addr, size: usize) -> bool {
    at.0.checked_add(size).is_some_and(|end| end <= growth.window_end())
}
