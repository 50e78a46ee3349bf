//! Reads the facts of an ELF file that decide whether Crossfoot can be preloaded into it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, Sym as _};
use object::{Endianness, StringTable, elf::FileHeader32, elf::FileHeader64};

/// The kind of machine that a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abi {
    /// 32 or 64.
    bits: u8,
    /// True for little-endian.
    little: bool,
    /// `e_machine`.
    machine: elf::Machine,
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-bit ", self.bits)?;
        if !self.little {
            f.write_str("big-endian ")?;
        }
        match self.machine {
            elf::EM_386 => f.write_str("i386"),
            elf::EM_X86_64 => f.write_str("x86-64"),
            elf::EM_ARM => f.write_str("ARM"),
            elf::EM_AARCH64 => f.write_str("AArch64"),
            elf::EM_RISCV => f.write_str("RISC-V"),
            elf::EM_PPC64 => f.write_str("PowerPC"),
            elf::EM_S390 => f.write_str("S/390"),
            other => write!(f, "machine {}", other.0),
        }
    }
}

/// The facts of a program or a shared object that are checked before the program is executed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its kind of machine.
    pub abi: Abi,
    /// True for a program or a shared object, false for an object file or a core dump.
    pub loadable: bool,
    /// The loader that it names (`PT_INTERP`). `None` for a static program, and for a loader.
    pub loader: Option<Vec<u8>>,
    /// Its own name as a shared object (`DT_SONAME`).
    pub soname: Option<Vec<u8>>,
    /// The names of the shared objects that it needs (`DT_NEEDED`).
    pub needed: Vec<Vec<u8>>,
    /// Whether its dynamic symbols include a definition of `malloc`.
    pub defines_malloc: bool,
}

/// Returns the facts of a file. Returns `Ok(None)` if it is not a valid ELF file.
pub fn read(path: &Path) -> io::Result<Option<Facts>> {
    let file = File::open(path)?;
    let mapped = Mapped::new(&file)?;
    Ok(facts(mapped.bytes()))
}

/// Returns the facts of an ELF file from its bytes. Returns `None` if they are not a valid ELF file.
fn facts(bytes: &[u8]) -> Option<Facts> {
    match object::FileKind::parse(bytes).ok()? {
        object::FileKind::Elf32 => facts_of(FileHeader32::<Endianness>::parse(bytes).ok()?, bytes),
        object::FileKind::Elf64 => facts_of(FileHeader64::<Endianness>::parse(bytes).ok()?, bytes),
        _ => None,
    }
}

