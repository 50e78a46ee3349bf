//! Linux, through rustix: no libc.
//!
//! Calls that rustix lacks, made through the raw call of `arch`: `exit_group`, `madvise` with `MADV_COLLAPSE` and with
//! the guards of `guard.rs`, `clock_gettime` without the vDSO, which rustix would look for where valgrind has none, and
//! those of `shared.rs`, `process.rs` and `kept.rs`.

mod files;
mod guard;
mod kept;
mod mm;
mod process;
mod range;
pub mod shared;
mod window;

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{self, MembarrierCommand};

use super::calls::{CALLS, Call, Counts, Made};
use super::{Os, OsError, Platform, Shared, Window};
use crate::arch;
use crate::config::MAX_PHYSICAL_PAGE;
use crate::units::{Addr, KIB, align_down, align_up};
use mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
pub use process::{Backing, Process, Run, Runs};
pub use range::{Extent, RangeOs};

/// `MADV_COLLAPSE` of `linux/mman.h` (Linux 6.1).
const MADV_COLLAPSE: usize = 25;

/// `SIGABRT` of `signal.h`.
const SIGABRT: usize = 6;
/// `SIG_UNBLOCK` of `signal.h`.
const SIG_UNBLOCK: usize = 1;
/// `CLOCK_MONOTONIC` of `linux/time.h`.
const CLOCK_MONOTONIC: usize = 1;

/// The Linux kernel under this process.
pub struct Linux;

/// The calls that this process made through here.
static MADE: Counts = Counts::new();

/// The size of a physical page; 0 until it is known.
static PHYSICAL_PAGE: AtomicUsize = AtomicUsize::new(0);

/// Whether `membarrier` may be called.
static MEMBARRIER: AtomicBool = AtomicBool::new(true);

/// Finds the size of a physical page by asking: advice that changes nothing is refused at an address that is
/// not a page's. rustix would look it up in the auxiliary vector, and the vDSO with it, which is not there
/// under valgrind.
#[cold]
fn probe_physical_page() -> usize {
    let mut page = 4 * KIB;
    if let Ok(at) = anywhere(2 * MAX_PHYSICAL_PAGE, ProtFlags::empty(), MapFlags::NORESERVE) {
        // SAFETY: advice about the mapping made above.
        while page < MAX_PHYSICAL_PAGE && unsafe { mm::madvise(void(at.plus(page)), page, Advice::Normal) }.is_err() {
            page *= 2;
        }
        // SAFETY: the mapping was made above and nobody knows of it.
        let _ = unsafe { mm::munmap(void(at), 2 * MAX_PHYSICAL_PAGE) };
    }
    PHYSICAL_PAGE.store(page, Ordering::Relaxed);
    page
}

pub(super) fn error(e: Errno) -> OsError {
    match e {
        Errno::NOMEM | Errno::AGAIN => OsError::OutOfMemory,
        Errno::EXIST => OsError::Taken,
        Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP => OsError::Unsupported,
        e => OsError::Errno(e.raw_os_error()),
    }
}

fn void(addr: Addr) -> *mut c_void {
    addr.ptr()
}

/// `madvise` with advice that rustix does not know.
///
/// # Safety
/// The range is the caller's, and so is what the advice does to it.
unsafe fn advise(addr: Addr, size: usize, advice: usize) -> Result<(), OsError> {
    // SAFETY: the caller's promise.
    unsafe { mm::madvise_number(addr.0, size, advice) }.map_err(error)
}

/// Anonymous private memory anywhere.
fn anywhere(size: usize, prot: ProtFlags, flags: MapFlags) -> Result<Addr, OsError> {
    mm::anywhere(size, prot, MapFlags::PRIVATE | flags).map(|p| Addr::of(p.cast::<u8>())).map_err(error)
}

/// Sends `SIGABRT` to this thread, unblocked.
fn send_abort() {
    let set = 1u64 << (SIGABRT - 1);
    let (pid, thread) = (Linux::pid() as usize, thread::gettid().as_raw_nonzero().get() as usize);
    // SAFETY: the first call reads a mask of this frame; a handler that runs is the program's business.
    unsafe {
        arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_UNBLOCK, (&raw const set).expose_provenance(), 0, 8);
        arch::syscall3(arch::SYS_TGKILL, pid, thread, SIGABRT);
    }
}

