//! Another process that runs on Crossfoot: its stats page, its mappings, its control words.
//!
//! The stats page is found among the process's descriptors (`/proc/PID/fd`) and mapped read-only by `page`. This needs
//! the right to trace the process. If the program has closed all of its descriptors, the page is read through
//! `/proc/PID/mem`. The process is not stopped. Only its control words are written, to ask for a fresh reading or for a
//! release of memory.
//!
//! Once the first thread of a process has exited (`pthread_exit`), the process's files in `/proc` are empty. Then
//! another thread's files are read: its number works in place of the process's.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crossfoot::metrics::{FORMAT, Reading};
use crossfoot::stats_page::layout::{
    CONTROL_INODE_AT, LIST, LIST_CHANGES_AT, MAGIC, MAGIC_AT, OFFSETS, OFFSETS_AT, PROCESS_AT, REFRESH_ANSWERED_AT,
    REFRESH_WANTED_AT, RELEASE_ANSWERED_AT, RELEASE_WANTED_AT, RELEASED_AT, SIZE,
};
use crossfoot::stats_page::view::{self, Head, Mapping, Source, Taken, Wrong};

use crate::failure::Failure;
use crate::page::{self, Control, Page};
use crate::proc_files::{Map, map, of};

/// The interval at which an answer is polled.
const POLL: Duration = Duration::from_micros(100);
/// The number of attempts to read a process, if the thread that it is read through exits meanwhile.
pub const TRIES: usize = 5;

/// The reason why a process cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such process, or it has ended.
    Gone,
    /// It belongs to another user.
    OtherUser,
    /// It belongs to this user, but may not be traced, for instance because it is not dumpable.
    Closed,
    /// It does not run on Crossfoot, or has not allocated yet.
    NotOurs,
    /// It runs another version.
    Version,
    /// It runs on Crossfoot without a stats page, for a likely reason.
    NoPage(String),
    /// Its stats page is still that of the process that it was forked from, which has this number.
    Inherited(u64),
    /// The page can be neither mapped nor read, for this reason.
    Unreadable(String),
}

impl Refusal {
    /// Returns the failure with the message for `pid`.
    pub fn failure(self, pid: i32) -> Failure {
        Failure::refused(match self {
            Refusal::Gone => format!("no process {pid}"),
            Refusal::OtherUser => format!("permission denied: process {pid} belongs to another user"),
            Refusal::Closed => format!("permission denied: process {pid} does not let itself be read"),
            Refusal::NotOurs => format!("process {pid} does not run on Crossfoot, or has not allocated yet"),
            Refusal::NoPage(why) => format!("process {pid} runs on Crossfoot and has no stats page: {why}"),
            Refusal::Version => format!("process {pid} runs another version of Crossfoot than this command"),
            Refusal::Inherited(of) => {
                format!("process {pid} has the stats page of process {of} still, which it was forked from")
            }
            Refusal::Unreadable(why) => format!("cannot read the stats page of process {pid}: {why}"),
        })
    }
}

/// A process with a stats page that this command understands.
pub struct Target {
    /// The process's number.
    pub pid: i32,
    page: Page,
}

impl Target {
    /// Finds a process's stats page. The page stays readable after the process has ended, if it is mapped.
    pub fn find(pid: i32) -> Result<Target, Refusal> {
        let (mut thread, mut tries) = (readable(pid), 1);
        loop {
            let found = Target::find_through(thread, pid);
            let now = readable(pid);
            // The thread that the process was read through may have exited meanwhile, while the process runs on.
            if !matches!(found, Err(Refusal::Gone | Refusal::NotOurs)) || now == thread || tries == TRIES {
                return found;
            }
            (thread, tries) = (now, tries + 1);
        }
    }

    /// Finds the page through the files of one thread of the process.
    fn find_through(thread: i32, pid: i32) -> Result<Target, Refusal> {
        let denied = |error: io::Error| if has_ended(pid) { Refusal::Gone } else { refused(pid, &error) };
        let mut refusal = Refusal::NotOurs;
        for numbers in [page::usual_numbers(), page::all_numbers(thread).map_err(denied)?] {
            for page in numbers.into_iter().filter_map(|number| Page::open(thread, number)) {
                match check(pid, page) {
                    Ok(page) => return Ok(Target { pid, page }),
                    // A file of the program's own, with the same name. The search goes on.
                    Err(Refusal::NotOurs) => {}
                    Err(why) => refusal = why,
                }
            }
        }
        if refusal != Refusal::NotOurs {
            return Err(refusal);
        }
        Target::find_mapped(thread, pid)
    }

