//! What `/proc` shows of a process: its memory, which of its pages are resident, its mappings. Of this process, or of
//! another one whose memory this one may read (`ptrace(2)`, access mode "attach"); nothing is stopped, and no signal sent.
//!
//! Calls that rustix lacks: `ioctl` with `PAGEMAP_SCAN` (Linux 6.7). On an older kernel `/proc/PID/pagemap` is read word
//! by word.

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::{self, Errno};

use super::error;
use crate::arch;
use crate::os::OsError;
use crate::units::{Addr, KIB};

/// `PAGEMAP_SCAN` of `linux/fs.h`.
const PAGEMAP_SCAN: usize = 0xc060_6610;
/// `PAGE_IS_PRESENT` there.
const IS_PRESENT: u64 = 1 << 3;
/// `PAGE_IS_SWAPPED`.
const IS_SWAPPED: u64 = 1 << 4;
/// `PAGE_IS_PFNZERO`: the page of zeros that the kernel shows where nothing was written. It is in no Rss.
const IS_ZERO: u64 = 1 << 5;

/// Bit of a word of `/proc/PID/pagemap`: the page is in memory.
const WORD_PRESENT: u64 = 1 << 63;
/// Bit of such a word: the page is in swap.
const WORD_SWAPPED: u64 = 1 << 62;

/// How many runs a scan asks for at a time.
pub const RUNS: usize = 128;
/// The longest line that is read whole; of a longer one, the rest is left out.
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

/// `struct page_region` there: pages that have something in common.
#[repr(C)]
#[derive(Clone, Copy)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// Where a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    /// In memory.
    Resident,
    /// In swap.
    Swapped,
}

/// Pages side by side that are in the same place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The first byte.
    pub start: usize,
    /// The first byte behind it.
    pub end: usize,
    /// Where they are.
    pub at: Backing,
}

/// Runs of pages, by ascending address.
pub type Runs = heapless::Vec<Run, RUNS>;

/// A process, as `/proc` shows it. It holds the process's files open, so it stays the one that it is.
pub struct Process {
    directory: OwnedFd,
    memory: OwnedFd,
    pages: OwnedFd,
    /// Whether the kernel knows `PAGEMAP_SCAN`, as far as was tried.
    scans: AtomicBool,
    page: usize,
}

fn open(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, OsError> {
    fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(error)
}

impl Process {
    /// `EACCES` or `EPERM`: the process is not this one's to read.
    pub const fn is_denial(e: OsError) -> bool {
        matches!(e, OsError::Errno(1 | 13))
    }

    /// `ENOENT` or `ESRCH`: there is no such process (any more), or no `/proc`.
    pub const fn is_absence(e: OsError) -> bool {
        matches!(e, OsError::Errno(2 | 3))
    }

    /// What reading memory says of an address where the process has none: a link that was read while the process overwrote
    /// it leads there.
    pub const fn is_torn(e: OsError) -> bool {
        const IO: i32 = Errno::IO.raw_os_error();
        const FAULT: i32 = Errno::FAULT.raw_os_error();
        const OVERFLOW: i32 = Errno::OVERFLOW.raw_os_error();
        // `Unsupported`: an address that is no offset in a file, for the kernel `EINVAL`.
        matches!(e, OsError::Errno(IO | FAULT | OVERFLOW) | OsError::Unsupported)
    }

    /// The process `pid`, by its number or that of one of its threads, or where there is none given, this one. `page` is the size of a physical page.
    pub fn open(pid: Option<u32>, page: usize) -> Result<Process, OsError> {
        let mut path = heapless::String::<32>::new();
        let _ = match pid {
            Some(pid) => write!(path, "/proc/{pid}"),
            // Not `/proc/self`: once the first thread has exited, that shows no memory.
            None => write!(path, "/proc/thread-self"),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::openat(fs::CWD, path.as_str(), flags, Mode::empty()).map_err(error)?;
        use rustix::fd::AsFd;
        let (memory, pages) = (open(directory.as_fd(), "mem")?, open(directory.as_fd(), "pagemap")?);
        Ok(Process { directory, memory, pages, scans: AtomicBool::new(true), page })
    }

    /// Whether scans tell the page of zeros from others, so far: it is in no Rss.
    pub fn tells_zeros(&self) -> bool {
        self.scans.load(Ordering::Relaxed)
    }

    /// Reads memory of the process from `at` on; all of `out`, or an error.
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

    /// A word of the process's memory.
    pub fn word(&self, at: u64) -> Result<u64, OsError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Which pages of `[start, end)` are in memory or in swap. Adds them to `out`, which is empty, until it is full;
    /// returns how far it got. Both are multiples of the physical page.
    pub fn scan(&self, start: usize, end: usize, out: &mut Runs) -> Result<usize, OsError> {
        if self.scans.load(Ordering::Relaxed) {
            match self.scan_at_once(start, end, out) {
                Err(OsError::Unsupported | OsError::Errno(NOT_A_TERMINAL)) => {
                    self.scans.store(false, Ordering::Relaxed)
                }
                // A filter of system calls.
                Err(e) if Process::is_denial(e) => self.scans.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        self.scan_words(start, end, out)
    }

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
        // SAFETY: the kernel reads and writes the argument, and writes at most as many regions as there are.
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

    /// As [`Process::scan`], where the kernel is older. It does not tell the page of zeros from others.
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
                let place = match word & (WORD_PRESENT | WORD_SWAPPED) {
                    0 => None,
                    WORD_SWAPPED => Some(Backing::Swapped),
                    _ => Some(Backing::Resident),
                };
                if let Some(place) = place
                    && !extend(out, at, at + self.page, place)
                {
                    return Ok(at);
                }
                at += self.page;
            }
        }
        Ok(end)
    }

    /// Calls `f` with each line of the file `name` of the process, such as `smaps`, or of an absolute path.
    pub fn each_line(&self, name: &str, mut f: impl FnMut(&[u8])) -> Result<(), OsError> {
        use rustix::fd::AsFd;
        let file = open(self.directory.as_fd(), name)?;
        let mut text = [0; LINE];
        let (mut length, mut skipping) = (0, false);
        loop {
            let room = text.get_mut(length..).unwrap_or_default();
            let n = match io::read(&file, room) {
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

/// `ENOTTY`: what a file says that does not know an `ioctl`.
const NOT_A_TERMINAL: i32 = 25;

/// Adds `[start, end)` to the last run if it belongs to it, else as another one. `false`: there is no room.
fn extend(out: &mut Runs, start: usize, end: usize, at: Backing) -> bool {
    match out.last_mut() {
        Some(last) if last.end == start && last.at == at => {
            last.end = end;
            true
        }
        _ => out.push(Run { start, end, at }).is_ok(),
    }
}
