//! The layout of a stats page: words of eight bytes, in the machine's byte order.
//!
//! `docs/stats-page.md` shows [`TABLE`]; a test compares them.

/// The first word of every stats page.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"crossfot");
/// The version of this layout.
pub const VERSION: u64 = 2;
/// The size of a stats page in bytes. A reader considers only mappings of this size.
pub const SIZE: usize = 64 * 1024;
/// The number of words.
pub const WORDS: usize = SIZE / size_of::<u64>();

macro_rules! words {
    ($table:ident: $($name:ident, $at:expr, $len:expr, $help:literal;)+) => {
        $(#[doc = $help] pub const $name: usize = $at;)+
        /// Every part in order: its name, the index of its first word, its number of words, its meaning.
        pub const $table: &[(&str, usize, usize, &str)] = &[$((stringify!($name), $at, $len, $help)),+];
    };
}

words! {
    TABLE:
    MAGIC_AT, 0, 1, "`crossfot`: eight letters. Written last.";
    VERSION_AT, 1, 1, "The version of this layout: 2.";
    SIZE_AT, 2, 1, "The size of the page in bytes.";
    FORMAT_AT, 3, 1, "A hash of the meaning of a reading's words. A reader of another build of Crossfoot finds another value.";
    PROCESS_AT, 4, 1, "The process id, in the process's own PID namespace.";
    MADE_AT, 5, 1, "When the page was made, in nanoseconds of `CLOCK_MONOTONIC`.";
    MADE_TICKS_AT, 6, 1, "The same time, in ticks of the CPU's time-stamp counter.";
    IMAGES_AT, 7, 1, "The number of programs that have had the page, one after the other by `exec`. 1 unless the page was passed on.";
    READING_WORDS_AT, 8, 1, "The number of words of a reading.";
    BEGUN_AT, 9, 1, "The number of readings started.";
    COMPLETE_AT, 10, 1, "The number of readings completed. Its lowest bit is the index of the copy with the last one.";
    SPENT_AT, 11, 1, "Ticks of the time-stamp counter that slow paths spent on writing readings.";
    SPENT_READINGS_AT, 12, 1, "The number of those readings.";
    LIST_CHANGES_AT, 13, 1, "The sequence of the list: odd while the list is being changed.";
    LIST_LENGTH_AT, 14, 1, "The number of entries of the list of mappings.";
    UNLISTED_AT, 15, 1, "Bytes of mappings that did not fit into the list.";
    CONTROL_INODE_AT, 16, 1, "The inode of the file with this page's control words.";
    REFRESH_ANSWERED_AT, 17, 1, "The value of `refresh_wanted` when the last reading was started.";
    RELEASED_AT, 18, 1, "Bytes returned to the OS at the request of `release_wanted`.";
    RELEASE_ANSWERED_AT, 19, 1, "The value of `release_wanted` when the last release was made.";
    PROCESS_WORD_AT, 20, 1, "The index of the reading's word with the process id.";
    ENDING_AT, 21, 1, "What the process did at its exit, as bits: 1: it wrote the report; 2: it checked its books, or reported that it could not.";
    NAME_AT, 22, NAME, "If the page was passed on: the program's name (`comm`) at its first allocation; ends with zero.";
    OFFSETS_AT, 64, OFFSETS, "Addresses and offsets of the allocator's structures, for an audit; 0 if not set.";
    LIST_AT, 128, 3 * LIST, "The list of mappings: first byte, byte after the last, use.";
    COPIES_AT, 4608, 2 * COPY, "Two copies of the reading, written alternately.";
}

words! {
    CONTROL_TABLE:
    CONTROL_MAGIC_AT, 0, 1, "`crossctl`: eight letters.";
    REFRESH_WANTED_AT, 1, 1, "A reader adds one to request a new reading.";
    RELEASE_WANTED_AT, 2, 1, "A reader adds one to request that free memory is returned to the OS.";
}

/// The first word of every file with control words.
pub const CONTROL_MAGIC: u64 = u64::from_ne_bytes(*b"crossctl");
/// The number of control words. Their file has the size of a physical page.
pub const CONTROL_WORDS: usize = 8;

/// A bit of [`ENDING_AT`]: the exit report was written.
pub const REPORTED: u64 = 1;
/// A bit of [`ENDING_AT`]: the books were checked, or a line reported that they could not be.
pub const CHECK_TOLD: u64 = 2;

/// The number of words of a program's name: Linux keeps 15 bytes of it.
pub const NAME: usize = 2;
/// The number of offsets.
pub const OFFSETS: usize = 64;
/// The capacity of the list of mappings, in entries.
pub const LIST: usize = 1493;
/// The number of words of one copy of a reading.
pub const COPY: usize = 1024;

/// The index in a copy of the time of its snapshot, in nanoseconds of `CLOCK_MONOTONIC`.
pub const TAKEN: usize = 0;
/// The index in a copy of the number of the program that wrote it, from 1.
pub const IMAGE: usize = 1;
/// The index in a copy of the first word of the reading.
pub const READING: usize = 8;
/// The maximum number of words of a reading.
pub const READING_MAX: usize = COPY - READING;

/// The use of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum MappingKind {
    /// Arenas of the page heap: objects, free pages, and address space not used yet.
    Heap = 1,
    /// Span records.
    Spans = 2,
    /// Caches.
    Caches = 3,
    /// Page bitmaps and summaries, and other records.
    Tables = 4,
    /// The page map.
    PageMap = 5,
    /// Stacks that are not spans.
    Stacks = 6,
    /// Buckets of a profiler.
    Profile = 7,
    /// Buffers of a tracer.
    Trace = 8,
    /// The stats page.
    StatsPage = 9,
    /// An isolated heap, with all its structures.
    Isolated = 10,
}

