//! Records that are never freed.

use core::marker::PhantomData;

use crate::account::{Account, Entry, Total};
use crate::os::{Os, OsError};
use crate::units::{Addr, KIB, align_up};
use crate::vm::Vm;

/// How much is asked from the system at a time; larger requests get what they need.
const CHUNK: usize = 64 * KIB;

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
    charge: PhantomData<fn() -> C>,
}

impl<C: Charge> Persistent<C> {
    /// An allocator that has no chunk.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Persistent<C> {
        Persistent { next: Addr::NULL, end: Addr::NULL, charge: PhantomData }
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
            let start = vm.alloc(chunk, C::ACCOUNT, entry)?;
            entry.add(C::FREE, chunk as isize);
            self.next = start.plus(size);
            self.end = start.plus(chunk);
            return Ok(start);
        }
        self.next = at.plus(size);
        Ok(at)
    }
}
