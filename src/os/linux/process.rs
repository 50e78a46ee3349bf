//! A process as `/proc` shows it: its memory, its resident pages, its mappings. The process is this one, or another one
//! whose memory this process may read (`ptrace(2)`, access mode "attach"). It is not stopped, and gets no signal.
//!
//! `ioctl(PAGEMAP_SCAN)` (Linux 6.7) is missing in rustix. On older versions `/proc/PID/pagemap` is read word by word.

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{self, Errno};

use super::base::error;
use crate::arch;
use crate::os::OsError;
use crate::units::{Addr, KIB};

/// `PAGEMAP_SCAN` of `linux/fs.h`.
const PAGEMAP_SCAN: usize = 0xc060_6610;
/// `PAGE_IS_PRESENT` of `linux/fs.h`.
const IS_PRESENT: u64 = 1 << 3;
/// `PAGE_IS_SWAPPED` of `linux/fs.h`.
const IS_SWAPPED: u64 = 1 << 4;
/// `PAGE_IS_PFNZERO` of `linux/fs.h`: the shared zero page, mapped where nothing was written. Rss does not include it.
const IS_ZERO: u64 = 1 << 5;

/// The bit of a word of `/proc/PID/pagemap` for a page in memory.
const WORD_PRESENT: u64 = 1 << 63;
/// The bit for a page in swap.
const WORD_SWAPPED: u64 = 1 << 62;

