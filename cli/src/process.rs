//! Another process that runs on Crossfoot: its ledger page, its mappings, its memory.
//!
//! The page is found in `/proc/PID/maps` and attached by its number, read-only. Nothing stops the process, nothing is
//! written to it but a control word when a fresh reading is asked for, and no right to trace it is needed. Where the page
//! cannot be attached (another IPC namespace, or a system without System V's shared memory), it is read through
//! `/proc/PID/mem`, for which that right is needed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kernel::ledger::layout::{
    LIST, MAGIC, MAGIC_AT, NUMBER_AT, PLACES, PLACES_AT, PROCESS_AT, REFRESH_ANSWERED_AT, REFRESH_WANTED_AT, SIZE,
    WORDS,
};
use kernel::ledger::view::{self, Head, Mapping, Source, Taken, Wrong};
use kernel::metrics::{FORMAT, Reading};

use crate::failure::Failure;

/// How the system names the mapping of a segment that no key leads to.
const SEGMENT: &str = "/SYSV00000000 (deleted)";
/// How it names that of the file that stands for one.
const FILE: &str = "/memfd:crossfoot-ledger (deleted)";
/// How often a fresh reading is looked for.
const POLL: Duration = Duration::from_micros(100);

/// Why a process cannot be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such process, or it has ended.
    Gone,
    /// It belongs to another user.
    OtherUser,
    /// It is this user's, but does not let itself be read.
    Closed,
    /// It does not run on Crossfoot, or has not allocated yet.
    NotOurs,
    /// It runs another version.
    Version,
    /// It has the page of the process that it was forked from.
    Inherited(u64),
    /// The page can be neither attached nor read.
    Unreadable(String),
}

impl Refusal {
    /// As the command says it.
    pub fn failure(self, pid: i32) -> Failure {
        Failure::refused(match self {
            Refusal::Gone => format!("no process {pid}"),
            Refusal::OtherUser => format!("permission denied: process {pid} belongs to another user"),
            Refusal::Closed => format!("permission denied: process {pid} does not let itself be read"),
            Refusal::NotOurs => format!("process {pid} does not run on Crossfoot, or has not allocated yet"),
            Refusal::Version => format!("process {pid} runs another version of Crossfoot than this command"),
            Refusal::Inherited(of) => {
                format!("process {pid} has the ledger page of process {of} still, which it was forked from")
            }
            Refusal::Unreadable(why) => format!("cannot read the ledger page of process {pid}: {why}"),
        })
    }
}

/// A line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// The first byte.
    pub start: u64,
    /// The first byte behind.
    pub end: u64,
    /// As `rw-p`.
    pub rights: String,
    /// The file's inode; of a segment, its number.
    pub inode: u64,
    /// What it is of; empty: anonymous memory.
    pub name: String,
}

/// A process with a ledger page that this command understands.
pub struct Target {
    /// Its number.
    pub pid: i32,
    page: Page,
}

impl Target {
    /// Finds a process's page.
    pub fn find(pid: i32) -> Result<Target, Refusal> {
        let text = fs::read_to_string(of(pid, "maps")).map_err(|error| refused(pid, &error))?;
        let maps: Vec<Map> = text.lines().filter_map(map).collect();
        if maps.is_empty() && has_ended(pid) {
            return Err(Refusal::Gone);
        }
        let (own_namespace, mut refusal) = (same_namespace(pid), Refusal::NotOurs);
        for map in maps.iter().filter(|map| map.end - map.start == SIZE as u64) {
            let page = match map.name.as_str() {
                SEGMENT if own_namespace => Segment::attach(map.inode, libc::SHM_RDONLY).map(Page::Segment),
                SEGMENT | FILE => Memory::open(pid, map.start).map(Page::Memory),
                _ => continue,
            };
            match page.map_err(|error| Refusal::Unreadable(error.to_string())).and_then(|page| check(pid, page)) {
                Ok(page) => return Ok(Target { pid, page }),
                // A segment of the program's own says nothing about ours.
                Err(Refusal::NotOurs) => {}
                Err(why) => refusal = why,
            }
        }
        Err(refusal)
    }

    /// The last reading, and when it was taken. `None`: there is none yet.
    pub fn reading(&self) -> Option<(Reading, Taken)> {
        let mut reading = Reading::new();
        let taken = view::reading(&self.page, reading.words_mut())?;
        Some((reading, taken))
    }

    /// Asks for a fresh reading and waits for it at most this long. A process whose threads do nothing gives none.
    pub fn want_fresh(&self, patience: Duration) {
        let Page::Segment(segment) = &self.page else { return };
        let Ok(writable) = Segment::attach(segment.number, 0) else { return };
        let wanted = writable.words()[REFRESH_WANTED_AT].fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let since = Instant::now();
        while view::word(&self.page, REFRESH_ANSWERED_AT)
            .is_some_and(|answered| answered.wrapping_sub(wanted) as i64 <= -1)
            && since.elapsed() < patience
        {
            std::thread::sleep(POLL);
        }
    }

    /// The mappings that the process lists as the allocator's, by address, and how many bytes are not listed. `None`: they
    /// change all the time.
    pub fn mappings(&self) -> Option<(Vec<Mapping>, u64)> {
        // Too much for a small stack.
        let all = vec![Mapping { start: 0, end: 0, what: 0 }; LIST];
        let mut all: Box<[Mapping; LIST]> = all.into_boxed_slice().try_into().ok()?;
        let (len, unlisted) = view::mappings(&self.page, &mut all)?;
        let mut mappings = all[..len].to_vec();
        mappings.sort();
        Some((mappings, unlisted))
    }