/// Returns the facts of an ELF file of either width.
fn facts_of<Elf: FileHeader<Endian = Endianness>>(header: &Elf, bytes: &[u8]) -> Option<Facts> {
    let endian = header.endian().ok()?;
    let abi = Abi {
        bits: if header.is_class_64() { 64 } else { 32 },
        little: header.is_little_endian(),
        machine: header.e_machine(endian),
    };
    let segments = header.program_headers(endian, bytes).ok()?;
    let loadable = matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN);
    let loader = segments.iter().find_map(|segment| segment.interpreter(endian, bytes).ok()?.map(<[u8]>::to_vec));
    let mut facts = Facts { abi, loadable, loader, soname: None, needed: Vec::new(), defines_malloc: false };

    // Names are read from the dynamic segment, as the loader reads them: a program may be stripped of its sections.
    let dynamic = segments.iter().find_map(|segment| segment.dynamic(endian, bytes).ok()?).unwrap_or_default();
    let value = |tag| dynamic.iter().find(|d| d.tag(endian) == tag).map(|d| d.val(endian));
    let at = |address: u64| {
        segments.iter().find_map(|segment| {
            let start: u64 = segment.p_vaddr(endian).into();
            if segment.p_type(endian) != elf::PT_LOAD {
                return None;
            }
            let inside = usize::try_from(address.checked_sub(start)?).ok()?;
            segment.data(endian, bytes).ok()?.get(inside..)
        })
    };
    let strings = value(elf::DT_STRTAB).zip(value(elf::DT_STRSZ)).and_then(|(table, size)| {
        let bytes = at(table)?;
        Some(StringTable::new(bytes, 0, size.min(bytes.len() as u64)))
    });
    let strings = strings.unwrap_or_default();
    let name = |offset: u64| strings.get(u32::try_from(offset).ok()?).ok().map(<[u8]>::to_vec);
    facts.soname = value(elf::DT_SONAME).and_then(name);
    facts.needed = dynamic
        .iter()
        .take_while(|d| d.tag(endian) != elf::DT_NULL)
        .filter(|d| d.tag(endian) == elf::DT_NEEDED)
        .filter_map(|d| name(d.val(endian)))
        .collect();

    // The symbol table does not give its own length. The hash table beside it does.
    let count = match (value(elf::DT_HASH).and_then(at), value(elf::DT_GNU_HASH).and_then(at)) {
        (Some(table), _) => {
            object::read::elf::HashTable::<Elf>::parse(endian, table).ok().map(|t| t.symbol_table_length())
        }
        (None, Some(table)) => object::read::elf::GnuHashTable::<Elf>::parse(endian, table)
            .ok()
            .and_then(|t| t.symbol_table_length(endian)),
        (None, None) => None,
    };
    if let Some((table, count)) = value(elf::DT_SYMTAB).and_then(at).zip(count)
        && let Ok((symbols, _)) = object::pod::slice_from_bytes::<Elf::Sym>(table, count as usize)
    {
        facts.defines_malloc = symbols.iter().any(|symbol| {
            symbol.st_shndx(endian) != elf::SHN_UNDEF && symbol.name(endian, strings) == Ok(&b"malloc"[..])
        });
    }
    Some(facts)
}

/// A file mapped for reading. Only the pages that are read are loaded, so a large program costs little.
struct Mapped {
    start: *mut libc::c_void,
    len: usize,
}

impl Mapped {
    fn new(file: &File) -> io::Result<Mapped> {
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if len == 0 {
            return Ok(Mapped { start: std::ptr::null_mut(), len });
        }
        // SAFETY: a new mapping, at an address that Linux chooses.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapped { start, len }) }
    }

    /// Returns the bytes of the file.
    fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `len` bytes are mapped for reading as long as `self` lives. A program file that is truncated or
        // rewritten at this moment can end this command by `SIGBUS`, or give it mixed bytes; the loader would fare the
        // same.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: the mapping made in `new`; the slices of it borrow `self`.
            unsafe { libc::munmap(self.start, self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_understood() {
        let facts = read(Path::new("/proc/self/exe")).unwrap().unwrap();
        assert!(facts.loadable && facts.loader.is_some() && !facts.defines_malloc);
        assert!(facts.needed.iter().any(|name| name.starts_with(b"libc.so")), "{facts:?}");
    }

    #[test]
    fn a_libc_defines_malloc_and_has_a_name() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc =
            maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"));
        let facts = read(Path::new(libc.expect("a dynamic test program"))).unwrap().unwrap();
        assert!(facts.defines_malloc);
        assert!(facts.soname.unwrap().starts_with(b"libc.so"));
    }

    #[test]
    fn damaged_files_are_no_elf_files_or_say_little() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        for len in (0..4096).chain((4096..whole.len()).step_by(whole.len() / 64)) {
            let _ = facts(&whole[..len]);
        }
        // Each of the first 1,024 bytes, which hold the headers, is damaged in turn.
        let mut damaged = whole[..whole.len().min(1 << 20)].to_vec();
        for at in 0..1024 {
            let was = damaged[at];
            for bad in [0, 0x7f, 0xff] {
                damaged[at] = bad;
                let _ = facts(&damaged);
            }
            damaged[at] = was;
        }
        assert_eq!(facts(b"#!/bin/sh\n"), None);
        assert_eq!(facts(b""), None);
    }
}
