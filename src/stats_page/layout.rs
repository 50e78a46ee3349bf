//! Where everything is on a ledger page: words of eight bytes, in the machine's order of bytes.
//!
//! `docs/stats-page.md` shows [`TABLE`]; a test keeps it true.

/// The first word of every ledger page.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"crossfot");
/// The version of this layout.
pub const VERSION: u64 = 2;
/// How many bytes a ledger page has. A reader takes only mappings of this size for one.
pub const SIZE: usize = 64 * 1024;
/// How many words.
pub const WORDS: usize = SIZE / size_of::<u64>();

macro_rules! words {
    ($table:ident: $($name:ident, $at:expr, $len:expr, $help:literal;)+) => {
        $(#[doc = $help] pub const $name: usize = $at;)+
        /// Every part in order: its name, the index of its first word, how many it has, what they say.
        pub const $table: &[(&str, usize, usize, &str)] = &[$((stringify!($name), $at, $len, $help)),+];
    };
}

words! {
    TABLE:
    MAGIC_AT, 0, 1, "`crossfot`: eight letters. Written last.";
    VERSION_AT, 1, 1, "The version of this layout: 2.";
    SIZE_AT, 2, 1, "How many bytes the page has.";
    FORMAT_AT, 3, 1, "A hash of what the words of a reading mean: a reader of another build of Crossfoot knows it by this.";
    PROCESS_AT, 4, 1, "The process, as it calls itself: its number in its own PID namespace.";
    MADE_AT, 5, 1, "When the page was made: nanoseconds of `CLOCK_MONOTONIC`.";
    MADE_TICKS_AT, 6, 1, "The same by the CPU's time-stamp counter.";
    IMAGES_AT, 7, 1, "How many programs have had the page, one after the other by `exec`: 1, but where it was handed over.";
    READING_WORDS_AT, 8, 1, "How many words a reading has.";
    BEGUN_AT, 9, 1, "How many readings were begun to be written.";
    COMPLETE_AT, 10, 1, "How many are complete. The last one is the copy of this number's lowest bit.";
    SPENT_AT, 11, 1, "Ticks of the time-stamp counter that slow paths have spent with writing readings.";
    SPENT_READINGS_AT, 12, 1, "How many readings that were.";
    LIST_CHANGES_AT, 13, 1, "The list's sequence: odd while it is being changed.";
    LIST_LENGTH_AT, 14, 1, "How many entries the list of mappings has.";
    UNLISTED_AT, 15, 1, "Bytes of mappings for which the list had no room.";
    CONTROL_INODE_AT, 16, 1, "The inode of the file with this page's control words.";
    REFRESH_ANSWERED_AT, 17, 1, "What `refresh_wanted` said when the last reading was begun.";
    RELEASED_AT, 18, 1, "Bytes that were given back to the system because `release_wanted` said so.";
    RELEASE_ANSWERED_AT, 19, 1, "What `release_wanted` said when that was last done.";
    PROCESS_WORD_AT, 20, 1, "Which word of a reading is the process's number.";
    ENDING_AT, 21, 1, "What the process did at its exit: 1: it wrote the report; 2: it checked its books, or said that it could not.";
    NAME_AT, 22, NAME, "Of a page that was handed over: the name of the program that has it, as Linux had it at the program's first allocation; ends with zero.";
    OFFSETS_AT, 64, OFFSETS, "Where things are in the process, for an audit; 0: nothing said.";
    LIST_AT, 128, 3 * LIST, "The list of mappings: first byte, first byte behind, what it is for.";
    COPIES_AT, 4608, 2 * COPY, "Two copies of the reading, written by turns.";
}

words! {
    CONTROL_TABLE:
    CONTROL_MAGIC_AT, 0, 1, "`crossctl`: eight letters.";
    REFRESH_WANTED_AT, 1, 1, "A reader adds one to ask for a fresh reading.";
    RELEASE_WANTED_AT, 2, 1, "A reader adds one to have free memory given back to the system.";
}

/// The first word of every file with control words.
pub const CONTROL_MAGIC: u64 = u64::from_ne_bytes(*b"crossctl");
/// How many control words there are. Their file has a physical page.
pub const CONTROL_WORDS: usize = 8;

/// In [`ENDING_AT`]: the exit report was written.
pub const REPORTED: u64 = 1;
/// In [`ENDING_AT`]: the books were checked, or a line said that they could not be.
pub const CHECK_TOLD: u64 = 2;

/// How many words a program's name has: Linux keeps 15 bytes of it.
pub const NAME: usize = 2;
/// How many places there are.
pub const OFFSETS: usize = 64;
/// How many entries the list of mappings has room for.
pub const LIST: usize = 1493;
/// How many words one copy of a reading has room for.
pub const COPY: usize = 1024;

/// In a copy: when its snapshot was taken, in nanoseconds of `CLOCK_MONOTONIC`.
pub const TAKEN: usize = 0;
/// In a copy: which of the programs that have had the page wrote it, from 1.
pub const IMAGE: usize = 1;
/// In a copy: the first word of the reading.
pub const READING: usize = 8;
/// The most words that a reading may have.
pub const READING_MAX: usize = COPY - READING;

/// What a mapping is for.
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
    /// Stacks that are no spans.
    Stacks = 6,
    /// Buckets of the profiler.
    Profile = 7,
    /// Buffers of the tracer.
    Trace = 8,
    /// The ledger page.
    StatsPage = 9,
    /// An isolated heap, with everything that it has.
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

    /// By its number on the page.
    pub fn of(number: u64) -> Option<MappingKind> {
        MappingKind::ALL.into_iter().find(|&what| what as u64 == number)
    }

    /// What it is called.
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

/// A part of a hash of what a reading's words mean: FNV-1a.
pub const fn hash(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Where a hash begins.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
