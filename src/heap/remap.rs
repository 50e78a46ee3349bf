//! Memory of free pages for a large object's fresh ones.
//!
//! New memory from the OS is cleared first, and the process grows by it. Where as much lies in free pages that did
//! not fit, it is moved under the object instead: by whole aligned pieces, of which the OS moves only an entry of a
//! table, and from the highest addresses, which are used last.

use super::huge::HUGE_TO;
use super::local::LOCAL_PAGES;
use super::state::became_released;
use super::{Client, Heap, State, Use};
use crate::os::{Os, OsError};
use crate::span::Span;
use crate::stats::{Account, Delta, Writer};
use crate::units::{Addr, GIB, MIB, PAGE_SIZE, Pages};

/// The unit of a move: on x86-64, the memory of one entry in Linux's page tables, a huge page or 512 small ones.
const PIECE: Pages = Pages(2 * MIB / PAGE_SIZE);
/// How many pieces of an object are noted; the rest of a larger one is new memory.
const NOTED: usize = u64::BITS as usize;
/// How many places for a piece are looked at for one object, and how many of them with the lock held.
const SCANS: usize = 512;
const SCANS_AT_ONCE: usize = 64;
/// The largest heap in which pieces move, in bytes. Each piece may become a mapping of its own and leave one behind, and
/// Linux allows a process 65,530.
const HEAP_MOST: usize = 32usize.saturating_mul(GIB);

/// From how many bytes on the OS is asked whether it would give them before the heap grows by them. Where it
/// refuses, as for more than memory and swap have, so does the allocator, at the cost of one call: without that,
/// programs that allocate until they are refused got terabytes, and each 4 MiB of them costs time with the heap's lock
/// held.
pub(super) const ASKED_FROM: usize = GIB;

const _: () = assert!(2 * (HEAP_MOST / PIECE.bytes()) <= 1 << 15, "half of the mappings are left for others");

/// Which pieces of a run of pages were released before it was taken.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    first: Addr,
    pieces: u64,
}

impl Fresh {
    /// Notes which pieces of free pages are released. Those of a run that holds no piece are not looked at.
    pub(super) fn of(state: &State, base: Addr, pages: Pages) -> Fresh {
        let first = base.align_up(PIECE.bytes());
        let whole = base.plus(pages.bytes()).0.saturating_sub(first.0) / PIECE.bytes();
        let is_fresh = |&i: &usize| state.pages.released_in(first.plus(i * PIECE.bytes()), PIECE) == PIECE;
        let pieces = (0..whole.min(NOTED)).filter(is_fresh).fold(0, |pieces, i| pieces | 1 << i);
        Fresh { first, pieces }
    }

    /// The first piece's address.
    fn next(&self) -> Option<Addr> {
        Some(self.bounds()?.0)
    }

    /// Takes the first piece away.
    fn strike(&mut self) {
        self.pieces &= self.pieces.wrapping_sub(1);
    }

    /// Where the first piece begins and the last one ends.
    fn bounds(&self) -> Option<(Addr, Addr)> {
        let last = self.pieces.checked_ilog2()? as usize;
        let first = self.pieces.trailing_zeros() as usize;
        Some((self.first.plus(first * PIECE.bytes()), self.first.plus((last + 1) * PIECE.bytes())))
    }
}

/// Where a piece of free pages with memory is looked for next: below this.
struct Search {
    below: Addr,
    scans: usize,
}

impl<O: Os> Heap<O> {
    /// Takes a span for a large object of `pages` pages aligned to `align`, a power of two. `zero`: it should read as
    /// zero if that costs nothing, and its record says whether it does; where it need not, the record's word means
    /// nothing. Returns `None` if there is no memory. The caller owns the client.
    pub fn take_large(&self, client: &Client, pages: Pages, align: usize, zero: bool) -> Option<&Span> {
        if align <= PAGE_SIZE && pages.0 <= LOCAL_PAGES {
            return self.take_near(client, pages, Use::Large);
        }
        // The heap's own memory is not accounted for before it is used, so the OS would never refuse it.
        let may_grow = pages.bytes() < ASKED_FROM || self.vm.os().would_give(pages.bytes());
        let take = || self.take_noting(client.writer(), pages, align, Use::Large, may_grow);
        let (span, mut fresh) = take().or_else(|| {
            // Before giving up, the local pages go back to the heap: they may complete a run.
            self.empty_local(client);
            take()
        })?;
        if fresh.pieces == 0 {
            return Some(span);
        }
        // More is looked for only where there can be a piece.
        if O::MOVES_CHEAPLY
            && !zero
            && self.vm.accounts().get(Account::HeapFree) >= PIECE.bytes()
            && let Err(hole) = self.remap_free_pages(client.writer(), &mut fresh)
        {
            // SAFETY: the caller gets another span or none, so this one is not in use; the piece lies inside.
            unsafe { self.lose(client.writer(), span, hole, PIECE) };
            return take().map(|(span, _)| span);
        }
        if let Some((start, end)) = fresh.bounds()
            && pages.bytes() <= HUGE_TO
        {
            self.decide_pieces(span, start, end);
        }
        Some(span)
    }

    /// Moves free pages' memory under fresh pieces of a span that is the caller's and holds nothing yet. An error is the
    /// piece that is not memory any more ([`OsError::Lost`]).
    fn remap_free_pages(&self, writer: &Writer, fresh: &mut Fresh) -> Result<(), Addr> {
        let mut search = Search { below: Addr(usize::MAX), scans: SCANS };
        while let Some(to) = fresh.next() {
            let Some(from) = self.take_piece(&mut search) else { return Ok(()) };
            // SAFETY: the piece was free, Ready, and is taken out, so that no other thread gets it; the other one is
            // the caller's. Afterwards nothing is in the first one any more.
            let emptied = unsafe {
                self.vm.move_pages(from, to, PIECE.bytes()).and_then(|()| self.vm.unused(from, PIECE.bytes()))
            };
            let mut delta = Delta::new();
            let mut guard = self.state.lock();
            guard.releasing.0 -= PIECE.0;
            let unsettled = match emptied {
                Ok(unsettled) => unsettled,
                Err(e) => {
                    guard.pages.free(from, PIECE);
                    return if e == OsError::Lost { Err(to) } else { Ok(()) };
                }
            };
            self.vm.settle(unsettled, &mut delta);
            became_released(self.vm.accounts(), PIECE.bytes(), &mut delta);
            guard.pages.give_back_released(from, PIECE);
            self.stats.post(writer, &delta);
            fresh.strike();
        }
        Ok(())
    }

    /// Takes the highest piece of free pages with memory below where the search is. Returns `None` if there is none, or
    /// it is too far to look for.
    fn take_piece(&self, search: &mut Search) -> Option<Addr> {
        while search.scans > 0 {
            let mut guard = self.state.lock();
            let (bottom, top) = guard.growth.bounds();
            if top.since(bottom) > HEAP_MOST {
                return None;
            }
            for _ in 0..SCANS_AT_ONCE.min(search.scans) {
                let at = Addr(search.below.min(top).0.checked_sub(PIECE.bytes())?).align_down(PIECE.bytes());
                if at < bottom {
                    return None;
                }
                search.below = at;
                search.scans -= 1;
                let pages = &mut guard.pages;
                if pages.all_free(at, PIECE) && pages.released_in(at, PIECE).0 == 0 {
                    pages.take_run(at, PIECE);
                    guard.releasing.0 += PIECE.0;
                    return Some(at);
                }
            }
        }
        None
    }
}
