//! A stats page for a process that is about to be started: `run` makes it, the allocator in the process takes it over,
//! and `run` reads it after the process has ended.
//!
//! The descriptors stay open across `exec`. So a program that the process becomes takes the page over too, and raises
//! the count of images. A program that does not run on Crossfoot shows only by the name of the process.
//!
//! Children of the process do not use the page. A forked child closes the descriptors and makes a page of its own. A
//! child that was created in another way finds another process's number in the page, and closes them.

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

/// A stats page, for the process that is started with it.
pub struct HandOver {
    page: File,
    control: File,
    words: Words,
}

impl HandOver {
    /// Makes a page that belongs to no process yet. Returns an error if Linux refuses it: then the process is started
    /// without a page.
    pub fn new() -> io::Result<HandOver> {
        // SAFETY: the call only returns a number.
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

    /// Returns the option that tells the allocator the page's descriptors, for the variable `CROSSFOOT`.
    pub fn option(&self) -> (&'static str, String) {
        ("stats_page", format!("{}/{}", self.page.as_raw_fd(), self.control.as_raw_fd()))
    }

    /// Makes the page the calling process's, and keeps the descriptors open across `exec`. The process that becomes the
    /// program calls this just before `exec`. Allocates nothing.
    pub fn claim(&self) {
        // SAFETY: plain calls about this process and its own descriptors.
        unsafe {
            self.words.words()[PROCESS_AT].store(libc::getpid() as u64, Ordering::Relaxed);
            for file in [&self.page, &self.control] {
                libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0);
            }
        }
    }

    /// Returns the last reading, with its time and its image, also after the process has ended. Returns `None` if the
    /// process wrote none.
    pub fn reading(&self) -> Option<(Reading, Taken)> {
        let mut reading = Reading::new();
        let taken = view::reading(&self.words, reading.words_mut())?;
        Some((reading, taken))
    }

    /// Returns the flags of what the process did at its exit: the word [`ENDING_AT`].
    pub fn ending(&self) -> u64 {
        self.words.words()[ENDING_AT].load(Ordering::Relaxed)
    }

    /// Returns the name of the last program that took the page over, as Linux had it then. Empty if none did.
    pub fn name(&self) -> Vec<u8> {
        let words = self.words.words().iter().skip(NAME_AT).take(NAME);
        words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).take_while(|&byte| byte != 0).collect()
    }

    /// Returns how many programs took the page over: the process became one after the other, by `exec`. 0 means that
    /// none ran on Crossfoot, or that none allocated.
    pub fn images(&self) -> u64 {
        self.words.words()[IMAGES_AT].load(Ordering::Relaxed)
    }
}

/// Creates a memory file of a fixed size, under a descriptor number above those that programs choose.
fn file(name: &CStr, size: usize) -> io::Result<File> {
    let checked = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: the calls create descriptors, which this function owns, and write only to `limit`.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        checked(libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit))?;
        if limit.rlim_cur < size as libc::rlim_t {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        let made = match libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL) {
            // Linux before 6.3 does not know the flag.
            -1 => libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING),
            made => made,
        };
        let low = OwnedFd::from_raw_fd(checked(made)?);
        let raised = FROM.into_iter().map(|from| libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, from));
        let number = raised.into_iter().find(|&number| number >= 0).unwrap_or(-1);
        let file = File::from(OwnedFd::from_raw_fd(checked(number)?));
        file.set_len(size as u64)?;
        // Not sealed against writing: a program that the process becomes by `exec` maps it for writing again.
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        checked(libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_page_has_no_reading_and_no_image() {
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
