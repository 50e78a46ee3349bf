//! What carries a page: the files that other processes find it by, its control words, and its head.

use core::ptr::{from_ref, null_mut};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use super::layout::*;
use super::{Format, Page};
use crate::arch;
use crate::os::{Os, Shared, SharedFile};
use crate::units::Addr;

/// The control words, which other processes may write: each counts how often something was asked for, and is compared with
/// how often that was done. Nothing else that stands there has a meaning.
#[repr(C)]
pub(super) struct Control {
    words: [AtomicU64; CONTROL_WORDS],
}

impl Control {
    pub(super) fn word(&self, i: usize) -> &AtomicU64 {
        &self.words[i]
    }

    pub(super) fn get(&self, i: usize) -> u64 {
        self.words[i].load(Ordering::Relaxed)
    }
}

/// Where a page comes from. This process's own memory: what others write to the page changes nothing here. Written under the
/// boot lock or that of the list, or in a child of a fork that has no other thread.
pub(super) struct Carrier {
    control: AtomicPtr<Control>,
    /// The process that made the page, or took it over.
    maker: AtomicI32,
    /// Descriptor, device and inode of the page's file and of that with control words.
    files: [[AtomicU64; 3]; 2],
}

impl Carrier {
    pub(super) const fn new() -> Carrier {
        let files = [const { [const { AtomicU64::new(0) }; 3] }; 2];
        Carrier { control: AtomicPtr::new(null_mut()), maker: AtomicI32::new(0), files }
    }

    /// The control words of the page. `None`: there is no page.
    pub(super) fn control(&self) -> Option<&Control> {
        // SAFETY: null, or mapped for as long as the page is.
        unsafe { self.control.load(Ordering::Acquire).as_ref() }
    }

    /// The process that made the page, or took it over.
    pub(super) fn maker(&self) -> i32 {
        self.maker.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, shared: &Shared, maker: i32) {
        for (words, file) in self.files.iter().zip([&shared.page, &shared.control]) {
            let values = [file.descriptor as u64, file.device, file.inode];
            words.iter().zip(values).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
        }
        self.maker.store(maker, Ordering::Relaxed);
        self.control.store(shared.control.addr.ptr(), Ordering::Release);
    }

    /// What carries `page`, which is the one that [`Carrier::set`] was called for last.
    pub(super) fn of(&self, page: &Page) -> Shared {
        let control = self.control.load(Ordering::Relaxed).cast_const();
        let file = |i: usize, addr: Addr| {
            let [descriptor, device, inode] = self.files[i].each_ref().map(|word| word.load(Ordering::Relaxed));
            SharedFile { addr, descriptor: descriptor as i32, device, inode }
        };
        Shared { page: file(0, Addr::of(from_ref(page))), control: file(1, Addr::of(control)) }
    }
}

/// How many bytes the page has, and the file with its control words.
pub(super) fn sizes<O: Os>(os: &O) -> [usize; 2] {
    [SIZE, os.physical_page_size()]
}

/// Makes a page that says that it is of this `process`, and nothing else yet.
pub(super) fn make<O: Os>(os: &O, format: Format, process: i32) -> Option<(&'static Page, Shared)> {
    let [page, control] = sizes(os);
    let shared = os.share(page, control)?;
    // SAFETY: fresh zero bytes of these sizes, aligned to physical pages. They stay until the process ends, or until
    // nobody has them any more.
    let (page, control) = unsafe { (shared.page.addr.ptr::<Page>().as_ref()?, shared.control.addr.ptr::<Control>()) };
    // SAFETY: as above.
    unsafe { &*control }.word(CONTROL_MAGIC_AT).store(CONTROL_MAGIC, Ordering::Relaxed);
    page.set(IMAGES_AT, 1);
    write_head(&page.words, format, process, shared.control.inode);
    page.set(MADE_AT, O::now());
    page.set(MADE_TICKS_AT, arch::ticks());
    Some((page, shared))
}

/// Takes over a page that this `process` was started with. `None`: there is none there that this process may have.
pub(super) fn take_over<O: Os>(
    os: &O,
    format: Format,
    process: i32,
    descriptors: [i32; 2],
) -> Option<(&'static Page, Shared)> {
    let shared = os.take_over(descriptors, sizes(os))?;
    // SAFETY: bytes of this size, aligned to physical pages, as above; all of them are words.
    let page = unsafe { shared.page.addr.ptr::<Page>().as_ref()? };
    let expected = [(MAGIC_AT, MAGIC), (VERSION_AT, VERSION), (SIZE_AT, SIZE as u64), (FORMAT_AT, format.hash)];
    let is_one = expected.into_iter().all(|(at, value)| page.get(at) == value)
        && page.get(CONTROL_INODE_AT) == shared.control.inode;
    let is_ours = page.get(PROCESS_AT) == process as u64;
    if is_one && is_ours {
        begin_image(os, page);
        page.set(MADE_AT, O::now());
        page.set(MADE_TICKS_AT, arch::ticks());
        return Some((page, shared));
    }
    if is_one {
        // The process that has it started this one without a fork that we were told of; what this one starts shall not
        // have it either.
        os.close_share(&shared);
    }
    // SAFETY: mapped above, and nobody knows of it.
    unsafe { os.end_share(&shared, sizes(os)) };
    None
}

/// Another program has the page from now on. Its last reading stays until there is another one.
fn begin_image<O: Os>(os: &O, page: &Page) {
    let mut name = [0; NAME * size_of::<u64>()];
    let length = os.command(&mut name).len();
    name.iter_mut().skip(length).for_each(|byte| *byte = 0);
    for (i, bytes) in name.as_chunks().0.iter().enumerate() {
        page.set(NAME_AT + i, u64::from_ne_bytes(*bytes));
    }
    page.set(LIST_CHANGES_AT, 0);
    for at in [LIST_LENGTH_AT, UNLISTED_AT, SPENT_AT, SPENT_READINGS_AT, ENDING_AT] {
        page.set(at, 0);
    }
    (OFFSETS_AT..OFFSETS_AT + OFFSETS).for_each(|at| page.set(at, 0));
    page.set(IMAGES_AT, page.get(IMAGES_AT).wrapping_add(1));
}

/// Writes the head of a fresh page: `words` are zeros, the page's process is `process`, and its control words are in the
/// file with this inode. For a command that hands a page to the process that it starts, too.
pub fn write_head(words: &[AtomicU64; WORDS], format: Format, process: i32, control_inode: u64) {
    debug_assert!(format.words <= READING_MAX);
    let set = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
    set(VERSION_AT, VERSION);
    set(SIZE_AT, SIZE as u64);
    set(FORMAT_AT, format.hash);
    set(PROCESS_AT, process as u64);
    set(READING_WORDS_AT, format.words as u64);
    set(PROCESS_WORD_AT, format.process as u64);
    set(CONTROL_INODE_AT, control_inode);
    // Release: who finds the magic finds the rest.
    words[MAGIC_AT].store(MAGIC, Ordering::Release);
}
