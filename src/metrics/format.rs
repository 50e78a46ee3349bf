//! The format of a reading's words, as one number.

use super::reading::{LOCKS, Reading, WORDS};
use super::table::TABLE;
use crate::os::{CALL_NAMES, CALLS};
use crate::size_class::{CLASSES, Class};
use crate::stats::{ACCOUNTS, Account};
use crate::stats_page::{Format, layout};

/// The format of a reading's words, for readers in another process. The hash covers the version and the names of all
/// metrics, size classes, locks, system calls and accounts.
pub const FORMAT: Format =
    Format { words: WORDS, hash: hash_of_all(), process: core::mem::offset_of!(Reading, pid) / size_of::<u64>() };

const fn hash_of_all() -> u64 {
    let mut hash = layout::hash(layout::HASH_START, env!("CARGO_PKG_VERSION").as_bytes());
    let mut i = 0;
    while i < TABLE.len() {
        hash = TABLE[i].hash_name(hash);
        i += 1;
    }
    i = 0;
    while i < CLASSES {
        hash = layout::hash(hash, &(Class::from_index(i).size() as u64).to_le_bytes());
        i += 1;
    }
    i = 0;
    while i < LOCKS.len() {
        hash = layout::hash(hash, &[LOCKS[i] as u8]);
        i += 1;
    }
    i = 0;
    while i < CALLS {
        hash = layout::hash(hash, CALL_NAMES[i].as_bytes());
        i += 1;
    }
    i = 0;
    while i < ACCOUNTS {
        hash = layout::hash(hash, Account::ALL[i].name().as_bytes());
        i += 1;
    }
    hash
}
