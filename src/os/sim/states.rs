//! What the simulation knows of every page: an interval map from address to [`State`].
//!
//! Neighbours in the same state are one entry, so that the cost follows the number of
//! borders and not the size of the window: 16 TiB in one state are one entry.

use core::fmt;
use core::ops::Range;
use std::collections::BTreeMap;
use std::vec::Vec;

/// The state of a page of the simulated machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Nobody asked for it, or it was given up.
    None,
    /// Address space only; a touch faults.
    Reserved,
    /// May become Ready; a touch faults.
    Prepared,
    /// Readable and writable.
    Ready,
    /// Sparse and not yet made writable: reads as zero, a write faults.
    Sparse,
    /// Sparse and writable.
    SparseReady,
    /// Ready for the books, and a touch faults.
    Guarded,
}

impl State {
    /// How many states there are: the length of a table by state.
    pub(super) const COUNT: usize = State::Guarded as usize + 1;
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A stretch of pages in one state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// Where it lies.
    pub range: Range<usize>,
    /// The state of all of it.
    pub state: State,
}

/// What may be done with pages in a state: neighbours with the same rights are one mapping.
fn rights(state: State) -> u8 {
    match state {
        State::None | State::Reserved => 0,
        State::Sparse => 1,
        // A guard is a mark in the page tables.
        State::Prepared | State::Ready | State::SparseReady | State::Guarded => 2,
    }
}

/// The state of every page. An address without an entry is in [`State::None`].
#[derive(Clone)]
pub(super) struct States {
    /// First address of a stretch → its end and its state, which is never `None`.
    entries: BTreeMap<usize, (usize, State)>,
    /// Bytes in each state; the cell of `None` is not used.
    totals: [usize; State::COUNT],
}

impl States {
    /// Everything in [`State::None`].
    pub(super) const fn new() -> States {
        States { entries: BTreeMap::new(), totals: [0; State::COUNT] }
    }

    /// Bytes in `state`, which may not be `None`.
    pub(super) fn total(&self, state: State) -> usize {
        assert!(state != State::None, "sim: nobody counts the bytes in state None");
        self.totals[state as usize]
    }

    /// How many mappings the entries are.
    pub(super) fn mappings(&self) -> usize {
        let mut before = None;
        let begins = |piece: &Piece| {
            let this = (piece.range.start, rights(piece.state));
            before.replace((piece.range.end, this.1)) != Some(this)
        };
        self.entries().filter(begins).count()
    }

    /// The state of the byte at `addr`.
    pub(super) fn at(&self, addr: usize) -> State {
        match self.entries.range(..=addr).next_back() {
            Some((_, &(end, state))) if addr < end => state,
            _ => State::None,
        }
    }

    /// Every entry, lowest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = Piece> {
        self.entries.iter().map(|(&start, &(end, state))| Piece { range: start..end, state })
    }

    /// `range` cut at every change of state, stretches in `None` included.
    pub(super) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Piece> {
        let mut at = range.start;
        core::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let (end, state) = match self.entries.range(..=at).next_back() {
                Some((_, &(end, state))) if at < end => (end, state),
                _ => {
                    let next = self.entries.range(at..).next();
                    (next.map_or(range.end, |(&start, _)| start), State::None)
                }
            };
            let piece = Piece { range: at..end.min(range.end), state };
            at = piece.range.end;
            Some(piece)
        })
    }

    /// The first stretch of `range` whose state is not among `allowed`.
    pub(super) fn stranger(&self, range: Range<usize>, allowed: &[State]) -> Option<Piece> {
        self.pieces(range).find(|piece| !allowed.contains(&piece.state))
    }

    /// How many bytes of `range` are in `state`.
    pub(super) fn bytes_in(&self, range: Range<usize>, state: State) -> usize {
        self.pieces(range).filter(|piece| piece.state == state).map(|piece| piece.range.len()).sum()
    }

    /// The lowest place in `area` for `size` bytes with at least `gap` bytes in `None` on
    /// either side.
    pub(super) fn hole(&self, area: Range<usize>, size: usize, gap: usize) -> Option<usize> {
        let need = size.checked_add(gap.checked_mul(2)?)?;
        self.pieces(area)
            .find(|piece| piece.state == State::None && piece.range.len() >= need)
            .map(|piece| piece.range.start + gap)
    }

    /// Puts all of `range` into `state`.
    pub(super) fn set(&mut self, range: Range<usize>, state: State) {
        self.cut(range.start);
        self.cut(range.end);
        let old: Vec<usize> = self.entries.range(range.clone()).map(|(&start, _)| start).collect();
        for start in old {
            if let Some((end, was)) = self.entries.remove(&start) {
                self.totals[was as usize] -= end - start;
            }
        }
        if state != State::None {
            self.totals[state as usize] += range.len();
            self.entries.insert(range.start, (range.end, state));
        }
        self.join(range.end);
        self.join(range.start);
    }

    /// Makes `addr` a border between entries, if it lies inside one.
    fn cut(&mut self, addr: usize) {
        if let Some((_, entry)) = self.entries.range_mut(..addr).next_back()
            && addr < entry.0
        {
            let upper = *entry;
            entry.0 = addr;
            self.entries.insert(addr, upper);
        }
    }

    /// Joins the entries on both sides of `addr`, if they touch there and agree.
    fn join(&mut self, addr: usize) {
        let Some(&upper) = self.entries.get(&addr) else {
            return;
        };
        if let Some((_, lower)) = self.entries.range_mut(..addr).next_back()
            && lower.0 == addr
            && lower.1 == upper.1
        {
            lower.0 = upper.0;
            self.entries.remove(&addr);
        }
    }
}
