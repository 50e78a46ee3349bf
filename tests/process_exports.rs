//! The dynamic symbols of the shared object: its name, no needed object, and exactly the names of `linker/exports.txt`.
//! A superfluous name would shadow a function of the program; an undefined name that is not weak would prevent loading
//! where no object defines it.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSymbol};

/// The content of the dynamic section and the dynamic symbols.
struct Dynamic {
    soname: Vec<String>,
    needed: Vec<String>,
    exports: BTreeSet<String>,
    /// Undefined names that are not weak.
    demands: BTreeSet<String>,
}

fn dynamic(path: &Path) -> Dynamic {
    let bytes = std::fs::read(path).expect("the shared object was built");
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("a 64-bit ELF file");
    assert!(file.elf_header().e_type(file.endian()) == elf::ET_DYN, "not a shared object");
    let table = file.elf_dynamic_table().expect("a dynamic section");
    let strings = |tag| {
        let entries = table.iter().filter(move |entry| entry.tag == tag);
        entries.map(|entry| common::text(table.string(entry).expect("a string"))).collect()
    };
    let name = |symbol: object::read::elf::ElfSymbol64<'_, '_, Endianness>| symbol.name().expect("a name").to_owned();
    let symbols = || file.dynamic_symbols();
    Dynamic {
        soname: strings(elf::DT_SONAME),
        needed: strings(elf::DT_NEEDED),
        exports: symbols().filter(|symbol| symbol.is_definition() && symbol.is_global()).map(name).collect(),
        demands: symbols().filter(|symbol| symbol.is_undefined() && !symbol.is_weak()).map(name).collect(),
    }
}

/// Returns the names of the list.
fn listed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(common::root().join("linker/exports.txt")).expect("the list is there");
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// Returns the names that only one side has.
fn difference(exports: &BTreeSet<String>, listed: &BTreeSet<String>) -> Vec<String> {
    let extra = exports.difference(listed).map(|name| format!("{name} is exported and not in linker/exports.txt"));
    let missing = listed.difference(exports).map(|name| format!("{name} is in linker/exports.txt and not exported"));
    extra.chain(missing).collect()
}

#[test]
fn the_shared_object_exports_what_is_listed_and_needs_nothing() {
    let dynamic = dynamic(&common::artifacts().so);
    assert_eq!(dynamic.soname, ["libcrossfoot.so.0"]);
    assert_eq!(dynamic.needed, [""; 0], "NEEDED");
    // The null symbol, which every table may begin with, has no name.
    let demands: Vec<_> = dynamic.demands.iter().filter(|name| !name.is_empty()).collect();
    assert!(demands.is_empty(), "names of others that are not weak: {demands:?}");
    let found = difference(&dynamic.exports, &listed());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The names of the libc that are exported here: every function by which a program reaches its allocator, and `dlopen`,
/// whose libraries might otherwise bypass it.
const LIBC: [&str; 29] = [
    "_Exit",
    "_exit",
    "__libc_calloc",
    "__libc_free",
    "__libc_mallinfo",
    "__libc_malloc",
    "__libc_memalign",
    "__libc_pvalloc",
    "__libc_realloc",
    "__libc_valloc",
    "aligned_alloc",
    "calloc",
    "cfree",
    "dlopen",
    "free",
    "mallinfo",
    "mallinfo2",
    "malloc",
    "malloc_info",
    "malloc_stats",
    "malloc_trim",
    "malloc_usable_size",
    "mallopt",
    "memalign",
    "posix_memalign",
    "pvalloc",
    "realloc",
    "reallocarray",
    "valloc",
];

/// Returns the path of this test's libc.
fn libc() -> Option<std::path::PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.ends_with("/libc.so.6"));
    if path.is_none() {
        common::skipped("glibc");
    }
    path.map(Into::into)
}

#[test]
fn of_the_libc_the_allocator_is_replaced_and_nothing_else() {
    let Some(libc) = libc() else { return };
    let theirs = dynamic(&libc).exports;
    assert!(theirs.contains("printf") && theirs.contains("malloc"), "{} has no names", libc.display());
    let shared: BTreeSet<String> = theirs.intersection(&dynamic(&common::artifacts().so).exports).cloned().collect();
    let allocator = LIBC.iter().map(|&name| name.to_owned()).collect();
    // A libc may lack some; none may be missing here that it has, and nothing else may be shadowed.
    let shadowed: Vec<_> = shared.difference(&allocator).collect();
    assert!(shadowed.is_empty(), "functions of the libc that would be replaced: {shadowed:?}");
    let missing: Vec<_> = theirs.intersection(&allocator).filter(|name| !shared.contains(*name)).collect();
    assert!(missing.is_empty(), "functions of the libc's allocator that would be called: {missing:?}");
    let others: Vec<_> =
        theirs.iter().filter(|name| name.starts_with("malloc") && !allocator.contains(*name)).collect();
    assert!(others.is_empty(), "functions of the libc's allocator that are not known here: {others:?}");
}

#[test]
fn a_difference_is_found_both_ways() {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(
        difference(&set(&["free", "malloc", "valloc"]), &set(&["calloc", "free", "malloc"])),
        ["valloc is exported and not in linker/exports.txt", "calloc is in linker/exports.txt and not exported"]
    );
}