    /// Finds the page among the mappings, for a process without a descriptor of it.
    fn find_mapped(thread: i32, pid: i32) -> Result<Target, Refusal> {
        let text = fs::read_to_string(of(thread, "maps")).map_err(|error| refused(pid, &error))?;
        let maps: Vec<Map> = text.lines().filter_map(map).collect();
        if maps.is_empty() && has_ended(pid) {
            return Err(Refusal::Gone);
        }
        let mut refusal = None;
        for map in maps.iter().filter(|map| map.end - map.start == SIZE as u64 && page::is_page(&map.name)) {
            let page = Page::in_memory(thread, map.start).map_err(|error| {
                Refusal::Unreadable(format!(
                    "the program has closed its descriptor, and its memory cannot be read: {error}"
                ))
            });
            match page.and_then(|page| check(pid, page)) {
                Ok(page) => return Ok(Target { pid, page }),
                Err(why) => refusal = Some(why),
            }
        }
        Err(refusal.unwrap_or_else(|| if runs_on_it(&maps) { no_page(thread) } else { Refusal::NotOurs }))
    }

    /// Returns the last reading, with its time. Returns `None` if there is none yet.
    pub fn reading(&self) -> Option<(Reading, Taken)> {
        let mut reading = Reading::new();
        let taken = view::reading(&self.page, reading.words_mut())?;
        Some((reading, taken))
    }

    /// Asks for a fresh reading, and waits at most `timeout` for it. A process gives none while its threads neither
    /// allocate nor free.
    pub fn want_fresh(&self, timeout: Duration) {
        // An error is dropped: without the right to ask, the last reading is the best there is.
        let _ = self.ask(REFRESH_WANTED_AT, REFRESH_ANSWERED_AT, timeout);
    }

    /// Asks for free memory to be given back to Linux, and waits at most `timeout` for it. Returns the number of bytes
    /// given back, or `None` if no thread of the process has done it in time. Returns an error if the process may not
    /// be asked.
    pub fn want_release(&self, timeout: Duration) -> io::Result<Option<u64>> {
        let before = view::word(&self.page, RELEASED_AT).unwrap_or_default();
        let done = self.ask(RELEASE_WANTED_AT, RELEASE_ANSWERED_AT, timeout)?;
        let after = view::word(&self.page, RELEASED_AT).unwrap_or_default();
        Ok(done.then(|| after.wrapping_sub(before)))
    }

    /// Adds one to a control word, and waits at most `timeout` until the answer on the page has caught up. Returns
    /// whether it has.
    fn ask(&self, word: usize, answer: usize, timeout: Duration) -> io::Result<bool> {
        let inode = view::word(&self.page, CONTROL_INODE_AT).ok_or(io::ErrorKind::NotFound)?;
        let wanted = Control::open(readable(self.pid), inode)?.add(word)?;
        let since = Instant::now();
        let is_done = || {
            // Other commands may ask too. So the answer may be past this request.
            view::word(&self.page, answer).is_some_and(|answered| answered.wrapping_sub(wanted).cast_signed() >= 0)
        };
        while !is_done() {
            if since.elapsed() >= timeout || has_ended(self.pid) {
                return Ok(is_done());
            }
            std::thread::sleep(POLL);
        }
        Ok(true)
    }

    /// Returns the mappings that the process lists as the allocator's, sorted by address, and the number of bytes that
    /// are not listed. Returns `None` if the list changes all the time.
    pub fn mappings(&self) -> Option<(Vec<Mapping>, u64)> {
        // On the heap: the array is too large for a small stack.
        let all = vec![Mapping { start: 0, end: 0, what: 0 }; LIST];
        let mut all: Box<[Mapping; LIST]> = all.into_boxed_slice().try_into().ok()?;
        let (len, unlisted) = view::mappings(&self.page, &mut all)?;
        let mut mappings = all[..len].to_vec();
        mappings.sort();
        Some((mappings, unlisted))
    }

    /// Returns the list's count of changes.
    pub fn list_changes(&self) -> u64 {
        view::word(&self.page, LIST_CHANGES_AT).unwrap_or(0)
    }

