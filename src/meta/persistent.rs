//! Records that are never freed.

use crate::account::{Account, Entry, Total};
use crate::os::{Os, OsError};
use crate::units::{Addr, KIB, align_up};
use crate::vm::Vm;

/// How much is asked from the system at a time; larger requests get what they need.
const CHUNK: usize = 64 * KIB;

/// Hands out pieces of chunks and never takes one back.
pub struct Persistent {
    account: Account,
    free: Total,
    next: Addr,
    end: Addr,
}

impl Persistent {
    /// An allocator that charges `account`, and `free` with every new chunk. The caller takes from `free` what it
    /// uses, so that what is left of chunks stays there.
    pub const fn new(account: Account, free: Total) -> Persistent {
        Persistent { account, free, next: Addr::NULL, end: Addr::NULL }
    }

    /// Takes `size` bytes from `start`, which the caller accounted for, to hand out from now on. They need not be
    /// zero.
    pub fn feed(&mut self, start: Addr, size: usize) {
        self.next = start;
        self.end = start.plus(size);
    }

    /// `size` zero bytes aligned to `align`, a power of two of at most a physical page.
    ///
    /// What is left of the old chunk is given up when a request does not fit it.
    pub fn alloc<O: Os>(&mut self, vm: &Vm<O>, size: usize, align: usize, entry: &mut Entry) -> Result<Addr, OsError> {
        let at = self.next.align_up(align);
        let fits = at.0.checked_add(size).is_some_and(|end| end <= self.end.0);
        if self.next == Addr::NULL || !fits {
            let page = vm.os().physical_page_size();
            let chunk = align_up(size.max(CHUNK), page);
            let start = vm.alloc(chunk, self.account, entry)?;
            entry.add(self.free, chunk as isize);
            self.next = start.plus(size);
            self.end = start.plus(chunk);
            return Ok(start);
        }
        self.next = at.plus(size);
        Ok(at)
    }
}