impl MappingKind {
    /// Every use of a mapping.
    pub const ALL: [MappingKind; 10] = [
        MappingKind::Heap,
        MappingKind::Spans,
        MappingKind::Caches,
        MappingKind::Tables,
        MappingKind::PageMap,
        MappingKind::Stacks,
        MappingKind::Profile,
        MappingKind::Trace,
        MappingKind::StatsPage,
        MappingKind::Isolated,
    ];

    /// Returns the kind with this number on the page.
    pub fn of(number: u64) -> Option<MappingKind> {
        MappingKind::ALL.into_iter().find(|&what| what as u64 == number)
    }

    /// Returns the name of the kind.
    pub const fn name(self) -> &'static str {
        match self {
            MappingKind::Heap => "heap",
            MappingKind::Spans => "span records",
            MappingKind::Caches => "caches",
            MappingKind::Tables => "page tables",
            MappingKind::PageMap => "page map",
            MappingKind::Stacks => "stacks",
            MappingKind::Profile => "profile",
            MappingKind::Trace => "trace",
            MappingKind::StatsPage => "ledger",
            MappingKind::Isolated => "isolated heap",
        }
    }
}

const _: () = assert!(NAME_AT + NAME <= OFFSETS_AT && OFFSETS_AT + OFFSETS <= LIST_AT, "the head fits");
const _: () = assert!(LIST_AT + 3 * LIST <= COPIES_AT && COPIES_AT + 2 * COPY <= WORDS, "the page holds everything");

/// Continues an FNV-1a hash of the meaning of a reading's words.
pub const fn hash(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// The initial value of a hash.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The format of a reading's words, given when a page is made.
#[derive(Clone, Copy)]
pub struct Format {
    /// The number of words.
    pub words: usize,
    /// A hash of the meaning of the words.
    pub hash: u64,
    /// The index of the word with the process id.
    pub process: usize,
}

/// Returns the first word of the copy of reading `number`.
pub(super) const fn copy_of(number: u64) -> usize {
    COPIES_AT + COPY * (number % 2) as usize
}