    /// Where things are in the process.
    pub fn places(&self) -> [u64; PLACES] {
        let mut places = [0; PLACES];
        self.page.read(PLACES_AT, &mut places);
        places
    }
}

/// A file of a process.
pub fn of(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// A line of `/proc/PID/status`: what stands behind its name.
pub fn status(pid: i32, name: &str) -> Option<String> {
    let text = fs::read_to_string(of(pid, "status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// The user that a process runs as.
pub fn user(pid: i32) -> Option<u32> {
    status(pid, "Uid")?.split_whitespace().nth(1)?.parse().ok()
}

fn refused(pid: i32, error: &io::Error) -> Refusal {
    // SAFETY: it only answers.
    let own = unsafe { libc::geteuid() };
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => Refusal::Gone,
        _ if user(pid).is_some_and(|user| user != own) => Refusal::OtherUser,
        _ => Refusal::Closed,
    }
}

/// Whether a process waits for somebody to ask how it ended, or is not there any more.
fn has_ended(pid: i32) -> bool {
    status(pid, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

fn map(line: &str) -> Option<Map> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let (rights, _offset, _device) = (fields.next()?.to_owned(), fields.next()?, fields.next()?);
    let number = |text| u64::from_str_radix(text, 16).ok();
    let inode = fields.next()?.parse().ok()?;
    let name = fields.next().unwrap_or_default().trim_start().to_owned();
    Some(Map { start: number(start)?, end: number(end)?, rights, inode, name })
}

/// Whether numbers of segments mean the same to the process as to this one.
fn same_namespace(pid: i32) -> bool {
    let own = fs::read_link("/proc/self/ns/ipc");
    own.is_ok_and(|own| fs::read_link(of(pid, "ns/ipc")).is_ok_and(|its| its == own))
}

/// The page, if it is one, of this process, and understood.
fn check(pid: i32, page: Page) -> Result<Page, Refusal> {
    let head = Head::read(&page).ok_or(Refusal::Gone)?;
    // Before the version: what these say is the same in all.
    if head.get(MAGIC_AT) != MAGIC || page.number().is_some_and(|number| head.get(NUMBER_AT) != number + 1) {
        return Err(Refusal::NotOurs);
    }
    // Its own number: the innermost of its PID namespaces.
    let own = status(pid, "NSpid").and_then(|all| all.split_whitespace().last()?.parse().ok());
    if own != Some(head.get(PROCESS_AT)) {
        return Err(Refusal::Inherited(head.get(PROCESS_AT)));
    }
    match head.check(FORMAT) {
        Ok(()) => Ok(page),
        Err(Wrong::NotOne) => Err(Refusal::NotOurs),
        Err(Wrong::Version) => Err(Refusal::Version),
    }
}

/// A way to a process's page.
enum Page {
    Segment(Segment),
    Memory(Memory),
}

impl Page {
    fn number(&self) -> Option<u64> {
        match self {
            Page::Segment(segment) => Some(segment.number),
            Page::Memory(_) => None,
        }
    }
}

impl Source for Page {
    fn read(&self, from: usize, out: &mut [u64]) -> bool {
        match self {
            Page::Segment(segment) => {
                let Some(words) = segment.words().get(from..from + out.len()) else { return false };
                words.iter().zip(out).for_each(|(word, out)| *out = word.load(Ordering::Relaxed));
                true
            }
            Page::Memory(memory) => memory.read(from, out),
        }
    }
}

/// A page that is attached.
struct Segment {
    number: u64,
    start: *const AtomicU64,
}

impl Segment {
    fn attach(number: u64, flags: libc::c_int) -> io::Result<Segment> {
        let id = libc::c_int::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping, at an address of the system's choice.
        let start = unsafe { libc::shmat(id, std::ptr::null(), flags) };
        if start.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        let segment = Segment { number, start: start.cast_const().cast() };
        // SAFETY: plain data, filled by the call.
        let size = unsafe {
            let mut known: libc::shmid_ds = std::mem::zeroed();
            if libc::shmctl(id, libc::IPC_STAT, &raw mut known) == 0 { known.shm_segsz } else { 0 }
        };
        if size < SIZE { Err(io::ErrorKind::InvalidData.into()) } else { Ok(segment) }
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: a segment of at least this size is attached as long as this lives. What is attached for reading only is
        // only loaded from.
        unsafe { std::slice::from_raw_parts(self.start, WORDS) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: attached in `attach`; what was borrowed from it borrows this.
        unsafe { libc::shmdt(self.start.cast()) };
    }
}

/// A page that is read from outside.
struct Memory {
    file: File,
    start: u64,
}

impl Memory {
    fn open(pid: i32, start: u64) -> io::Result<Memory> {
        Ok(Memory { file: File::open(of(pid, "mem"))?, start })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_maps_is_understood() {
        let segment =
            map("7f0a4886c000-7f0a4887c000 rw-s 00000000 00:01 65587                      /SYSV00000000 (deleted)");
        let segment = segment.unwrap();
        assert_eq!((segment.inode, segment.name.as_str(), segment.rights.as_str()), (65587, SEGMENT, "rw-s"));
        assert_eq!(segment.end - segment.start, SIZE as u64);
        assert_eq!(map("c000000000-c000400000 rw-p 00000000 00:00 0 ").unwrap().name, "");
        assert_eq!(map("broken"), None);
    }
}