    /// Returns the addresses of the allocator's structures in the process.
    pub fn offsets(&self) -> [u64; OFFSETS] {
        let mut offsets = [0; OFFSETS];
        self.page.read(OFFSETS_AT, &mut offsets);
        offsets
    }
}

/// Returns the value of a line of `/proc/PID/status`.
pub fn status(pid: i32, name: &str) -> Option<String> {
    let text = fs::read_to_string(of(pid, "status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// Returns the effective user of a process.
pub fn user(pid: i32) -> Option<u32> {
    status(pid, "Uid")?.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the reason for an error at reading a file of a process.
fn refused(pid: i32, error: &io::Error) -> Refusal {
    // SAFETY: the call only returns a number.
    let own = unsafe { libc::geteuid() };
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => Refusal::Gone,
        _ if user(pid).is_some_and(|user| user != own) => Refusal::OtherUser,
        _ => Refusal::Closed,
    }
}

/// Returns the number of a thread that the process's memory and descriptors can be read through, by its files in
/// `/proc`. This is the first thread, with the process's number, until it exits and its files become empty. Then it is
/// another thread. Returns `pid` if no thread runs.
pub fn readable(pid: i32) -> i32 {
    if has_exited(pid) { other_thread(pid).unwrap_or(pid) } else { pid }
}

/// Returns a thread of the process that has not exited, if there is one.
fn other_thread(pid: i32) -> Option<i32> {
    let threads = fs::read_dir(of(pid, "task")).ok()?;
    let mut numbers = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|&thread| !has_exited(thread))
}

/// Returns whether a thread has exited: it is a zombie or gone.
fn has_exited(thread: i32) -> bool {
    status(thread, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// Returns whether a process has ended: it is gone, or a zombie without a running thread.
pub fn has_ended(pid: i32) -> bool {
    has_exited(pid) && other_thread(pid).is_none()
}

/// Returns whether the mappings include the shared object: then a process without a page runs on Crossfoot all the
/// same.
fn runs_on_it(maps: &[Map]) -> bool {
    maps.iter().any(|map| map.name.ends_with("/libcrossfoot.so"))
}

/// Returns a likely reason why a process on Crossfoot has no page. The process is read through its thread `pid`.
fn no_page(pid: i32) -> Refusal {
    let environment = fs::read(of(pid, "environ")).unwrap_or_default();
    let mut variables = environment.split(|&b| b == 0);
    let options = variables.find_map(|line| line.strip_prefix(b"CROSSFOOT=")).unwrap_or_default();
    let is_off = options.split(|&b| b == b',').any(|option| option == b"stats_page:off");
    let limits = fs::read_to_string(of(pid, "limits")).unwrap_or_default();
    let limit = |name: &str| -> Option<u64> {
        limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let files = limit("Max open files").filter(|&files| files < page::NUMBERS_NEEDED);
    let size = limit("Max file size").filter(|&size| size < SIZE as u64);
    Refusal::NoPage(if is_off {
        "it was started with the option stats_page:off".into()
    } else if let Some(files) = files {
        format!("it may have {files} files open (ulimit -n)")
    } else if let Some(size) = size {
        format!("its files may have {size} bytes (ulimit -f)")
    } else if status(pid, "Seccomp").is_some_and(|mode| mode != "0") {
        "it has not allocated yet, or a filter of system calls refused it one (memfd_create)".into()
    } else {
        "it has not allocated yet, or had no descriptor or memory left for one".into()
    })
}

/// Returns the page if it is a stats page of this process, in this command's version.
fn check(pid: i32, page: Page) -> Result<Page, Refusal> {
    let head = Head::read(&page).ok_or(Refusal::Gone)?;
    // Checked before the version: the magic number and the process have the same place in all versions.
    if head.get(MAGIC_AT) != MAGIC {
        return Err(Refusal::NotOurs);
    }
    // The number that the process has for itself, in its innermost PID namespace.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_maps_is_understood() {
        let line =
            "7f0a4886c000-7f0a4887c000 rw-s 00000000 00:01 65587                      /memfd:crossfoot-stats (deleted)";
        let page = map(line).unwrap();
        assert_eq!((page.inode, page.rights.as_str()), (65587, "rw-s"));
        assert!(page::is_page(&page.name));
        assert_eq!(page.end - page.start, SIZE as u64);
        assert_eq!(map("c000000000-c000400000 rw-p 00000000 00:00 0 ").unwrap().name, "");
        assert_eq!(map("broken"), None);
    }
}
