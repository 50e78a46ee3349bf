//! Files of a process in `/proc`.

use std::path::PathBuf;

/// A line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// The address of the first byte.
    pub start: u64,
    /// The address behind the last byte.
    pub end: u64,
    /// The rights, as `rw-p`.
    pub rights: String,
    /// The file's inode.
    pub inode: u64,
    /// The name of the mapped file. Empty for anonymous memory.
    pub name: String,
}

/// Returns the path of a file of a process, or of one of its threads.
pub fn of(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Parses a line of `/proc/PID/maps`.
pub fn map(line: &str) -> Option<Map> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let (rights, _offset, _device) = (fields.next()?.to_owned(), fields.next()?, fields.next()?);
    let number = |text| u64::from_str_radix(text, 16).ok();
    let inode = fields.next()?.parse().ok()?;
    let name = fields.next().unwrap_or_default().trim_start().to_owned();
    Some(Map { start: number(start)?, end: number(end)?, rights, inode, name })
}
