//! One reserved range whose parts become Ready as they are needed.

use crate::os::{Os, OsError};
use crate::stats::{Account, Delta};
use crate::stats_page::MappingKind;
use crate::units::{Addr, MIB, align_up};
use crate::vm::Vm;

/// How many separate Ready parts are kept apart; past that the nearest ones are joined.
const PARTS: usize = 64;

/// How large a part may become that is widened to touch another one. No memory is behind it before it is touched; the
/// tables of a heap below 2 GiB lie within.
const NEAR: usize = 64 * MIB;

/// A range `[start, end)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    start: Addr,
    end: Addr,
}

/// A reserved range and the parts of it that are Ready.
pub struct Linear {
    account: Account,
    /// The Ready parts, ascending, neither touching nor overlapping.
    ready: heapless::Vec<Part, PARTS>,
    /// A part that is Prepared because the system let it become neither Ready nor Reserved again. No
    /// account holds it.
    stuck: Option<Part>,
}

impl Linear {
    /// A range that is not reserved yet; its memory will be charged to `account`.
    pub const fn new(account: Account) -> Linear {
        Linear { account, ready: heapless::Vec::new(), stuck: None }
    }

    /// Reserves `size` bytes, rounded up to physical pages. Called once.
    pub fn reserve<O: Os>(&mut self, vm: &Vm<O>, size: usize) -> Result<Addr, OsError> {
        vm.reserve(None, align_up(size.max(1), vm.os().physical_page_size()), MappingKind::Tables)
    }

    /// Makes `[addr, addr + size)` Ready, rounded outward to physical pages; what is Ready stays as it
    /// is. On an error some of the range may be Ready, and is known to be.
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
            // SAFETY: the part is Prepared and ours.
            unsafe { vm.used(part.start, size, size, delta) }?;
            vm.accounts().mapped(self.account, size, delta);
            self.stuck = None;
            self.note(part);
        }
        let page = vm.os().physical_page_size();
        let want = Part { start: addr.align_down(page), end: addr.plus(size).align_up(page) };
        let mut from = want.start;
        while from < want.end {
            // The first Ready part that ends above `from` says where the gap ends.
            let next = self.ready.iter().find(|p| p.end > from).copied();
            match next {
                Some(p) if p.start <= from => from = p.end,
                _ => {
                    let end = next.map_or(want.end, |p| p.start.min(want.end));
                    // SAFETY: the gap is Reserved and ours: inside the range, outside all Ready parts.
                    unsafe { self.open(vm, from, end, delta) }?;
                    from = end;
                }
            }
        }
        Ok(())
    }

    /// Makes one gap Ready and notes it, after making room for the note.
    ///
    /// # Safety
    /// The gap is Reserved and ours.
    unsafe fn open<O: Os>(&mut self, vm: &Vm<O>, start: Addr, end: Addr, delta: &mut Delta) -> Result<(), OsError> {
        if self.ready.is_full() {
            let pairs = self.ready.iter().zip(self.ready.iter().skip(1));
            let gaps = pairs.map(|(a, b)| Part { start: a.end, end: b.start });
            if let Some(gap) = gaps.min_by_key(|gap| gap.end.since(gap.start)) {
                // SAFETY: the gap between two Ready parts is Reserved and ours.
                unsafe { self.map_part(vm, gap, delta) }?;
                if gap.start <= start && end <= gap.end {
                    return Ok(());
                }
            }
        }
        // SAFETY: the caller's promise; the gap closed above was another one.
        match unsafe { self.map_part(vm, Part { start, end }, delta) } {
            // The system may allow no border inside a mapping (`vm.max_map_count`): then the part begins where the one
            // below ends, or ends where the one above begins.
            Err(OsError::OutOfMemory) if self.stuck.is_none() => {
                let part = self.widened(start, end).ok_or(OsError::OutOfMemory)?;
                // SAFETY: Reserved and ours, as far as the next Ready part.
                unsafe { self.map_part(vm, part, delta) }
            }
            done => done,
        }
    }

    /// A gap between Ready parts, made larger so that it touches one of them, where that is near.
    fn widened(&self, start: Addr, end: Addr) -> Option<Part> {
        let below = self.ready.iter().rev().find(|p| p.end <= start).map(|p| Part { start: p.end, end });
        let above = self.ready.iter().find(|p| p.start >= end).map(|p| Part { start, end: p.start });
        let wider = [below, above].into_iter().flatten().min_by_key(|p| p.end.since(p.start))?;
        (wider.end.since(wider.start) <= NEAR && wider != Part { start, end }).then_some(wider)
    }

    /// Brings a part from Reserved to Ready.
    ///
    /// # Safety
    /// The part is Reserved and ours.
    unsafe fn map_part<O: Os>(&mut self, vm: &Vm<O>, part: Part, delta: &mut Delta) -> Result<(), OsError> {
        let size = part.end.since(part.start);
        // SAFETY: the caller's promise; the range is Prepared after `map`.
        unsafe {
            vm.map(part.start, size, self.account, delta)?;
            if let Err(e) = vm.used(part.start, size, size, delta) {
                // Prepared is no state to be left in: nobody would know of it.
                if vm.fault(part.start, size, 0, self.account, delta).is_err() {
                    vm.accounts().unmapped(self.account, size, delta);
                    self.stuck = Some(part);
                }
                return Err(e);
            }
        }
        self.note(part);
        Ok(())
    }

    /// Adds a part, joining it with those that it touches.
    fn note(&mut self, mut part: Part) {
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
        debug_assert!(!full, "`open` made room");
    }
}
