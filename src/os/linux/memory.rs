//! The verbs on memory.

use core::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use super::base::{Linux, error, void};
use super::mm::{self, Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, advise};
use super::{guard, window};
use crate::arch;
use crate::config::MAX_PHYSICAL_PAGE;
use crate::os::{Memory, OsError, Window};
use crate::units::{Addr, KIB, align_down, align_up};

/// `MADV_COLLAPSE` of `linux/mman.h` (Linux 6.1).
const MADV_COLLAPSE: usize = 25;

/// The size of a physical page; 0 until it is known.
static PHYSICAL_PAGE: AtomicUsize = AtomicUsize::new(0);

/// Finds the size of a physical page: `madvise(MADV_NORMAL)` fails at an address that is not aligned to it. rustix would
/// read the auxiliary vector, and with it the vDSO, which is not there under valgrind.
#[cold]
fn probe_physical_page() -> usize {
    let mut page = 4 * KIB;
    if let Ok(at) = anywhere(2 * MAX_PHYSICAL_PAGE, ProtFlags::empty(), MapFlags::NORESERVE) {
        // SAFETY: advice about the mapping made above.
        while page < MAX_PHYSICAL_PAGE && unsafe { mm::madvise(void(at.plus(page)), page, Advice::Normal) }.is_err() {
            page *= 2;
        }
        // SAFETY: the mapping was made above and is used nowhere else.
        let _ = unsafe { mm::munmap(void(at), 2 * MAX_PHYSICAL_PAGE) };
    }
    PHYSICAL_PAGE.store(page, Ordering::Relaxed);
    page
}

/// Maps anonymous private memory at any address.
fn anywhere(size: usize, prot: ProtFlags, flags: MapFlags) -> Result<Addr, OsError> {
    mm::anywhere(size, prot, MapFlags::PRIVATE | flags).map(|p| Addr::of(p.cast::<u8>())).map_err(error)
}

impl Linux {
    /// Makes Reserved memory sparse: see [`Memory::sparse`].
    ///
    /// # Safety
    /// The range is Reserved and the caller's.
    pub(super) unsafe fn make_sparse(addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the range is the caller's and has no content.
        unsafe { mm::mprotect(void(addr), size, MprotectFlags::READ) }.map_err(error)?;
        // SAFETY: advice about the same range.
        let _ = unsafe { mm::madvise(void(addr), size, Advice::LinuxDontDump) };
        Ok(())
    }

    /// Maps memory exactly at `at`, without charging it (`MAP_NORESERVE`). Fails with [`OsError::Taken`] if that is not free.
    fn map_at(at: Addr, size: usize, rights: ProtFlags) -> Result<Addr, OsError> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: NOREPLACE never replaces an existing mapping; Linux before 4.17 takes the address as a hint.
        let p = unsafe { mm::mmap_anonymous(void(at), size, rights, flags) }.map_err(error)?;
        let got = Addr::of(p.cast::<u8>());
        if got == at {
            return Ok(at);
        }
        // SAFETY: the mapping was made by the call above and is used nowhere else.
        let _ = unsafe { mm::munmap(p, size) };
        Err(OsError::Taken)
    }
}

// SAFETY: every verb is the system call with the trait's effect; anonymous private memory reads as zero when it is first
// touched and after MADV_DONTNEED.
unsafe impl Memory for Linux {
    const SPARSE_FROM_ZERO: bool = true;
    const MOVES_CHEAPLY: bool = true;

    fn physical_page_size(&self) -> usize {
        if let Some(page) = arch::PHYSICAL_PAGE {
            return page;
        }
        match PHYSICAL_PAGE.load(Ordering::Relaxed) {
            0 => probe_physical_page(),
            known => known,
        }
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
            // At the limit on mappings, a new one is refused, but an existing one may grow.
            let page = self.physical_page_size();
            // SAFETY: the page before is the caller's; the mapping grows only into free addresses.
            let grown = unsafe { mm::mremap(void(Addr(at.0 - page)), page, page + size, MremapFlags::empty()) };
            return grown.map(|_| ()).map_err(|_| e);
        }
        Err(e)
    }

    fn alloc(&self, size: usize) -> Result<Addr, OsError> {
        anywhere(size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::empty())
    }

    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the range is the caller's, so its protection may change.
        unsafe { mm::mprotect(void(addr), size, MprotectFlags::READ | MprotectFlags::WRITE) }.map_err(error)
    }

    unsafe fn used(&self, _addr: Addr, _size: usize) -> Result<(), OsError> {
        // Linux backs Prepared memory when it is first touched.
        Ok(())
    }

    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the content of the range is not needed.
        unsafe { mm::madvise(void(addr), size, Advice::LinuxDontNeed) }.map_err(error)
    }

    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces the caller's own mapping, whose content is not needed.
        unsafe { mm::mmap_anonymous(void(addr), size, ProtFlags::empty(), flags) }.map(|_| ()).map_err(error)
    }

    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the mapping is the caller's, and its content is not needed.
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
        // Unlike arenas, this mapping is charged: by the default overcommit policy it is refused above memory and swap.
        let Ok(at) = anywhere(size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::empty()) else { return false };
        // SAFETY: the mapping was made above, and is used nowhere else.
        let _ = unsafe { mm::munmap(void(at), size) };
        true
    }

    fn resident(&self, addr: Addr, size: usize) -> Option<usize> {
        mm::resident(addr.0, size, self.physical_page_size())
    }

    fn sparse(&self, size: usize) -> Result<Addr, OsError> {
        // Readable, so that looking up any address is safe; not writable, so that strict overcommit does not charge it. Core
        // dumps leave it out, since it would be all holes.
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
        // For a source of several mappings, old Linux versions fail only after unmapping the target, and new ones may stop
        // half way. So the source is tested first: growing it by a page fails with ENOMEM if it is one mapping, because the
        // next page is taken, and with EFAULT if it is several.
        let page = self.physical_page_size();
        // SAFETY: if the page behind is free, the mapping grows into it, which is undone.
        match unsafe { mm::mremap(void(from), size, size + page, MremapFlags::empty()) } {
            // SAFETY: the page was mapped by the call above.
            Ok(_) => unsafe { mm::munmap(void(from.plus(size)), page) }.map_err(error)?,
            Err(Errno::NOMEM) => {}
            Err(_) => return Err(OsError::Unsupported),
        }
        let flags = MremapFlags::MAYMOVE | MremapFlags::DONTUNMAP;
        // SAFETY: both ranges are the caller's; the source stays mapped and empty (Linux 5.7).
        let Err(e) = (unsafe { mm::mremap_fixed(void(from), size, size, flags, void(to)) }) else {
            return Ok(());
        };
        // Linux unmaps the target before its last checks (a lowered limit on address space, memory for page tables). This maps
        // the target anew; if it is still mapped, the call changes nothing.
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: NOREPLACE never replaces an existing mapping.
        let back = unsafe { mm::mmap_anonymous(void(to), size, ProtFlags::READ | ProtFlags::WRITE, flags) };
        match back {
            Ok(_) | Err(Errno::EXIST) => Err(error(e)),
            // A seccomp filter refuses both calls, and the target is still mapped. `MADV_NORMAL` fails if a page of the range
            // is not mapped.
            // SAFETY: the advice changes nothing.
            Err(_) => match unsafe { mm::madvise(void(to), size, Advice::Normal) } {
                Ok(()) => Err(error(e)),
                Err(_) => Err(OsError::Lost),
            },
        }
    }
}
