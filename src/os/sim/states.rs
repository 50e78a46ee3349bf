//! The state of every page of the simulated OS: an interval map from address to [`State`].
//!
//! Adjacent pages in the same state are one entry, so that the cost depends on the number of borders and not on the size of
//! the window: 16 TiB in one state are one entry.

use core::fmt;
use core::ops::Range;
use std::collections::BTreeMap;
use std::vec::Vec;

/// The state of a page of the simulated OS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// Never obtained, or freed.
    None,
    /// Address space only; an access faults.
    Reserved,
    /// May become Ready; an access faults.
    Prepared,
    /// Readable and writable.
    Ready,
    /// Sparse and not yet made writable: reads as zero, a write faults.
    Sparse,
    /// Sparse and writable.
    SparseReady,
    /// Ready for the accounts, but an access faults.
    Guarded,
}

impl State {
    /// The number of states, the length of a table by state.
    pub(super) const COUNT: usize = State::Guarded as usize + 1;
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A range of pages in one state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// The addresses.
    pub range: Range<usize>,
    /// The state of all its pages.
    pub state: State,
}

/// Returns the access rights of pages in a state. Adjacent pages with the same rights are one mapping.
fn rights(state: State) -> u8 {
    match state {
        State::None | State::Reserved => 0,
        State::Sparse => 1,
        // A guard is a marker in the page tables.
        State::Prepared | State::Ready | State::SparseReady | State::Guarded => 2,
    }
}

/// The state of every page. An address without an entry is in [`State::None`].
#[derive(Clone)]
pub(super) struct States {
    /// The first address of a range → its end and its state, which is never `None`.
    entries: BTreeMap<usize, (usize, State)>,
    /// Bytes in each state; the cell of `None` is not used.
    totals: [usize; State::COUNT],
}

impl States {
    /// Returns a map with everything in [`State::None`].
    pub(super) const fn new() -> States {
        States { entries: BTreeMap::new(), totals: [0; State::COUNT] }
    }

    /// Returns the bytes in `state`, which must not be `None`.
    pub(super) fn total(&self, state: State) -> usize {
        assert!(state != State::None, "sim: bytes in state None are not counted");
        self.totals[state as usize]
    }

    /// Returns the number of mappings.
    pub(super) fn mappings(&self) -> usize {
        let mut before = None;
        let begins = |piece: &Piece| {
            let this = (piece.range.start, rights(piece.state));
            before.replace((piece.range.end, this.1)) != Some(this)
        };
        self.entries().filter(begins).count()
    }

    /// Returns the state of the byte at `addr`.
    pub(super) fn at(&self, addr: usize) -> State {
        match self.entries.range(..=addr).next_back() {
            Some((_, &(end, state))) if addr < end => state,
            _ => State::None,
        }
    }

    /// Returns every entry, lowest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = Piece> {
        self.entries.iter().map(|(&start, &(end, state))| Piece { range: start..end, state })
    }

    /// Returns `range` cut at every change of state, including pieces in `None`.
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

    /// Returns the first piece of `range` with a state not in `allowed`.
    pub(super) fn stranger(&self, range: Range<usize>, allowed: &[State]) -> Option<Piece> {
        self.pieces(range).find(|piece| !allowed.contains(&piece.state))
    }

    /// Returns how many bytes of `range` are in `state`.
    pub(super) fn bytes_in(&self, range: Range<usize>, state: State) -> usize {
        self.pieces(range).filter(|piece| piece.state == state).map(|piece| piece.range.len()).sum()
    }

    /// Returns the lowest address in `area` for `size` bytes with at least `gap` bytes in `None` on both sides.
    pub(super) fn hole(&self, area: Range<usize>, size: usize, gap: usize) -> Option<usize> {
        let need = size.checked_add(gap.checked_mul(2)?)?;
        self.pieces(area)
            .find(|piece| piece.state == State::None && piece.range.len() >= need)
            .map(|piece| piece.range.start + gap)
    }

    /// Sets the state of all of `range`.
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

    /// Splits the entry that contains `addr` at `addr`.
    fn cut(&mut self, addr: usize) {
        if let Some((_, entry)) = self.entries.range_mut(..addr).next_back()
            && addr < entry.0
        {
            let upper = *entry;
            entry.0 = addr;
            self.entries.insert(addr, upper);
        }
    }

    /// Merges the entries on both sides of `addr` if they meet there and have the same state.
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
