//! The operating system as the kernel sees it: a handful of verbs on address space,
//! a clock, a fence, and a way to say something and die.
//!
//! Called by `vm` for everything that changes the state of address space, by `lock` to
//! yield, by `account` for the fence, and by `report` to print. Nobody else.
//!
//! Implementations may not allocate, may not take a lock of the kernel, and need only a
//! small stack. They keep no account: that is the business of `vm`.
//!
//! Invariant: each verb changes the state of exactly the range it names, or, when it
//! returns an error, of nothing. [`OsError::Lost`] is the one exception.
//!
//! | verb | from | to |
//! |---|---|---|
//! | [`Os::reserve`] | None | Reserved |
//! | [`Os::map`] | Reserved | Prepared |
//! | [`Os::used`] | Prepared or Ready | Ready |
//! | [`Os::unused`] | Ready | Prepared |
//! | [`Os::fault`] | Ready or Prepared | Reserved |
//! | [`Os::free`] | any | None |
//! | [`Os::alloc`] | None | Ready |
//! | [`Os::guard`] | Ready | Ready for the books, but a touch faults |
//! | [`Os::unguard`] | guarded | Ready |

mod calls;
#[cfg(target_os = "linux")]
mod linux;
mod region;
#[cfg(feature = "testing")]
pub mod sim;

pub use calls::{CALL_NAMES, CALLS, Call, Made};
#[cfg(target_os = "linux")]
pub use linux::{Backing, Extent, Linux, Process, RangeOs, Run, Runs, shared};
pub use region::Region;

use crate::units::Addr;

/// Why the operating system refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OsError {
    /// No memory, no address space, or over a limit (`ENOMEM`, `EAGAIN`).
    OutOfMemory,
    /// The address range that was asked for is taken (`EEXIST`).
    Taken,
    /// This home has no such call (`ENOSYS`, `EINVAL` of an unknown request).
    Unsupported,
    /// [`Os::move_pages`] failed half way: the target is in state None, and the source as it was.
    Lost,
    /// Anything else, by its number.
    Errno(i32),
}

/// Where arenas may be placed. Every heap address lies in `[base, base + size)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The first address.
    pub base: Addr,
    /// How many bytes the window spans.
    pub size: usize,
}

/// A file in memory that is mapped here, and open, so that other processes find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedFile {
    /// The first byte.
    pub addr: Addr,
    /// The descriptor's number; below zero: none that is ours to close.
    pub descriptor: i32,
    /// The device of the file that was opened under that number.
    pub device: u64,
    /// And its inode.
    pub inode: u64,
}

/// Memory that other processes can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shared {
    /// What others only read.
    pub page: SharedFile,
    /// What others may write.
    pub control: SharedFile,
}

/// What needs no instance: scheduling and time. Locks need just this.
pub trait Platform: 'static {
    /// Lets another thread run; a spinning lock calls it after a short spin.
    fn yield_now();
    /// Nanoseconds of a clock that never goes back; 0 where the home has no clock.
    fn now() -> u64;

    /// Called by a writer of the books in the middle of each entry. Does nothing, but on a simulated machine.
    #[inline(always)]
    fn halfway() {}
}

/// The operating system under a kernel.
///
/// Sizes are in bytes; addresses and sizes of ranges are multiples of
/// [`Os::physical_page_size`], except where a verb says otherwise.
///
/// # Safety
///
/// A range that a verb brought to Ready must be readable and writable memory that nobody
/// else uses, until a verb takes it out of Ready; a range fresh from [`Os::alloc`], or
/// Ready for the first time after [`Os::map`] or [`Os::unused`], must read as zero.
pub unsafe trait Os: Platform + Sync {
    /// Whether sparse memory may be reserved for every address from zero up, so that the page
    /// map needs no lower bound check.
    const SPARSE_FROM_ZERO: bool;

    /// Whether [`Os::move_pages`] moves memory without touching it, so that moving is cheaper than memory from the system.
    const MOVES_CHEAPLY: bool = false;

    /// The size of a physical page in bytes: a power of two, 4 to 64 KiB.
    fn physical_page_size(&self) -> usize;

    /// How many bits a user address has at the most.
    fn address_bits(&self) -> u32;

    /// How many CPUs this process may run on; at least 1.
    fn cpus(&self) -> usize;

    /// Where arenas may be placed. The same answer at every call.
    fn window(&self) -> Window;

    /// A window for a process that may not have what the other one takes. `None`: the home has no other.
    fn small_window(&self) -> Option<Window> {
        None
    }

    /// None → Reserved. With `at`, exactly there or [`OsError::Taken`].
    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError>;

    /// None → Reserved, as [`Os::reserve`] at `at`, where a range of the caller's ends. A home may make both one.
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

