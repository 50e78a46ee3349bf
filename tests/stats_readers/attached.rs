//! A process's stats page, mapped as any other program could.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crossfoot::metrics::{FORMAT, Reading};
use crossfoot::stats_page::layout::{CONTROL_INODE_AT, CONTROL_WORDS, LIST, PROCESS_AT, SIZE, WORDS};
use crossfoot::stats_page::view::{self, Head, Mapping, Source, Taken};

/// The page, mapped for reading, and its control words, mapped for writing.
pub struct Attached {
    page: *const AtomicU64,
    control: *const AtomicU64,
}

/// Returns the descriptors of a process that are memory files of this name.
pub fn descriptors(pid: i32, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let wanted = format!("/memfd:{name} (deleted)");
    let is_one = |path: &PathBuf| fs::read_link(path).is_ok_and(|link| link.to_str() == Some(&wanted));
    entries.flatten().map(|entry| entry.path()).filter(is_one).collect()
}

/// Returns the inodes of the stats pages that a process has open.
pub fn pages(pid: i32) -> Vec<u64> {
    let files = descriptors(pid, "crossfoot-stats");
    files.iter().filter_map(|path| Some(path.metadata().ok()?.ino())).collect()
}

fn map(file: &File, size: usize, rights: libc::c_int) -> *const AtomicU64 {
    // SAFETY: a new mapping, at an address of the system's choice.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    start.cast_const().cast()
}

impl Attached {
    /// Maps the page of a process.
    pub fn of(pid: i32) -> Attached {
        let pages = descriptors(pid, "crossfoot-stats").into_iter().map(|path| Attached::by(pid, &path));
        pages.into_iter().find(|page| page.word(PROCESS_AT) == pid as u64).expect("it has a page")
    }

    fn by(pid: i32, path: &PathBuf) -> Attached {
        let page = map(&File::open(path).expect("it may be opened"), SIZE, libc::PROT_READ);
        let mut attached = Attached { page, control: std::ptr::null() };
        let head = Head::read(&attached).expect("it can be read");
        assert_eq!(head.check(FORMAT), Ok(()));
        for path in descriptors(pid, "crossfoot-control") {
            let file = OpenOptions::new().read(true).write(true).open(path).expect("it may be written");
            if file.metadata().expect("it is open").ino() == attached.word(CONTROL_INODE_AT) {
                attached.control = map(&file, CONTROL_WORDS * 8, libc::PROT_READ | libc::PROT_WRITE);
            }
        }
        assert!(!attached.control.is_null(), "it has control words");
        attached
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: a file of this size stays mapped until this is dropped.
        unsafe { std::slice::from_raw_parts(self.page, WORDS) }
    }

    /// Returns a word of the page.
    pub fn word(&self, at: usize) -> u64 {
        self.words()[at].load(Ordering::Relaxed)
    }

    /// Returns the control words.
    pub fn control(&self) -> &[AtomicU64] {
        // SAFETY: a page with these words stays mapped until this is dropped.
        unsafe { std::slice::from_raw_parts(self.control, CONTROL_WORDS) }
    }

    /// Adds one to a control word.
    pub fn ask(&self, at: usize) {
        self.control()[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the last reading.
    pub fn reading(&self) -> Option<(Reading, Taken)> {
        let mut reading = Reading::new();
        let taken = view::reading(self, reading.words_mut())?;
        Some((reading, taken))
    }

    /// Returns the list of mappings by address, and the bytes that are not in it.
    pub fn mappings(&self) -> (Vec<Mapping>, u64) {
        let mut all = [Mapping { start: 0, end: 0, what: 0 }; LIST];
        let (len, unlisted) = view::mappings(self, &mut all).expect("nobody changes it");
        let mut list = all[..len].to_vec();
        list.sort();
        (list, unlisted)
    }
}

impl Source for Attached {
    fn read(&self, from: usize, out: &mut [u64]) -> bool {
        out.iter_mut().zip(&self.words()[from..]).for_each(|(out, word)| *out = word.load(Ordering::Relaxed));
        true
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: mapped in `by`; what was borrowed from it borrows this.
        unsafe {
            libc::munmap(self.page.cast_mut().cast(), SIZE);
            if !self.control.is_null() {
                libc::munmap(self.control.cast_mut().cast(), CONTROL_WORDS * 8);
            }
        }
    }
}
