//! Records that are never freed.

use core::marker::PhantomData;

use crate::os::{Os, OsError};
use crate::stats::{Account, Delta, Total};
use crate::units::{Addr, KIB, align_up};
use crate::vm::Vm;

/// How much is asked from the system at a time at least; larger requests get what they need.
const CHUNK: usize = 64 * KIB;
/// And which part of what was asked for before, so that however much there is, it is a few hundred mappings at the most.
const SHARE: usize = 8;

/// Who pays for records. A type, so that an allocator of records that has nothing yet is zero bytes.
pub trait Charge {
    /// The account of every chunk.
    const ACCOUNT: Account;
    /// The total that gets every new chunk. The caller takes from it what it uses, so that what is left of chunks stays
    /// there.
    const FREE: Total;
}

/// Hands out pieces of chunks and never takes one back. `C` is charged.
pub struct Persistent<C> {
    next: Addr,
    end: Addr,
    /// Bytes of all chunks.
    chunks: usize,
    charge: PhantomData<fn() -> C>,
}

impl<C: Charge> Persistent<C> {
    /// An allocator that has no chunk.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Persistent<C> {
        Persistent { next: Addr::NULL, end: Addr::NULL, chunks: 0, charge: PhantomData }
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
    pub fn alloc<O: Os>(&mut self, vm: &Vm<O>, size: usize, align: usize, delta: &mut Delta) -> Result<Addr, OsError> {
        let at = self.next.align_up(align);
        let fits = at.0.checked_add(size).is_some_and(|end| end <= self.end.0);
        if self.next == Addr::NULL || !fits {
            let page = vm.os().physical_page_size();
            let least = align_up(size.max(CHUNK), page);
            let wanted = least.max(align_up(self.chunks / SHARE, page));
            // Where memory is short, the least will do.
            let (start, chunk) = match vm.alloc(wanted, C::ACCOUNT, delta) {
                Ok(start) => (start, wanted),
                Err(_) if wanted > least => (vm.alloc(least, C::ACCOUNT, delta)?, least),
                Err(e) => return Err(e),
            };
            self.chunks += chunk;
            delta.add(C::FREE, chunk as isize);
            self.next = start.plus(size);
            self.end = start.plus(chunk);
            return Ok(start);
        }
        self.next = at.plus(size);
        Ok(at)
    }
}
