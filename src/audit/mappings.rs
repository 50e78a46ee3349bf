//! What the system says of each mapping.

use super::Request;
use super::residency::Residency;
use crate::os::{OsError, Process};

/// What is not the allocator's, and the process as a whole. Bytes, but for counts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Outside {
    /// In memory: programs, libraries and other files.
    pub files: u64,
    /// In memory: what `brk` gave.
    pub brk: u64,
    /// In memory: the stack of the first thread.
    pub stack: u64,
    /// In memory: other mappings without a file, stacks of other threads among them, and what the system made one mapping
    /// of with the allocator's.
    pub anonymous: u64,
    /// In memory: what the kernel maps for itself, and shared memory.
    pub other: u64,
    /// In memory: the process.
    pub process: u64,
    /// The same without what others share: each page by how many processes map it.
    pub proportional: u64,
    /// In swap.
    pub swapped: u64,
    /// In huge pages that have no file.
    pub huge: u64,
    /// In memory until the system wants it (`MADV_FREE`).
    pub lazily_freed: u64,
    /// How many mappings there are.
    pub mappings: u64,
}

/// How many ranges that may have huge pages are kept apart. Those beyond are taken for ones that may not.
const HUGE: usize = 128;

/// Request that may have huge pages, ascending.
pub(super) type MayBeHuge = heapless::Vec<(usize, usize), HUGE>;

/// One reading of `smaps`.
#[derive(Default)]
pub(super) struct Mappings {
    /// In memory, of the mappings that are the allocator's, or in part.
    pub(super) resident: u64,
    /// Of that, what lies outside the allocator's ranges.
    pub(super) foreign: u64,
    pub(super) outside: Outside,
    /// Which of the allocator's mappings may have huge pages.
    pub(super) may_be_huge: MayBeHuge,
}

/// A mapping, while its lines are read.
#[derive(Clone, Copy)]
struct Mapping {
    start: usize,
    end: usize,
    place: Origin,
    resident: u64,
    /// Whether it may have huge pages.
    may_be_huge: bool,
}

/// Where memory that is not the allocator's is counted.
#[derive(Clone, Copy)]
enum Origin {
    Files,
    Brk,
    Stack,
    Anonymous,
    Other,
}

impl Origin {
    fn of(name: &[u8]) -> Origin {
        match name {
            b"" => Origin::Anonymous,
            b"[heap]" => Origin::Brk,
            b"[stack]" => Origin::Stack,
            _ if name.starts_with(b"[anon") => Origin::Anonymous,
            _ if name.starts_with(b"/SYSV") || name.starts_with(b"/memfd:") || name.starts_with(b"/dev/zero") => {
                Origin::Other
            }
            _ if name.starts_with(b"/") => Origin::Files,
            _ => Origin::Other,
        }
    }
}

impl Outside {
    fn place(&mut self, place: Origin) -> &mut u64 {
        match place {
            Origin::Files => &mut self.files,
            Origin::Brk => &mut self.brk,
            Origin::Stack => &mut self.stack,
            Origin::Anonymous => &mut self.anonymous,
            Origin::Other => &mut self.other,
        }
    }
}

impl Mappings {
    pub(super) fn of(process: &Process, request: &impl Request) -> Result<Mappings, OsError> {
        let (mut seen, mut current, mut failed) = (Mappings::default(), None, None);
        process.each_line("smaps", |line| {
            if let Some(next) = header(line) {
                if let Some(done) = current.replace(next)
                    && let Err(e) = seen.add(process, &done, request)
                {
                    failed = Some(e);
                }
                seen.outside.mappings += 1;
            } else if says_huge(line) {
                current.iter_mut().for_each(|mapping| mapping.may_be_huge = true);
            } else if let (Some(mapping), Some((name, bytes))) = (&mut current, figure(line)) {
                let outside = &mut seen.outside;
                match name {
                    b"Rss" => mapping.resident = bytes,
                    b"Pss" => outside.proportional += bytes,
                    b"Swap" => outside.swapped += bytes,
                    b"AnonHugePages" => outside.huge += bytes,
                    b"LazyFree" => outside.lazily_freed += bytes,
                    _ => {}
                }
            }
        })?;
        if let Some(last) = current {
            seen.add(process, &last, request)?;
        }
        failed.map_or(Ok(seen), Err)
    }

