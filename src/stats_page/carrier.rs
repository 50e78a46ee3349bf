//! The files by which other processes find a page, its control words, and its head.

use core::ptr::{from_ref, null_mut};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use super::layout::*;
use super::page::Page;
use crate::arch;
use crate::os::{Os, Shared, SharedFile};
use crate::units::Addr;

/// The control words. Other processes may write them. Each counts the requests of one kind; a word of the page counts
/// the requests served. Other values have no meaning.
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

/// The files of a page, kept in private memory: what other processes write to the page has no effect here. Written
/// under the boot lock or the lock of the list, or in the child of a fork, which has no other thread.
pub(super) struct Carrier {
    control: AtomicPtr<Control>,
    /// The process that made the page or took it over.
    maker: AtomicI32,
    /// Descriptor, device and inode of the page's file and of the file with control words.
    files: [[AtomicU64; 3]; 2],
}

impl Carrier {
    pub(super) const fn new() -> Carrier {
        let files = [const { [const { AtomicU64::new(0) }; 3] }; 2];
        Carrier { control: AtomicPtr::new(null_mut()), maker: AtomicI32::new(0), files }
    }

    /// Returns the control words, or `None` without a page.
    pub(super) fn control(&self) -> Option<&Control> {
        // SAFETY: the pointer is null, or mapped for as long as the page is.
        unsafe { self.control.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the process that made the page or took it over.
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

    /// Returns the files of `page`, which is the page of the last call of [`Carrier::set`].
    pub(super) fn of(&self, page: &Page) -> Shared {
        let control = self.control.load(Ordering::Relaxed).cast_const();
        let file = |i: usize, addr: Addr| {
            let [descriptor, device, inode] = self.files[i].each_ref().map(|word| word.load(Ordering::Relaxed));
            SharedFile { addr, descriptor: descriptor as i32, device, inode }
        };
        Shared { page: file(0, Addr::of(from_ref(page))), control: file(1, Addr::of(control)) }
    }
}

/// Returns the bytes of the page and of the file with control words.
pub(super) fn sizes<O: Os>(os: &O) -> [usize; 2] {
    [SIZE, os.physical_page_size()]
}

/// Makes a page of `process`, with a head and nothing else.
pub(super) fn make<O: Os>(os: &O, format: Format, process: i32) -> Option<(&'static Page, Shared)> {
    let [page, control] = sizes(os);
    let shared = os.share(page, control)?;
    // SAFETY: the bytes are fresh zeros of these sizes, aligned to physical pages. They stay mapped until the process
    // ends, or until nothing refers to them.
    let (page, control) = unsafe { (shared.page.addr.ptr::<Page>().as_ref()?, shared.control.addr.ptr::<Control>()) };
    // SAFETY: as above.
    unsafe { &*control }.word(CONTROL_MAGIC_AT).store(CONTROL_MAGIC, Ordering::Relaxed);
    page.set(IMAGES_AT, 1);
    write_head(&page.words, format, process, shared.control.inode);
    page.set(MADE_AT, O::now());
    page.set(MADE_TICKS_AT, arch::ticks());
    Some((page, shared))
}

/// Takes over the page that this `process` was started with. Returns `None` if the descriptors have no page for it.
pub(super) fn take_over<O: Os>(
    os: &O,
    format: Format,
    process: i32,
    descriptors: [i32; 2],
) -> Option<(&'static Page, Shared)> {
    let shared = os.take_over(descriptors, sizes(os))?;
    // SAFETY: the bytes have this size and are aligned to physical pages, as above; all of them are words.
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
        // The process that owns the page started this one without a fork through `before_fork`. A program that this one
        // starts must not get the page either.
        os.close_share(&shared);
    }
    // SAFETY: it was mapped above, and no reference to it exists.
    unsafe { os.end_share(&shared, sizes(os)) };
    None
}

/// Marks the page as that of another program, after `exec`. Its last reading stays until the program writes one.
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

/// Writes the head of a fresh page: `words` are zeros, the page belongs to `process`, and its control words are in the
/// file with this inode. Also for a command that passes a page to the process that it starts.
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
    // Release: a reader that sees the magic also sees the rest.
    words[MAGIC_AT].store(MAGIC, Ordering::Release);
}