    /// Prepared → Ready; parts that are Ready stay so, with their content.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Ready → Prepared: the content is lost and its physical memory goes back.
    ///
    /// # Safety
    /// The range is Ready and the caller's, and holds nothing that is needed.
    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Ready or Prepared → Reserved; a touch faults from then on. For debugging.
    ///
    /// # Safety
    /// The range is the caller's and holds nothing that is needed.
    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Any state → None.
    ///
    /// # Safety
    /// The range is the caller's and holds nothing that is needed.
    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Has a touch of the range fault until [`Os::unguard`], as at the end of a stack. The content is lost. The range stays
    /// Ready for the books: it is memory in use. A home that can't make a touch fault does nothing.
    ///
    /// # Safety
    /// The range is Ready and the caller's, and holds nothing that is needed.
    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Undoes [`Os::guard`]. What the range holds is not said.
    ///
    /// # Safety
    /// The range was guarded, as a whole, and is the caller's.
    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Asks for huge pages. Changes no state; advice that may be ignored.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Asks for no huge pages. Changes no state.
    ///
    /// # Safety
    /// As for [`Os::huge_page`].
    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Collapses the range into huge pages now. Changes no state.
    ///
    /// # Safety
    /// As for [`Os::huge_page`].
    unsafe fn collapse(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Returns whether the system would give `size` bytes of memory at once, as far as it says so before they are touched.
    /// [`Os::reserve`] and [`Os::map`] need not ask.
    fn would_give(&self, _size: usize) -> bool {
        true
    }

    /// Returns how many bytes of a range have physical memory. Changes no state. `None`: the system does not say.
    fn resident(&self, _addr: Addr, _size: usize) -> Option<usize> {
        None
    }

    /// None → sparse: memory that reads as zero and takes no physical memory until a part of
    /// it is made writable by [`Os::sparse_ready`]. Outside the four states and the accounts.
    fn sparse(&self, size: usize) -> Result<Addr, OsError>;

    /// Where a sparse range may be made piece by piece by [`Os::sparse_at`]: nothing else comes there unasked. `None`: the
    /// home has no such place.
    fn sparse_place(&self) -> Option<Addr> {
        None
    }

    /// As [`Os::sparse`], exactly at `at` or [`OsError::Taken`].
    fn sparse_at(&self, _at: Addr, _size: usize) -> Result<(), OsError> {
        Err(OsError::Unsupported)
    }

    /// Makes a part of a sparse range writable; idempotent. Any range inside: the
    /// implementation rounds outward to physical pages.
    ///
    /// # Safety
    /// The range lies inside one sparse range of the caller's.
    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError>;

    /// Moves the physical pages of `from` under `to`; afterwards `to` holds what `from` held, and
    /// `from` is still Ready and reads as zero. After [`OsError::Lost`], `to` is in state None.
    ///
    /// # Safety
    /// Both ranges are Ready, the caller's, and do not overlap.
    unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError>;

    /// Makes [`Os::fence_all`] usable. Called once, before the first fence. `false` where the home
    /// has no such fence: then both sides of the protocol use a real one.
    fn register_fence(&self) -> bool;

    /// A full memory barrier on every thread of the process that runs now. `false`: the system refuses it, though
    /// [`Os::register_fence`] said yes (a filter of system calls that was installed since).
    fn fence_all(&self) -> bool;

    /// None → Ready, anywhere: zero bytes that another process can read if it may look into this one, `page` of them that
    /// only this process can write and `control` that the other one can write too. A child of a fork has both, and nothing
    /// is left once no process has them. `None`: the home has no such memory, or the system refuses it.
    fn share(&self, _page: usize, _control: usize) -> Option<Shared> {
        None
    }

    /// The same from descriptors that this process was started with; what is there stays. Then other processes may write to
    /// the page as well, because what this one becomes by `exec` has to. `None`: they are no such files of these sizes.
    fn take_over(&self, _descriptors: [i32; 2], _sizes: [usize; 2]) -> Option<Shared> {
        None
    }

    /// Closes the descriptors of what [`Os::share`] or [`Os::take_over`] gave, in this process; the memory stays.
    fn close_share(&self, _shared: &Shared) {}

    /// Ends the memory of what [`Os::share`] or [`Os::take_over`] gave, in this process.
    ///
    /// # Safety
    /// It was given in this process or in one that it was forked from, of these sizes, and holds nothing that is needed
    /// here.
    unsafe fn end_share(&self, _shared: &Shared, _sizes: [usize; 2]) {}

    /// As [`Os::end_share`], but this process's own zero bytes stay in its place, which nobody else sees.
    ///
    /// # Safety
    /// As for [`Os::end_share`], but that the memory may be touched.
    unsafe fn replace_share(&self, _shared: &Shared, _sizes: [usize; 2]) {}

    /// Whether this process, which is not `maker`, has memory of `maker`'s because it was forked from it. `false`: it runs
    /// in the maker's own memory, as a child of `vfork` does, or that cannot be told.
    fn is_inherited(&self, _maker: i32) -> bool {
        false
    }

    /// Returns the name of the program that this process runs, as far as the system keeps it; empty where there is none.
    fn command<'a>(&self, _name: &'a mut [u8; 16]) -> &'a [u8] {
        &[]
    }

    /// The process's number; 0 where there are no processes.
    fn process(&self) -> i32 {
        0
    }

    /// Writes to standard error, as far as it goes.
    fn print(&self, text: &[u8]);

    /// How many system calls were made; `None` where nobody counts them for this system alone.
    fn calls(&self) -> Option<[Made; CALLS]> {
        None
    }
}
