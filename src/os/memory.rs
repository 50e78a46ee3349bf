//! Address space and memory: the verbs that change the state of pages.

use super::platform::Platform;
use crate::units::Addr;

/// The reason of a refusal by the OS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OsError {
    /// No memory, no address space, or over a limit (`ENOMEM`, `EAGAIN`).
    OutOfMemory,
    /// The wanted address range is in use (`EEXIST`).
    Taken,
    /// The environment has no such call (`ENOSYS`, or `EINVAL` for an unknown request).
    Unsupported,
    /// [`Memory::move_pages`] failed half way: the target is in state None, and the source is unchanged.
    Lost,
    /// Any other error, by its number.
    Errno(i32),
}

/// The range of addresses for arenas. Every heap address lies in `[base, base + size)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The first address.
    pub base: Addr,
    /// The size in bytes.
    pub size: usize,
}

/// The calls of an OS that change the state of memory, the *verbs*. The table at the head of [the module](super) lists the
/// states (None, Reserved, Prepared, Ready) and which verb leads from one to another.
///
/// Sizes are in bytes. Addresses and sizes of ranges are multiples of [`Memory::physical_page_size`], except where a verb
/// says otherwise.
///
/// # Safety
///
/// From a verb that makes a range Ready until a verb that ends that state, the range must be readable and writable memory
/// that nothing else uses. A range fresh from [`Memory::alloc`], or Ready for the first time after [`Memory::map`] or [`Memory::unused`],
/// must read as zero.
pub unsafe trait Memory: Platform + Sync {
    /// Whether sparse memory may be reserved for all addresses from zero on. Then the page map needs no check of a lower
    /// bound.
    const SPARSE_FROM_ZERO: bool;

    /// Whether [`Memory::move_pages`] moves pages without copying, so that moving is cheaper than new memory from the OS.
    const MOVES_CHEAPLY: bool = false;

    /// Returns the size of a physical page in bytes: a power of two, 4 to 64 KiB.
    fn physical_page_size(&self) -> usize;

    /// Returns the range for arenas, the same at every call.
    fn window(&self) -> Window;

    /// Returns a smaller range, for a process that may not have the memory for the tables of [`Memory::window`]. Returns
    /// `None` if the environment has only one.
    fn small_window(&self) -> Option<Window> {
        None
    }

    /// None → Reserved. With `at`, exactly there; fails with [`OsError::Taken`] if that is not free.
    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError>;

    /// None → Reserved, exactly at `at`, the end of a range of the caller's. The OS may extend that range's mapping.
    ///
    /// # Safety
    /// A range that ends at `at` is the caller's.
    unsafe fn reserve_behind(&self, at: Addr, size: usize) -> Result<(), OsError> {
        self.reserve(Some(at), size).map(|_| ())
    }

    /// None → Ready, anywhere.
    fn alloc(&self, size: usize) -> Result<Addr, OsError>;

    /// Reserved → Prepared.
    ///
    /// # Safety
    /// The range is Reserved and the caller's.
    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Prepared → Ready. Parts that are Ready keep their content.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Ready → Prepared. Discards the content and returns the physical memory to the OS.
    ///
    /// # Safety
    /// The range is Ready and the caller's, and its content is not needed.
    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Ready or Prepared → Reserved. An access faults afterwards.
    ///
    /// # Safety
    /// The range is the caller's, and its content is not needed.
    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Any state → None.
    ///
    /// # Safety
    /// The range is the caller's, and its content is not needed.
    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Makes accesses to the range fault until [`Memory::unguard`], as at the end of a stack. Discards the content. The range
    /// stays Ready for the accounts: it is memory in use. An OS that cannot make accesses fault does nothing.
    ///
    /// # Safety
    /// The range is Ready and the caller's, and its content is not needed.
    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Undoes [`Memory::guard`]. The content is unspecified afterwards.
    ///
    /// # Safety
    /// The range was guarded, as a whole, and is the caller's.
    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Asks for huge pages. Changes no state; the OS may ignore it.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Asks for no huge pages. Changes no state. For the background thread that releases memory; not called yet.
    ///
    /// # Safety
    /// As for [`Memory::huge_page`].
    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Collapses the range into huge pages now. Changes no state. For the background thread; not called yet.
    ///
    /// # Safety
    /// As for [`Memory::huge_page`].
    unsafe fn collapse(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Returns whether the OS would grant `size` bytes of memory at once, as far as that is known before they are touched.
    /// [`Memory::reserve`] and [`Memory::map`] may succeed for more.
    fn would_give(&self, _size: usize) -> bool {
        true
    }

    /// Returns how many bytes of a range are resident, or `None` if the OS does not tell. Changes no state.
    fn resident(&self, _addr: Addr, _size: usize) -> Option<usize> {
        None
    }

    /// None → sparse, anywhere: memory that reads as zero and takes no physical memory until [`Memory::sparse_ready`] makes a
    /// part writable. Sparse memory is outside the four states and the accounts.
    fn sparse(&self, size: usize) -> Result<Addr, OsError>;

    /// Returns an address from which [`Memory::sparse_at`] may build a sparse range piece by piece, because the OS maps
    /// nothing else there by itself. Returns `None` if the environment has none.
    fn sparse_place(&self) -> Option<Addr> {
        None
    }

    /// None → sparse, exactly at `at`; fails with [`OsError::Taken`] if that is not free.
    fn sparse_at(&self, _at: Addr, _size: usize) -> Result<(), OsError> {
        Err(OsError::Unsupported)
    }

    /// Makes a part of a sparse range writable. Idempotent. Takes any range inside, which it rounds outward to physical
    /// pages.
    ///
    /// # Safety
    /// The range lies inside one sparse range of the caller's.
    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Moves the physical pages of `from` to `to`. Afterwards `to` has the content of `from`, and `from` is still Ready and
    /// reads as zero. After [`OsError::Lost`], `to` is in state None.
    ///
    /// # Safety
    /// Both ranges are Ready, the caller's, and do not overlap.
    unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError>;
}