    fn note_huge(&mut self, mapping: &Mapping) {
        match self.may_be_huge.last_mut() {
            Some(last) if last.1 == mapping.start => last.1 = mapping.end,
            _ => {
                let _ = self.may_be_huge.push((mapping.start, mapping.end));
            }
        }
    }

    fn add(&mut self, process: &Process, mapping: &Mapping, request: &impl Request) -> Result<(), OsError> {
        self.outside.process += mapping.resident;
        let (mut own, mut is_own) = (0, false);
        for range in (0..).map_while(|i| request.range(i)) {
            let (start, end) = (range.start.max(mapping.start), range.end.min(mapping.end));
            if start < end {
                is_own = true;
                if mapping.resident > 0 {
                    own += Residency::of(process, start, end)?.resident;
                }
            }
        }
        if !is_own {
            *self.outside.place(mapping.place) += mapping.resident;
            return Ok(());
        }
        if mapping.may_be_huge {
            self.note_huge(mapping);
        }
        self.resident += mapping.resident;
        if mapping.resident > 0 {
            let all = Residency::of(process, mapping.start, mapping.end)?.resident;
            self.foreign += all.saturating_sub(own);
            *self.outside.place(mapping.place) += all.saturating_sub(own);
        }
        Ok(())
    }
}

/// Whether a line says that the mapping may have huge pages.
fn says_huge(line: &[u8]) -> bool {
    line.strip_prefix(b"THPeligible:").is_some_and(|value| value.trim_ascii() == b"1")
}

/// Reads the first line of a mapping: `START-END rwxp OFFSET DEVICE INODE NAME`.
fn header(line: &[u8]) -> Option<Mapping> {
    let mut words = line.splitn(6, |&b| b == b' ');
    let range = core::str::from_utf8(words.next()?).ok()?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let name = words.nth(4).unwrap_or_default().trim_ascii();
    Some(Mapping { start, end, place: Origin::of(name), resident: 0, may_be_huge: false })
}

/// Reads a figure: `NAME: 12 kB`.
fn figure(line: &[u8]) -> Option<(&[u8], u64)> {
    let colon = line.iter().position(|&b| b == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let number = rest.get(1..)?.trim_ascii().strip_suffix(b" kB")?;
    Some((name, core::str::from_utf8(number).ok()?.trim().parse::<u64>().ok()? * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_smaps_are_understood() {
        let m = header(b"7f00-7f10 rw-p 00000000 00:01 32770                      /SYSV00000000 (deleted)").unwrap();
        assert_eq!((m.start, m.end), (0x7f00, 0x7f10));
        assert!(matches!(m.place, Origin::Other));
        assert!(matches!(header(b"10-20 rw-p 00000000 00:00 0 ").unwrap().place, Origin::Anonymous));
        assert!(matches!(header(b"10-20 rw-p 00000000 00:00 0                   [heap]").unwrap().place, Origin::Brk));
        assert!(matches!(header(b"10-20 r-xp 00000000 08:01 77    /usr/lib/a b.so").unwrap().place, Origin::Files));
        assert!(header(b"Rss:                  12 kB").is_none());
        assert_eq!(figure(b"Rss:                  12 kB"), Some((&b"Rss"[..], 12 * 1024)));
        assert_eq!(figure(b"VmFlags: rd wr mr mw me ac"), None);
        assert!(says_huge(b"THPeligible:           1") && !says_huge(b"THPeligible:    0") && !says_huge(b"Rss: 1 kB"));
    }
}
