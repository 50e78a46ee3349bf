//! A process's ledger page, attached as any other program could.

use std::sync::atomic::{AtomicU64, Ordering};

use crossfoot::ledger::layout::{LIST, PROCESS_AT, WORDS};
use crossfoot::ledger::view::{self, Head, Mapping, Source, Taken};
use crossfoot::metrics::{FORMAT, Reading};

/// The page, for reading and writing.
pub struct Attached(*const AtomicU64);

impl Attached {
    /// A process's page. Others' may be attached there as well.
    pub fn of(pid: i32) -> Attached {
        let pages = super::segments(pid).into_iter().map(|number| Attached::by(&number));
        pages.into_iter().find(|page| page.word(PROCESS_AT) == pid as u64).expect("it has a page")
    }

    fn by(number: &str) -> Attached {
        let number: libc::c_int = number.parse().expect("a number");
        // SAFETY: a new mapping, at an address of the system's choice.
        let start = unsafe { libc::shmat(number, std::ptr::null(), 0) };
        assert_ne!(start.addr(), usize::MAX, "{}", std::io::Error::last_os_error());
        let page = Attached(start.cast_const().cast());
        let head = Head::read(&page).expect("it can be read");
        assert_eq!(head.check(FORMAT), Ok(()));
        page
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: a segment of this size stays attached until this is dropped.
        unsafe { std::slice::from_raw_parts(self.0, WORDS) }
    }

    /// A word.
    pub fn word(&self, at: usize) -> u64 {
        self.words()[at].load(Ordering::Relaxed)
    }

    /// Adds one to a control word.
    pub fn ask(&self, at: usize) {
        self.words()[at].fetch_add(1, Ordering::Relaxed);
    }

    /// The last reading.
    pub fn reading(&self) -> Option<(Reading, Taken)> {
        let mut reading = Reading::new();
        let taken = view::reading(self, reading.words_mut())?;
        Some((reading, taken))
    }

    /// The list of mappings by address, and how many bytes are not in it.
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
        // SAFETY: attached in `of`; what was borrowed from it borrows this.
        unsafe { libc::shmdt(self.0.cast()) };
    }
}
