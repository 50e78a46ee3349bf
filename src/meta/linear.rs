//! [`Linear`]: a reserved range whose parts become Ready on demand.

use crate::os::{Os, OsError};
use crate::stats::{Account, Delta};
use crate::stats_page::MappingKind;
use crate::units::{Addr, MIB, align_up};
use crate::vm::Vm;

/// The most separate Ready parts. Beyond it, the closest two are joined.
const PARTS: usize = 64;

/// The most bytes of a part that is widened to touch another one. Untouched bytes have no memory behind them.
/// The tables of a heap below 2 GiB fit in this size.
const NEAR: usize = 64 * MIB;

/// A range `[start, end)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    start: Addr,
    end: Addr,
}

/// A reserved range and its Ready parts.
pub struct Linear {
    account: Account,
    /// The Ready parts, ascending. They neither touch nor overlap.
    ready: heapless::Vec<Part, PARTS>,
    /// A part that stayed Prepared because the OS refused both Ready and Reserved. No account holds it.
    stuck: Option<Part>,
}

impl Linear {
    /// Returns a range that is not reserved yet. Its memory will be charged to `account`.
    pub const fn new(account: Account) -> Linear {
        Linear { account, ready: heapless::Vec::new(), stuck: None }
    }

    /// Reserves `size` bytes, rounded up to physical pages. Called once.
    pub fn reserve<O: Os>(&mut self, vm: &Vm<O>, size: usize) -> Result<Addr, OsError> {
        vm.reserve(None, align_up(size.max(1), vm.os().physical_page_size()), MappingKind::Tables)
    }

    /// Makes `[addr, addr + size)` Ready, rounded outward to physical pages. Bytes that are Ready already
    /// keep their values. If it returns an error, a part of the range may have become Ready; `self` has a
    /// record of it.
    ///
    /// # Safety
    /// The range lies inside what [`Linear::reserve`] gave.
    pub unsafe fn make_ready<O: Os>(
        &mut self,
        vm: &Vm<O>,
        addr: Addr,
        size: usize,
        delta: &mut Delta,
    ) -> Result<(), OsError> {
        if let Some(part) = self.stuck {
            let size = part.end.since(part.start);
            // SAFETY: the part is Prepared and belongs to this range.
            unsafe { vm.used(part.start, size, size, delta) }?;
            vm.accounts().mapped(self.account, size, delta);
            self.stuck = None;
            self.insert(part);
        }
        let page = vm.os().physical_page_size();
        let want = Part { start: addr.align_down(page), end: addr.plus(size).align_up(page) };
        let mut from = want.start;
        while from < want.end {
            // The first Ready part that ends above `from` ends the gap.
            let next = self.ready.iter().find(|p| p.end > from).copied();
            match next {
                Some(p) if p.start <= from => from = p.end,
                _ => {
                    let end = next.map_or(want.end, |p| p.start.min(want.end));
                    // SAFETY: the gap is Reserved: it lies inside the range and outside all Ready parts.
                    unsafe { self.make_gap_ready(vm, from, end, delta) }?;
                    from = end;
                }
            }
        }
        Ok(())
    }

    /// Makes one gap Ready and records it. First makes room for the record.
    ///
    /// # Safety
    /// The gap is Reserved and lies inside the range.
    unsafe fn make_gap_ready<O: Os>(
        &mut self,
        vm: &Vm<O>,
        start: Addr,
        end: Addr,
        delta: &mut Delta,
    ) -> Result<(), OsError> {
        if self.ready.is_full() {
            let pairs = self.ready.iter().zip(self.ready.iter().skip(1));
            let gaps = pairs.map(|(a, b)| Part { start: a.end, end: b.start });
            if let Some(gap) = gaps.min_by_key(|gap| gap.end.since(gap.start)) {
                // SAFETY: the gap between two Ready parts is Reserved and lies inside the range.
                unsafe { self.map_part(vm, gap, delta) }?;
                if gap.start <= start && end <= gap.end {
                    return Ok(());
                }
            }
        }
        // SAFETY: the caller's promise. The gap that was closed above is another one.
        match unsafe { self.map_part(vm, Part { start, end }, delta) } {
            // The OS may allow no new border inside a mapping (`vm.max_map_count`). Then the part is widened
            // to touch a neighbour.
            Err(OsError::OutOfMemory) if self.stuck.is_none() => {
                let part = self.widened(start, end).ok_or(OsError::OutOfMemory)?;
                // SAFETY: Reserved up to the next Ready part, and inside the range.
                unsafe { self.map_part(vm, part, delta) }
            }
            done => done,
        }
    }

    /// Returns the gap between Ready parts, widened to touch the closer of its neighbours if that is near.
    fn widened(&self, start: Addr, end: Addr) -> Option<Part> {
        let below = self.ready.iter().rev().find(|p| p.end <= start).map(|p| Part { start: p.end, end });
        let above = self.ready.iter().find(|p| p.start >= end).map(|p| Part { start, end: p.start });
        let wider = [below, above].into_iter().flatten().min_by_key(|p| p.end.since(p.start))?;
        (wider.end.since(wider.start) <= NEAR && wider != Part { start, end }).then_some(wider)
    }

    /// Changes a part from Reserved to Ready.
    ///
    /// # Safety
    /// The part is Reserved and lies inside the range.
    unsafe fn map_part<O: Os>(&mut self, vm: &Vm<O>, part: Part, delta: &mut Delta) -> Result<(), OsError> {
        let size = part.end.since(part.start);
        // SAFETY: the caller's promise. The range is Prepared after `map`.
        unsafe {
            vm.map(part.start, size, self.account, delta)?;
            if let Err(e) = vm.used(part.start, size, size, delta) {
                // No record lists a Prepared part, so it must become Reserved again or be stored in `stuck`.
                if vm.fault(part.start, size, 0, self.account, delta).is_err() {
                    vm.accounts().unmapped(self.account, size, delta);
                    self.stuck = Some(part);
                }
                return Err(e);
            }
        }
        self.insert(part);
        Ok(())
    }

    /// Adds a part and joins it with the parts that it touches.
    fn insert(&mut self, mut part: Part) {
        let mut i = 0;
        while let Some(&p) = self.ready.get(i) {
            if p.end == part.start || p.start == part.end {
                part = Part { start: p.start.min(part.start), end: p.end.max(part.end) };
                self.ready.remove(i);
            } else if p.start > part.end {
                break;
            } else {
                i += 1;
            }
        }
        let full = self.ready.insert(i, part).is_err();
        debug_assert!(!full, "`make_gap_ready` made room");
    }
}