impl Linux {
    /// Whether this thread has a signal blocked, as one has that runs a signal handler.
    pub fn blocks_signals() -> bool {
        let mut set = 0u64;
        // SAFETY: the call writes a mask of this frame, and changes nothing.
        let done =
            unsafe { arch::syscall4(arch::SYS_RT_SIGPROCMASK, SIG_UNBLOCK, 0, (&raw mut set).expose_provenance(), 8) };
        done == 0 && set != 0
    }

    /// Ends the process with `status`, without running anything.
    pub fn exit(status: i32) -> ! {
        // SAFETY: exit_group takes a number and never returns.
        unsafe { arch::syscall3(arch::SYS_EXIT_GROUP, status as usize, 0, 0) };
        // A filter of system calls refuses the end itself; nobody may go on from here.
        arch::trap()
    }

    /// Ends the process by `SIGABRT`, sent to this thread, so that a core is of it: blocked or ignored or handled,
    /// as C's `abort` does.
    pub fn abort() -> ! {
        send_abort();
        Linux::abort_unhandled()
    }

    /// As [`Linux::abort`], but a handler of the program's does not run.
    pub fn abort_unhandled() -> ! {
        // The kernel's `struct sigaction` that says: the default. Handler, flags, restorer, mask.
        let default = [0u64; 4];
        // SAFETY: the call reads an action of this frame.
        unsafe { arch::syscall4(arch::SYS_RT_SIGACTION, SIGABRT, (&raw const default).expose_provenance(), 0, 8) };
        send_abort();
        arch::trap()
    }
}

impl Linux {
    /// Makes Reserved memory sparse, as [`Os::sparse`] gives it.
    ///
    /// # Safety
    /// The range is Reserved and the caller's.
    pub(super) unsafe fn make_sparse(addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the range is the caller's, and holds nothing.
        unsafe { mm::mprotect(void(addr), size, MprotectFlags::READ) }.map_err(error)?;
        // SAFETY: advice about the same range.
        let _ = unsafe { mm::madvise(void(addr), size, Advice::LinuxDontDump) };
        Ok(())
    }

    /// Says whether `membarrier` may be called, before the first fence: without it, both sides of a fence use a real one.
    pub fn set_membarrier(on: bool) {
        MEMBARRIER.store(on, Ordering::Relaxed);
    }

    /// Maps memory that is not charged exactly at `at`, or [`OsError::Taken`].
    fn map_at(at: Addr, size: usize, rights: ProtFlags) -> Result<Addr, OsError> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: NOREPLACE never touches a mapping that exists; a kernel that does not know the flag
        // (before 4.17) takes the address as a hint.
        let p = unsafe { mm::mmap_anonymous(void(at), size, rights, flags) }.map_err(error)?;
        let got = Addr::of(p.cast::<u8>());
        if got == at {
            return Ok(at);
        }
        // SAFETY: the mapping was made by the call above and nobody knows of it.
        let _ = unsafe { mm::munmap(p, size) };
        Err(OsError::Taken)
    }

    /// This process's number.
    pub fn pid() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    /// The limit on this process's address space, in bytes.
    pub fn address_space_limit() -> Option<u64> {
        getrlimit(Resource::As).current
    }
}

impl Platform for Linux {
    fn yield_now() {
        let _ = MADE.count(Call::SchedYield, || {
            thread::sched_yield();
            Ok::<(), Errno>(())
        });
    }

    fn now() -> u64 {
        let mut time = [0i64; 2];
        // SAFETY: the kernel writes seconds and nanoseconds, two words of 64 bits on this CPU.
        unsafe { arch::syscall3(arch::SYS_CLOCK_GETTIME, CLOCK_MONOTONIC, (&raw mut time).expose_provenance(), 0) };
        time[0] as u64 * 1_000_000_000 + time[1] as u64
    }
}

// SAFETY: every verb is the system call that does what the trait says; anonymous private memory is
// zero when it is first touched and after MADV_DONTNEED.
unsafe impl Os for Linux {
    const SPARSE_FROM_ZERO: bool = true;
    const MOVES_CHEAPLY: bool = true;

