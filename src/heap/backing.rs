//! Memory for the page allocator's arrays.

use crate::meta::Linear;
use crate::os::{Os, OsError};
use crate::page::Backing;
use crate::stats::{Account, Delta};
use crate::units::{Addr, align_up};
use crate::vm::Vm;

/// Ranges that the page allocator may reserve: it cuts all its tables from one.
const RANGES: usize = 1;

/// The arrays' range, once it is reserved. Protected by the page heap's lock.
pub(super) struct Records {
    ranges: heapless::Vec<(Addr, usize, Linear), RANGES>,
}

impl Records {
    pub(super) const fn new() -> Records {
        Records { ranges: heapless::Vec::new() }
    }

    /// Gives up the address space. Nothing of it was made Ready: that is for growth.
    pub(super) fn give_up<O: Os>(self, vm: &Vm<O>) {
        for (start, bytes, _) in self.ranges {
            vm.give_up_reserved(start, align_up(bytes, vm.os().physical_page_size()));
        }
    }

    /// These ranges together with what they need for a call.
    pub(super) fn with<'a, O: Os>(&'a mut self, vm: &'a Vm<O>, delta: &'a mut Delta) -> Provider<'a, O> {
        Provider { records: self, vm, delta }
    }
}

/// Gives the page allocator memory from [`Records`].
pub(super) struct Provider<'a, O: Os> {
    records: &'a mut Records,
    vm: &'a Vm<O>,
    delta: &'a mut Delta,
}

// SAFETY: each range is reserved for one caller and stays so; `Linear::make_ready` brings fresh memory, which
// reads as zero, to Ready, and leaves alone what is Ready.
unsafe impl<O: Os> Backing for Provider<'_, O> {
    type Error = OsError;

    fn reserve(&mut self, bytes: usize) -> Option<Addr> {
        let mut range = Linear::new(Account::OtherSys);
        let start = range.reserve(self.vm, bytes).ok()?;
        self.records.ranges.push((start, bytes, range)).ok().map(|()| start)
    }

    fn ready(&mut self, addr: Addr, bytes: usize) -> Result<(), OsError> {
        let holds = |&(start, size, _): &(Addr, usize, Linear)| start <= addr && addr.plus(bytes) <= start.plus(size);
        match self.records.ranges.iter().position(holds).and_then(|i| self.records.ranges.get_mut(i)) {
            // SAFETY: the range was found to hold the part.
            Some((_, _, range)) => unsafe { range.make_ready(self.vm, addr, bytes, self.delta) },
            None => Err(OsError::OutOfMemory),
        }
    }
}
