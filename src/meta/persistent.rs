//! Records that are never freed.

use core::marker::PhantomData;

use crate::os::{Os, OsError};
use crate::stats::{Account, Delta, Total};
use crate::units::{Addr, KIB, align_up};
use crate::vm::Vm;

/// The least bytes that are taken from the OS at once. A larger request takes what it needs.
const CHUNK: usize = 64 * KIB;
/// A new chunk has at least 1/`SHARE` of the bytes of all earlier chunks, so that the number of mappings
/// stays below a few hundred.
const SHARE: usize = 8;

/// The account of an allocator of records. A type, so that an allocator without chunks is all zero bytes.
pub trait Charge {
    /// The account of every chunk.
    const ACCOUNT: Account;
    /// The total to which every new chunk is added. The caller subtracts the bytes that it uses, so that the
    /// unused rest of chunks remains there.
    const FREE: Total;
}

/// Allocates pieces of chunks and never frees them. `C` is charged.
pub struct Persistent<C> {
    next: Addr,
    end: Addr,
    /// Bytes of all chunks.
    chunks: usize,
    charge: PhantomData<fn() -> C>,
}

impl<C: Charge> Persistent<C> {
    /// Returns an allocator without chunks.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Persistent<C> {
        Persistent { next: Addr::NULL, end: Addr::NULL, chunks: 0, charge: PhantomData }
    }

    /// Makes `size` bytes from `start` on, which the caller accounted for, the current chunk. They need not
    /// be zero.
    pub fn feed(&mut self, start: Addr, size: usize) {
        self.next = start;
        self.end = start.plus(size);
    }

    /// Allocates `size` zero bytes aligned to `align`, a power of two of at most a physical page.
    ///
    /// If the request does not fit the current chunk, the rest of the chunk is abandoned.
    pub fn alloc<O: Os>(&mut self, vm: &Vm<O>, size: usize, align: usize, delta: &mut Delta) -> Result<Addr, OsError> {
        let at = self.next.align_up(align);
        let fits = at.0.checked_add(size).is_some_and(|end| end <= self.end.0);
        if self.next == Addr::NULL || !fits {
            let page = vm.os().physical_page_size();
            let least = align_up(size.max(CHUNK), page);
            let wanted = least.max(align_up(self.chunks / SHARE, page));
            // If memory is short, the minimum is enough, and if even that is refused, the request itself.
            let mut found = Err(OsError::OutOfMemory);
            let mut refused = usize::MAX;
            for chunk in [wanted, least, align_up(size, page)] {
                if found.is_err() && chunk < refused {
                    found = vm.alloc(chunk, C::ACCOUNT, delta).map(|start| (start, chunk));
                    refused = chunk;
                }
            }
            let (start, chunk) = found?;
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
