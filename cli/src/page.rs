//! Access to a process's stats page and control words: through the process's descriptors, or through its memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crossfoot::os::shared::{CONTROL_NAME, FROM, PAGE_NAME};
use crossfoot::stats_page::layout::{CONTROL_WORDS, SIZE};
use crossfoot::stats_page::view::Source;

use crate::proc_files;

/// The number of usual descriptor numbers. They are tried before all descriptors are listed.
const USUAL: i32 = 8;
/// The limit on open files below which a process has no stats page: its two files need `FROM[1]` and the next number.
pub const NUMBERS_NEEDED: u64 = FROM[1] as u64 + 2;

/// The seal against shrinking: a mapped file that shrank would end this command by `SIGBUS`.
const SHRINK: libc::c_int = libc::F_SEAL_SHRINK;

/// Returns the descriptor numbers that a page usually has.
pub fn usual_numbers() -> Vec<i32> {
    (FROM[0]..FROM[0] + USUAL).collect()
}

/// Returns the numbers of all descriptors of a process.
pub fn all_numbers(pid: i32) -> io::Result<Vec<i32>> {
    let entries = fs::read_dir(proc_files::of(pid, "fd"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Returns whether a file of this name, as `/proc` shows it, is a stats page.
pub fn is_page(name: &str) -> bool {
    name == format!("/memfd:{} (deleted)", PAGE_NAME.to_string_lossy())
}

/// Returns whether a file of this name holds control words.
fn is_control(name: &str) -> bool {
    name == format!("/memfd:{} (deleted)", CONTROL_NAME.to_string_lossy())
}

/// Opens the file of a descriptor. Does not block where the program has replaced the file by a pipe.
fn open(path: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(writable).custom_flags(libc::O_NONBLOCK).open(path)
}

/// A process's stats page.
pub enum Page {
    /// Mapped into this command. It stays readable after the process has ended.
    Mapped(Words),
    /// Read from the process's memory.
    Memory(Memory),
}

impl Page {
    /// Returns the page behind a descriptor of a process. Returns `None` if the descriptor is not a stats page.
    pub fn open(pid: i32, number: i32) -> Option<Page> {
        let path = proc_files::of(pid, &format!("fd/{number}"));
        if !is_page(fs::read_link(&path).ok()?.to_str()?) {
            return None;
        }
        Words::map(&open(&path, false).ok()?, SIZE, false).map(Page::Mapped)
    }

    /// Returns the page that a process has mapped at `start`.
    pub fn in_memory(pid: i32, start: u64) -> io::Result<Page> {
        Ok(Page::Memory(Memory { file: File::open(proc_files::of(pid, "mem"))?, start }))
    }
}

impl Source for Page {
    fn read(&self, from: usize, out: &mut [u64]) -> bool {
        match self {
            Page::Mapped(words) => words.read(from, out),
            Page::Memory(memory) => memory.read(from, out),
        }
    }
}

/// A file of a process as words, mapped into this command.
pub struct Words {
    start: *const AtomicU64,
    size: usize,
}

impl Words {
    /// Maps the first `size` bytes of a file. Returns `None` if the file is shorter, is not sealed against shrinking,
    /// or cannot be mapped.
    pub fn map(file: &File, size: usize, writable: bool) -> Option<Words> {
        // SAFETY: the call only returns the seals.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SHRINK == 0 || file.metadata().ok()?.len() < size as u64 {
            return None;
        }
        let rights = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a new mapping, at an address that Linux chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), size, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        (start != libc::MAP_FAILED).then(|| Words { start: start.cast_const().cast(), size })
    }

    /// Returns the words. Those of a read-only mapping must not be stored to.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping lives as long as `self`, and the sealed file has at least this size. Words of a read-only
        // mapping are only loaded.
        unsafe { std::slice::from_raw_parts(self.start, self.size / size_of::<u64>()) }
    }
}

impl Source for Words {
    fn read(&self, from: usize, out: &mut [u64]) -> bool {
        let Some(words) = self.words().get(from..from + out.len()) else { return false };
        words.iter().zip(out).for_each(|(word, out)| *out = word.load(Ordering::Relaxed));
        true
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `map`, and references into it borrow `self`.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.size) };
    }
}

/// Words in a process's memory, from the address `start` on.
pub struct Memory {
    file: File,
    start: u64,
}

impl Memory {
    fn read(&self, from: usize, out: &mut [u64]) -> bool {
        let mut bytes = vec![0; size_of_val(out)];
        let at = self.start + (from * size_of::<u64>()) as u64;
        let read = self.file.read_exact_at(&mut bytes, at).is_ok();
        for (word, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        read
    }
}

/// A process's control words.
pub enum Control {
    /// Mapped into this command.
    Mapped(Words),
    /// Written in the process's memory.
    Memory(Memory),
}

impl Control {
    /// Finds the control words of a process: the file with this inode.
    pub fn open(pid: i32, inode: u64) -> io::Result<Control> {
        for number in usual_numbers().into_iter().chain(all_numbers(pid)?) {
            let path = proc_files::of(pid, &format!("fd/{number}"));
            if !fs::read_link(&path).is_ok_and(|name| name.to_str().is_some_and(is_control)) {
                continue;
            }
            let file = open(&path, true)?;
            if file.metadata()?.ino() == inode
                && let Some(words) = Words::map(&file, CONTROL_WORDS * size_of::<u64>(), true)
            {
                return Ok(Control::Mapped(words));
            }
        }
        let maps = fs::read_to_string(proc_files::of(pid, "maps"))?;
        let map = maps.lines().filter_map(proc_files::map).find(|map| map.inode == inode && is_control(&map.name));
        let start = map.ok_or(io::ErrorKind::NotFound)?.start;
        let file = OpenOptions::new().read(true).write(true).open(proc_files::of(pid, "mem"))?;
        Ok(Control::Memory(Memory { file, start }))
    }

    /// Adds one to a word. Returns the new value.
    pub fn add(&self, word: usize) -> io::Result<u64> {
        match self {
            Control::Mapped(words) => {
                let word = words.words().get(word).ok_or(io::ErrorKind::InvalidInput)?;
                Ok(word.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
            }
            Control::Memory(memory) => {
                let mut value = [0];
                if !memory.read(word, &mut value) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let (wanted, at) = (value[0].wrapping_add(1), memory.start + (word * size_of::<u64>()) as u64);
                memory.file.write_all_at(&wanted.to_ne_bytes(), at)?;
                Ok(wanted)
            }
        }
    }
}