    fn physical_page_size(&self) -> usize {
        if cfg!(target_arch = "x86_64") {
            return 4 * KIB; // It has no other.
        }
        match PHYSICAL_PAGE.load(Ordering::Relaxed) {
            0 => probe_physical_page(),
            known => known,
        }
    }

    fn address_bits(&self) -> u32 {
        // What a process gets without asking for more by a hint. Where it has less (39 bits on some
        // riscv64 and arm64 kernels), arenas beyond are refused and the low window is taken.
        if cfg!(target_pointer_width = "64") { 47 } else { 32 }
    }

    fn cpus(&self) -> usize {
        thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1) as usize)
    }

    fn window(&self) -> Window {
        window::window()
    }

    fn small_window(&self) -> Option<Window> {
        Some(window::small_window())
    }

    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError> {
        let Some(at) = at else {
            return anywhere(size, ProtFlags::empty(), MapFlags::NORESERVE);
        };
        Linux::map_at(at, size, ProtFlags::empty())
    }

    unsafe fn reserve_behind(&self, at: Addr, size: usize) -> Result<(), OsError> {
        let Err(e) = self.reserve(Some(at), size) else { return Ok(()) };
        if e == OsError::OutOfMemory {
            // A process that has as many mappings as it may have gets no other one, but one that it has may grow.
            let page = self.physical_page_size();
            // SAFETY: the page before is the caller's; the mapping grows only where nothing is.
            let grown = unsafe { mm::mremap(void(Addr(at.0 - page)), page, page + size, MremapFlags::empty()) };
            return grown.map(|_| ()).map_err(|_| e);
        }
        Err(e)
    }

    fn alloc(&self, size: usize) -> Result<Addr, OsError> {
        anywhere(size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::empty())
    }

    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the range is the caller's, so changing its protection disturbs nobody.
        unsafe { mm::mprotect(void(addr), size, MprotectFlags::READ | MprotectFlags::WRITE) }.map_err(error)
    }

    unsafe fn used(&self, _addr: Addr, _size: usize) -> Result<(), OsError> {
        // Linux backs Prepared memory at the first touch.
        Ok(())
    }

    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller needs nothing of the range's content.
        unsafe { mm::madvise(void(addr), size, Advice::LinuxDontNeed) }.map_err(error)
    }

    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces the caller's own mapping, whose content it does not need.
        unsafe { mm::mmap_anonymous(void(addr), size, ProtFlags::empty(), flags) }.map(|_| ()).map_err(error)
    }

    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the mapping is the caller's, and it needs nothing of it.
        unsafe { mm::munmap(void(addr), size) }.map_err(error)
    }

    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { guard::install(addr, size) }
    }

    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        unsafe { guard::remove(addr, size) }
    }

    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: advice about the caller's own memory, which keeps its content.
        unsafe { mm::madvise(void(addr), size, Advice::LinuxHugepage) }.map_err(error)
    }

    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: advice about the caller's own memory, which keeps its content.
        unsafe { mm::madvise(void(addr), size, Advice::LinuxNoHugepage) }.map_err(error)
    }

    unsafe fn collapse(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: advice about the caller's own memory, which keeps its content.
        unsafe { advise(addr, size, MADV_COLLAPSE) }
    }

    fn would_give(&self, size: usize) -> bool {
        // A mapping that is accounted for, unlike arenas: refused above what memory and swap have, by the default policy.
        let Ok(at) = anywhere(size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::empty()) else { return false };
        // SAFETY: the mapping was made above, and nobody knows of it.
        let _ = unsafe { mm::munmap(void(at), size) };
        true
    }

    fn resident(&self, addr: Addr, size: usize) -> Option<usize> {
        mm::resident(addr.0, size, self.physical_page_size())
    }

    fn sparse(&self, size: usize) -> Result<Addr, OsError> {
        // Readable from the start, so that looking up any address is safe; not writable, so that
        // strict overcommit does not charge it. Left out of core dumps, where it would be all holes.
        let at = anywhere(size, ProtFlags::READ, MapFlags::NORESERVE)?;
        // SAFETY: advice about the mapping made above.
        let _ = unsafe { mm::madvise(void(at), size, Advice::LinuxDontDump) };
        Ok(at)
    }

    fn sparse_place(&self) -> Option<Addr> {
        Some(window::map_place())
    }

    fn sparse_at(&self, at: Addr, size: usize) -> Result<(), OsError> {
        let at = Linux::map_at(at, size, ProtFlags::READ)?;
        // SAFETY: advice about the mapping made above.
        let _ = unsafe { mm::madvise(void(at), size, Advice::LinuxDontDump) };
        Ok(())
    }

    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let page = self.physical_page_size();
        let start = align_down(addr.0, page);
        let end = align_up(addr.0 + size, page);
        let flags = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the rounded range stays inside the caller's sparse range, which is whole physical pages.
        unsafe { mm::mprotect(void(Addr(start)), end - start, flags) }.map_err(error)
    }

    unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        // Old kernels refuse a range of several mappings only after they have unmapped the target, and new ones
        // may stop half way through it. So it is asked first: growing it by a page fails with ENOMEM, because
        // the next page is taken, where it is one mapping, and with EFAULT where it is several.
        let page = self.physical_page_size();
        // SAFETY: where the page behind is free after all, the mapping grows into it, which is undone.
        match unsafe { mm::mremap(void(from), size, size + page, MremapFlags::empty()) } {
            // SAFETY: the page was mapped by the call above.
            Ok(_) => unsafe { mm::munmap(void(from.plus(size)), page) }.map_err(error)?,
            Err(Errno::NOMEM) => {}
            Err(_) => return Err(OsError::Unsupported),
        }
        let flags = MremapFlags::MAYMOVE | MremapFlags::DONTUNMAP;
        // SAFETY: both ranges are the caller's; the old one stays mapped and empty (Linux 5.7).
        let Err(e) = (unsafe { mm::mremap_fixed(void(from), size, size, flags, void(to)) }) else {
            return Ok(());
        };
        // Linux unmaps the target before the last checks (a limit on address space that was lowered since, memory for
        // page tables). Brought back, it is as fresh as before; where it is still there, the call changes nothing.
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: NOREPLACE never touches a mapping that exists.
        let back = unsafe { mm::mmap_anonymous(void(to), size, ProtFlags::READ | ProtFlags::WRITE, flags) };
        match back {
            Ok(_) | Err(Errno::EXIST) => Err(error(e)),
            // A filter of system calls refuses both calls and leaves the target where it is. Advice that changes
            // nothing is refused where a page of the range is not mapped.
            // SAFETY: as said.
            Err(_) => match unsafe { mm::madvise(void(to), size, Advice::Normal) } {
                Ok(()) => Err(error(e)),
                Err(_) => Err(OsError::Lost),
            },
        }
    }

    fn register_fence(&self) -> bool {
        MEMBARRIER.load(Ordering::Relaxed)
            && MADE.count(Call::Membarrier, || thread::membarrier(MembarrierCommand::RegisterPrivateExpedited)).is_ok()
    }

    fn fence_all(&self) -> bool {
        MEMBARRIER.load(Ordering::Relaxed)
            && MADE.count(Call::Membarrier, || thread::membarrier(MembarrierCommand::PrivateExpedited)).is_ok()
    }

    fn share(&self, page: usize, control: usize) -> Option<Shared> {
        Linux::share(page, control)
    }

    fn take_over(&self, descriptors: [i32; 2], sizes: [usize; 2]) -> Option<Shared> {
        Linux::take_over(descriptors, sizes)
    }

    fn close_share(&self, shared: &Shared) {
        Linux::close_file(&shared.page);
        Linux::close_file(&shared.control);
    }

    unsafe fn end_share(&self, shared: &Shared, [page, control]: [usize; 2]) {
        Linux::unmap_file(&shared.page, page);
        Linux::unmap_file(&shared.control, control);
    }

    unsafe fn replace_share(&self, shared: &Shared, [page, control]: [usize; 2]) {
        Linux::replace_file(&shared.page, page);
        Linux::replace_file(&shared.control, control);
    }

    fn command<'a>(&self, name: &'a mut [u8; 16]) -> &'a [u8] {
        Linux::command(name)
    }

    fn is_inherited(&self, maker: i32) -> bool {
        Linux::is_inherited(maker)
    }

    fn process(&self) -> i32 {
        Linux::pid()
    }

    fn print(&self, text: &[u8]) {
        Linux::print(text);
    }

    fn calls(&self) -> Option<[Made; CALLS]> {
        Some(MADE.read())
    }
}
