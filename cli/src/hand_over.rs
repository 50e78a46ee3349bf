//! A stats page for a process that is about to be started: made here, taken over there, read here when it has ended.
//!
//! The descriptors stay open across `exec`, so a program that the process becomes takes the page over too, and the count of
//! images says so; of a program that does not run on Crossfoot, only the name of the process says so. Children of the process get no part of it: one that is forked closes the descriptors and makes a page of
//! its own, and one that is started past that sees that the page is another process's, and closes them.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

use crossfoot::metrics::{FORMAT, Reading};
use crossfoot::os::shared::{CONTROL_NAME, FROM, PAGE_NAME};
use crossfoot::stats_page::layout::{
    CONTROL_MAGIC, CONTROL_MAGIC_AT, CONTROL_WORDS, ENDING_AT, IMAGES_AT, NAME, NAME_AT, PROCESS_AT, SIZE, WORDS,
};
use crossfoot::stats_page::view::{self, Taken};
use crossfoot::stats_page::write_head;

use crate::page::Words;

/// A page that nobody has yet, or that the process has which was started with it.
pub struct HandOver {
    page: File,
    control: File,
    words: Words,
}

impl HandOver {
    /// Makes a page, of a process that is not known yet. An error: the system refuses it, and the process can be started
    /// without.
    pub fn new() -> io::Result<HandOver> {
        // SAFETY: it only answers.
        let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let (page, control) = (file(PAGE_NAME, SIZE)?, file(CONTROL_NAME, page_size as usize)?);
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let words = Words::map(&page, SIZE, true).ok_or_else(invalid)?;
        let control_words = Words::map(&control, CONTROL_WORDS * size_of::<u64>(), true).ok_or_else(invalid)?;
        control_words.words()[CONTROL_MAGIC_AT].store(CONTROL_MAGIC, Ordering::Relaxed);
        let head = words.words().first_chunk::<WORDS>().ok_or_else(invalid)?;
        write_head(head, FORMAT, 0, control.metadata()?.ino());
        Ok(HandOver { page, control, words })
    }

    /// The option by which the allocator is told, for the variable `CROSSFOOT`.
    pub fn option(&self) -> (&'static str, String) {
        ("stats_page", format!("{}/{}", self.page.as_raw_fd(), self.control.as_raw_fd()))
    }

    /// In the process that is going to have the page, between `fork` and `exec`: makes it this process's, and has the
    /// descriptors stay open across `exec`. Allocates nothing.
    pub fn claim(&self) {
        // SAFETY: plain calls about this process and its own descriptors.
        unsafe {
            self.words.words()[PROCESS_AT].store(libc::getpid() as u64, Ordering::Relaxed);
            for file in [&self.page, &self.control] {
                libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0);
            }
        }
    }

    /// The last reading, and when it was taken and by which image: also when the process has ended. `None`: it wrote none.
    pub fn reading(&self) -> Option<(Reading, Taken)> {
        let mut reading = Reading::new();
        let taken = view::reading(&self.words, reading.words_mut())?;
        Some((reading, taken))
    }

    /// What the process did at its exit: [`ENDING_AT`].
    pub fn ending(&self) -> u64 {
        self.words.words()[ENDING_AT].load(Ordering::Relaxed)
    }

    /// Returns the name of the last program that took the page over, as Linux had it then. Empty if none did.
    pub fn name(&self) -> Vec<u8> {
        let words = self.words.words().iter().skip(NAME_AT).take(NAME);
        words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).take_while(|&byte| byte != 0).collect()
    }

    /// How many programs the process was, one after the other by `exec`, that took the page over. 0: none did, because none
    /// ran on Crossfoot, or none allocated.
    pub fn images(&self) -> u64 {
        self.words.words()[IMAGES_AT].load(Ordering::Relaxed)
    }
}

/// A file in memory of this size, which stays, under a number that is in nobody's way.
fn file(name: &CStr, size: usize) -> io::Result<File> {
    let checked = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: the calls make descriptors, which are this function's alone, and ask for what they are for.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        checked(libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit))?;
        if limit.rlim_cur < size as libc::rlim_t {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        let made = match libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL) {
            // Before Linux 6.3.
            -1 => libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING),
            made => made,
        };
        let low = OwnedFd::from_raw_fd(checked(made)?);
        let raised = FROM.into_iter().map(|from| libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, from));
        let number = raised.into_iter().find(|&number| number >= 0).unwrap_or(-1);
        let file = File::from(OwnedFd::from_raw_fd(checked(number)?));
        file.set_len(size as u64)?;
        // It stays writable: what the process becomes by `exec` has to map it again.
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        checked(libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_nobody_took_over_has_nothing() {
        let page = HandOver::new().expect("the system gives memory");
        assert!(page.reading().is_none());
        assert_eq!(page.images(), 0);
        let (name, value) = page.option();
        let text = format!("{name}:{value}");
        let options = crossfoot::options::Options::parse(text.as_bytes(), |wrong| panic!("{wrong}"));
        let descriptors = [page.page.as_raw_fd(), page.control.as_raw_fd()];
        assert_eq!(options.stats_page, crossfoot::options::StatsPageOption::HandedOver(descriptors));
        assert!(descriptors.iter().all(|&number| number >= FROM[0]));
    }
}