/// The maximal number of runs of one scan.
pub const RUNS: usize = 128;
/// The longest line; the rest of a longer line is skipped.
const LINE: usize = 4 * KIB;

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region` of `linux/fs.h`: adjacent pages of the same categories.
#[repr(C)]
#[derive(Clone, Copy)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// The place of a page's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    /// In memory.
    Resident,
    /// In swap.
    Swapped,
}

/// Adjacent pages in the same place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The first byte.
    pub start: usize,
    /// The address behind the last byte.
    pub end: usize,
    /// The place of their content.
    pub at: Backing,
}

/// Runs of pages, in ascending order.
pub type Runs = heapless::Vec<Run, RUNS>;

/// A process, as `/proc` shows it. The open files keep referring to this process if its id is reused.
pub struct Process {
    directory: OwnedFd,
    memory: OwnedFd,
    pages: OwnedFd,
    /// Whether `PAGEMAP_SCAN` works, as far as it was tried.
    scans: AtomicBool,
    page: usize,
}

/// Opens the process's file `name`.
fn open(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, OsError> {
    fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(error)
}

impl Process {
    /// Returns whether the error is `EACCES` or `EPERM`: this process may not read the other one.
    pub const fn is_denial(e: OsError) -> bool {
        matches!(e, OsError::Errno(1 | 13))
    }

    /// Returns whether the error is `ENOENT` or `ESRCH`: there is no such process, or no `/proc`.
    pub const fn is_absence(e: OsError) -> bool {
        matches!(e, OsError::Errno(2 | 3))
    }

    /// Returns whether the error means that the process has no memory at the address, as for a pointer that was read while
    /// the process overwrote it.
    pub const fn is_torn(e: OsError) -> bool {
        const IO: i32 = Errno::IO.raw_os_error();
        const FAULT: i32 = Errno::FAULT.raw_os_error();
        const OVERFLOW: i32 = Errno::OVERFLOW.raw_os_error();
        // `Unsupported` is `EINVAL`: the address is no valid file offset.
        matches!(e, OsError::Errno(IO | FAULT | OVERFLOW) | OsError::Unsupported)
    }

    /// Opens the process `pid`, an id of the process or of one of its threads; without `pid`, this process. `page` is the size
    /// of a physical page.
    pub fn open(pid: Option<u32>, page: usize) -> Result<Process, OsError> {
        let mut path = heapless::String::<32>::new();
        let _ = match pid {
            Some(pid) => write!(path, "/proc/{pid}"),
            // `/proc/self` shows no memory once the first thread has exited.
            None => write!(path, "/proc/thread-self"),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::openat(fs::CWD, path.as_str(), flags, Mode::empty()).map_err(error)?;
        use rustix::fd::AsFd;
        let (memory, pages) = (open(directory.as_fd(), "mem")?, open(directory.as_fd(), "pagemap")?);
        Ok(Process { directory, memory, pages, scans: AtomicBool::new(true), page })
    }

    /// Returns whether scans distinguish the shared zero page, which Rss does not include. `PAGEMAP_SCAN` does.
    pub fn tells_zeros(&self) -> bool {
        self.scans.load(Ordering::Relaxed)
    }

    /// Fills `out` from the process's memory at `at`. Returns an error if not all can be read.
    pub fn read(&self, at: u64, mut out: &mut [u8]) -> Result<(), OsError> {
        let mut at = at;
        while !out.is_empty() {
            match io::pread(&self.memory, &mut *out, at) {
                Ok(0) => return Err(OsError::Errno(Errno::SRCH.raw_os_error())),
                Ok(n) => {
                    at += n as u64;
                    out = out.get_mut(n..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(error(e)),
            }
        }
        Ok(())
    }

    /// Reads a word of the process's memory.
    pub fn word(&self, at: u64) -> Result<u64, OsError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Appends the pages of `[start, end)` that are in memory or in swap to `out`, which is empty, until it is full. Returns
    /// the address up to which it scanned. `start` and `end` are multiples of the physical page.
    pub fn scan(&self, start: usize, end: usize, out: &mut Runs) -> Result<usize, OsError> {
        if self.scans.load(Ordering::Relaxed) {
            match self.scan_at_once(start, end, out) {
                Err(OsError::Unsupported | OsError::Errno(NOT_A_TERMINAL)) => {
                    self.scans.store(false, Ordering::Relaxed)
                }
                // A seccomp filter refuses it.
                Err(e) if Process::is_denial(e) => self.scans.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        self.scan_words(start, end, out)
    }

    /// Scans by `PAGEMAP_SCAN`.
    fn scan_at_once(&self, start: usize, end: usize, out: &mut Runs) -> Result<usize, OsError> {
        let mut regions = [Region { start: 0, end: 0, categories: 0 }; RUNS];
        let mut argument = ScanArgument {
            size: size_of::<ScanArgument>() as u64,
            flags: 0,
            start: start as u64,
            end: end as u64,
            walk_end: 0,
            vec: Addr::of(regions.as_mut_ptr()).0 as u64,
            vec_len: RUNS as u64,
            max_pages: 0,
            category_inverted: 0,
            category_mask: 0,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT | IS_SWAPPED | IS_ZERO,
        };
        let (fd, address) = (self.pages.as_raw_fd() as usize, Addr::of(&raw mut argument).0);
        // SAFETY: the call reads and writes the argument, and writes at most `RUNS` regions.
        let found = unsafe { arch::syscall3(arch::SYS_IOCTL, fd, PAGEMAP_SCAN, address) };
        if found < 0 {
            return Err(error(Errno::from_raw_os_error(-found as i32)));
        }
        for region in regions.iter().take(found as usize) {
            let at = if region.categories & IS_PRESENT != 0 { Backing::Resident } else { Backing::Swapped };
            if region.categories & IS_ZERO == 0 {
                let _ = out.push(Run { start: region.start as usize, end: region.end as usize, at });
            }
        }
        Ok((argument.walk_end as usize).clamp(start, end))
    }

    /// Scans the words of `pagemap`, on Linux before 6.7. They do not distinguish the shared zero page.
    fn scan_words(&self, start: usize, end: usize, out: &mut Runs) -> Result<usize, OsError> {
        let (mut words, mut at) = ([0u8; 4 * KIB], start);
        while at < end {
            let wanted = ((end - at) / self.page * 8).min(words.len());
            let read = io::pread(&self.pages, words.get_mut(..wanted).unwrap_or_default(), (at / self.page * 8) as u64);
            let read = read.map_err(error)? / 8 * 8;
            if read == 0 {
                return Ok(end);
            }
            for word in words.get(..read).unwrap_or_default().chunks_exact(8) {
                let word = word.try_into().map_or(0, u64::from_ne_bytes);
                let backing = match word & (WORD_PRESENT | WORD_SWAPPED) {
                    0 => None,
                    WORD_SWAPPED => Some(Backing::Swapped),
                    _ => Some(Backing::Resident),
                };
                if let Some(backing) = backing
                    && !extend(out, at, at + self.page, backing)
                {
                    return Ok(at);
                }
                at += self.page;
            }
        }
        Ok(end)
    }

    /// Calls `f` with each line of the process's file `name`, such as `smaps`, or of an absolute path.
    pub fn each_line(&self, name: &str, mut f: impl FnMut(&[u8])) -> Result<(), OsError> {
        use rustix::fd::AsFd;
        let file = open(self.directory.as_fd(), name)?;
        let mut text = [0; LINE];
        let (mut length, mut skipping) = (0, false);
        loop {
            let free = text.get_mut(length..).unwrap_or_default();
            let n = match io::read(&file, free) {
                Ok(0) => break,
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(error(e)),
            };
            length += n;
            let mut from = 0;
            while let Some(rest) = text.get(from..length)
                && let Some(line) = rest.iter().position(|&b| b == b'\n')
            {
                if !core::mem::take(&mut skipping) {
                    f(rest.get(..line).unwrap_or_default());
                }
                from += line + 1;
            }
            if from == 0 && length == LINE {
                if !core::mem::replace(&mut skipping, true) {
                    f(&text);
                }
                from = length;
            }
            text.copy_within(from..length, 0);
            length -= from;
        }
        if length > 0 && !skipping {
            f(text.get(..length).unwrap_or_default());
        }
        Ok(())
    }
}

/// `ENOTTY`: the error of an unknown `ioctl`.
const NOT_A_TERMINAL: i32 = 25;

/// Appends `[start, end)` to the last run if it continues it, else as a new run. Returns `false` if `out` is full.
fn extend(out: &mut Runs, start: usize, end: usize, at: Backing) -> bool {
    match out.last_mut() {
        Some(last) if last.end == start && last.at == at => {
            last.end = end;
            true
        }
        _ => out.push(Run { start, end, at }).is_ok(),
    }
}
