//! The figures of each mapping in `/proc/PID/smaps`.

use super::request::Request;
use super::residency::Residency;
use crate::os::{OsError, Process};

/// The memory of the process that is not the allocator's, and the whole process. In bytes, except `mappings`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Outside {
    /// Resident: programs, libraries and other files.
    pub files: u64,
    /// Resident: memory obtained by `brk`.
    pub brk: u64,
    /// Resident: the stack of the first thread.
    pub stack: u64,
    /// Resident: other mappings without a file, such as other threads' stacks. Includes what Linux merged into one
    /// mapping with the allocator's.
    pub anonymous: u64,
    /// Resident: mappings made by Linux itself, and shared memory.
    pub other: u64,
    /// Resident: the process (Rss).
    pub process: u64,
    /// The proportional set size (Pss): each page divided by the number of processes that map it.
    pub proportional: u64,
    /// In swap.
    pub swapped: u64,
    /// In huge pages without a file.
    pub huge: u64,
    /// Resident until Linux needs the memory (`MADV_FREE`).
    pub lazily_freed: u64,
    /// The number of mappings.
    pub mappings: u64,
}

/// The maximum number of ranges that may have huge pages. Ranges beyond it are treated as not eligible.
const HUGE: usize = 128;

/// The ranges that may have huge pages, in ascending order.
pub(super) type MayBeHuge = heapless::Vec<(usize, usize), HUGE>;

/// The content of `smaps`.
#[derive(Default)]
pub(super) struct Mappings {
    /// Resident bytes of mappings that are the allocator's, as a whole or in part.
    pub(super) resident: u64,
    /// The bytes of `resident` that lie outside the allocator's ranges.
    pub(super) foreign: u64,
    pub(super) outside: Outside,
    /// The allocator's mappings that may have huge pages.
    pub(super) may_be_huge: MayBeHuge,
}

/// A mapping, while its lines are read.
#[derive(Clone, Copy)]
struct Mapping {
    start: usize,
    end: usize,
    origin: Origin,
    resident: u64,
    /// Whether it may have huge pages.
    may_be_huge: bool,
}

/// The category of memory that is not the allocator's.
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
    fn bytes(&mut self, origin: Origin) -> &mut u64 {
        match origin {
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
            } else if is_eligible(line) {
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
            *self.outside.bytes(mapping.origin) += mapping.resident;
            return Ok(());
        }
        if mapping.may_be_huge {
            self.note_huge(mapping);
        }
        self.resident += mapping.resident;
        if mapping.resident > 0 {
            let all = Residency::of(process, mapping.start, mapping.end)?.resident;
            self.foreign += all.saturating_sub(own);
            *self.outside.bytes(mapping.origin) += all.saturating_sub(own);
        }
        Ok(())
    }
}

/// Returns whether a line says that the mapping is eligible for huge pages.
fn is_eligible(line: &[u8]) -> bool {
    line.strip_prefix(b"THPeligible:").is_some_and(|value| value.trim_ascii() == b"1")
}

/// Parses the first line of a mapping: `START-END rwxp OFFSET DEVICE INODE NAME`.
fn header(line: &[u8]) -> Option<Mapping> {
    let mut words = line.splitn(6, |&b| b == b' ');
    let range = core::str::from_utf8(words.next()?).ok()?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let name = words.nth(4).unwrap_or_default().trim_ascii();
    Some(Mapping { start, end, origin: Origin::of(name), resident: 0, may_be_huge: false })
}

/// Parses a figure: `NAME: 12 kB`.
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
        assert!(matches!(m.origin, Origin::Other));
        assert!(matches!(header(b"10-20 rw-p 00000000 00:00 0 ").unwrap().origin, Origin::Anonymous));
        assert!(matches!(header(b"10-20 rw-p 00000000 00:00 0                   [heap]").unwrap().origin, Origin::Brk));
        assert!(matches!(header(b"10-20 r-xp 00000000 08:01 77    /usr/lib/a b.so").unwrap().origin, Origin::Files));
        assert!(header(b"Rss:                  12 kB").is_none());
        assert_eq!(figure(b"Rss:                  12 kB"), Some((&b"Rss"[..], 12 * 1024)));
        assert_eq!(figure(b"VmFlags: rd wr mr mw me ac"), None);
        assert!(
            is_eligible(b"THPeligible:           1")
                && !is_eligible(b"THPeligible:    0")
                && !is_eligible(b"Rss: 1 kB")
        );
    }
}
