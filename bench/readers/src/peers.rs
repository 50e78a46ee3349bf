//! The allocators that have C functions to read their statistics by. All are looked up by name: the program links
//! none of them.

use anyhow::{Context, Result, bail, ensure};
use libc::{c_char, c_int, c_uint, c_void, size_t};
use readers::session::{Method, Session, Task, measure as measure_methods};
use std::{
    ffi::{CStr, CString},
    fs, mem, ptr,
};

/// The names on the command line.
pub const NAMES: &[&str] = &["jemalloc", "mimalloc", "glibc"];

/// Statistics of jemalloc: totals of the process, and sums over all arenas (4096 is `MALLCTL_ARENAS_ALL`).
const STATISTICS: [&str; 20] = [
    "stats.allocated",
    "stats.active",
    "stats.metadata",
    "stats.metadata_thp",
    "stats.resident",
    "stats.mapped",
    "stats.retained",
    "stats.zero_reallocs",
    "stats.arenas.4096.pactive",
    "stats.arenas.4096.pdirty",
    "stats.arenas.4096.base",
    "stats.arenas.4096.internal",
    "stats.arenas.4096.small.allocated",
    "stats.arenas.4096.small.nmalloc",
    "stats.arenas.4096.small.ndalloc",
    "stats.arenas.4096.small.nrequests",
    "stats.arenas.4096.large.allocated",
    "stats.arenas.4096.large.nmalloc",
    "stats.arenas.4096.large.ndalloc",
    "stats.arenas.4096.large.nrequests",
];
/// Parts of the longest of these names.
const PARTS: usize = 5;
/// The name of the one way to read jemalloc's.
const EPOCH: &str = "epoch, then 20 × mallctlbymib";
/// The names of mimalloc's two.
const MERGE: &str = "mi_stats_merge + mi_process_info";
const PRINT: &str = "mi_stats_print_out to nobody";

type Mallctl = unsafe extern "C" fn(*const c_char, *mut c_void, *mut size_t, *mut c_void, size_t) -> c_int;
type NameToMib = unsafe extern "C" fn(*const c_char, *mut size_t, *mut size_t) -> c_int;
type ByMib = unsafe extern "C" fn(*const size_t, size_t, *mut c_void, *mut size_t, *mut c_void, size_t) -> c_int;
type Merge = unsafe extern "C" fn();
type ProcessInfo = unsafe extern "C" fn(
    *mut size_t,
    *mut size_t,
    *mut size_t,
    *mut size_t,
    *mut size_t,
    *mut size_t,
    *mut size_t,
    *mut size_t,
);
type Output = unsafe extern "C" fn(*const c_char, *mut c_void);
type PrintOut = unsafe extern "C" fn(Option<Output>, *mut c_void);
type Version = unsafe extern "C" fn() -> c_int;
type Mallinfo2 = unsafe extern "C" fn() -> libc::mallinfo2;

/// Measures this allocator.
pub fn measure(allocator: &str, task: &Task) -> Result<Session> {
    match allocator {
        "jemalloc" => jemalloc(task),
        "mimalloc" => mimalloc(task),
        "glibc" => glibc(task),
        other => bail!("no allocator is called {other}"),
    }
}

/// The symbol of this name in the process, if there is one.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name is a C string; asking for a symbol has no effect.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The function of this name.
///
/// # Safety
/// `F` is the type of the C functions of this name.
unsafe fn function<F: Copy>(name: &CStr) -> Result<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "a pointer to a function") };
    let found = symbol(name).with_context(|| format!("the process has no {}", name.to_string_lossy()))?;
    // SAFETY: of the same size; the caller's promise.
    Ok(unsafe { mem::transmute_copy::<*mut c_void, F>(&found) })
}

/// The file that the function of this name comes from.
fn provider(name: &CStr) -> Result<String> {
    let found = symbol(name).with_context(|| format!("the process has no {}", name.to_string_lossy()))?;
    // SAFETY: all-zero is a valid value of this structure of pointers.
    let mut place: libc::Dl_info = unsafe { mem::zeroed() };
    // SAFETY: the out pointer is valid for the call.
    let known = unsafe { libc::dladdr(found, &raw mut place) };
    ensure!(known != 0 && !place.dli_fname.is_null(), "nobody knows where {} comes from", name.to_string_lossy());
    // SAFETY: the linker's name of a loaded object is a C string that stays.
    let path = unsafe { CStr::from_ptr(place.dli_fname) }.to_string_lossy().into_owned();
    Ok(fs::canonicalize(&path).map_or(path, |path| path.display().to_string()))
}

/// Makes sure that the threads' memory comes from the object whose statistics are read.
fn require_same(reader: &CStr) -> Result<()> {
    let (malloc, reader) = (provider(c"malloc")?, provider(reader)?);
    ensure!(malloc == reader, "not active: malloc comes from {malloc}");
    Ok(())
}

/// jemalloc's `mallctlbymib` with the numbers of one name.
struct Statistic {
    mib: [size_t; PARTS],
    parts: size_t,
}

impl Statistic {
    fn find(lookup: NameToMib, name: &str) -> Result<Statistic> {
        let text = CString::new(name)?;
        let mut found = Statistic { mib: [0; PARTS], parts: PARTS };
        // SAFETY: the name is a C string, the array as long as the second out value says.
        let code = unsafe { lookup(text.as_ptr(), found.mib.as_mut_ptr(), &raw mut found.parts) };
        ensure!(code == 0, "mallctlnametomib of {name}: error {code}");
        Ok(found)
    }

    /// Reads it; all of these are eight bytes long.
    #[inline]
    fn read(&self, by_mib: ByMib) -> Option<u64> {
        let mut value = 0_u64;
        let mut length = size_of::<u64>();
        // SAFETY: the numbers are as `find` got them; value and length are valid for the call.
        let code = unsafe {
            by_mib(self.mib.as_ptr(), self.parts, (&raw mut value).cast(), &raw mut length, ptr::null_mut(), 0)
        };
        (code == 0 && length == size_of::<u64>()).then_some(value)
    }

    /// Writes it.
    #[inline]
    fn write(&self, by_mib: ByMib, mut value: u64) -> bool {
        // SAFETY: as in `read`; the new value is valid for the call and has the size that is named.
        let code = unsafe {
            by_mib(
                self.mib.as_ptr(),
                self.parts,
                ptr::null_mut(),
                ptr::null_mut(),
                (&raw mut value).cast(),
                size_of::<u64>(),
            )
        };
        code == 0
    }
}

fn jemalloc(task: &Task) -> Result<Session> {
    // SAFETY: jemalloc.h's types of these names, which nobody else exports.
    let (control, lookup, by_mib) = unsafe {
        (
            function::<Mallctl>(c"mallctl")?,
            function::<NameToMib>(c"mallctlnametomib")?,
            function::<ByMib>(c"mallctlbymib")?,
        )
    };
    require_same(c"mallctl")?;
    let version = jemalloc_text(control, c"version")?;
    let epoch = Statistic::find(lookup, "epoch")?;
    let found: Result<Vec<Statistic>> = STATISTICS.iter().map(|name| Statistic::find(lookup, name)).collect();
    let statistics = found?;
    let arenas = Statistic::find(lookup, "arenas.narenas")?;
    let mut values = [0_u64; STATISTICS.len()];
    let mut read = move || {
        let mut complete = epoch.write(by_mib, 1);
        for (value, statistic) in values.iter_mut().zip(&statistics) {
            match statistic.read(by_mib) {
                Some(read) => *value = read,
                None => complete = false,
            }
        }
        std::hint::black_box(&values);
        complete && values[0] > 0
    };
    ensure!(read(), "a statistic cannot be read");
    let mut session = measure_methods(task, version, &mut [Method::new(EPOCH, read)], || ());
    let count = arena_count(&arenas, by_mib)?;
    session.notes.push(format!("arenas.narenas is {count}, as by default"));
    Ok(session)
}

/// A text among jemalloc's names.
fn jemalloc_text(control: Mallctl, name: &CStr) -> Result<String> {
    let mut text: *const c_char = ptr::null();
    let mut length = size_of_val(&text);
    // SAFETY: the name is a C string; the out values are valid, and the text's name gives a pointer.
    let code = unsafe { control(name.as_ptr(), (&raw mut text).cast(), &raw mut length, ptr::null_mut(), 0) };
    ensure!(code == 0 && !text.is_null(), "mallctl of {}: error {code}", name.to_string_lossy());
    // SAFETY: jemalloc's texts are constants.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// `arenas.narenas`, which is an `unsigned`.
fn arena_count(arenas: &Statistic, by_mib: ByMib) -> Result<c_uint> {
    let mut count: c_uint = 0;
    let mut length = size_of_val(&count);
    // SAFETY: the numbers are as `find` got them; count and length are valid for the call.
    let code = unsafe {
        by_mib(arenas.mib.as_ptr(), arenas.parts, (&raw mut count).cast(), &raw mut length, ptr::null_mut(), 0)
    };
    ensure!(code == 0, "mallctlbymib of arenas.narenas: error {code}");
    Ok(count)
}

/// Takes what mimalloc would print.
unsafe extern "C" fn nobody(_text: *const c_char, _argument: *mut c_void) {}

fn mimalloc(task: &Task) -> Result<Session> {
    // SAFETY: mimalloc.h's types of these names, which nobody else exports.
    let (version, merge, info, print) = unsafe {
        (
            function::<Version>(c"mi_version")?,
            function::<Merge>(c"mi_stats_merge"),
            function::<ProcessInfo>(c"mi_process_info"),
            function::<PrintOut>(c"mi_stats_print_out"),
        )
    };
    require_same(c"mi_version")?;
    // SAFETY: takes nothing.
    let version = unsafe { version() };
    let version = format!("{}.{}.{}", version / 100, version / 10 % 10, version % 10);
    let mut methods = Vec::new();
    let mut lacking = Vec::new();
    match merge.and_then(|merge| Ok((merge, info?))) {
        Ok((merge, info)) => methods.push(Method::new(MERGE, move || read_process_info(merge, info))),
        Err(error) => lacking.push((MERGE, error)),
    }
    match print {
        Ok(print) => methods.push(Method::new(PRINT, move || {
            // SAFETY: the callback may be called with anything.
            unsafe { print(Some(nobody), ptr::null_mut()) };
            true
        })),
        Err(error) => lacking.push((PRINT, error)),
    }
    let mut session = measure_methods(task, version, &mut methods, || ());
    for (name, error) in lacking {
        session.lacks(name, format!("{error:#}"));
    }
    session.notes.push("a release build keeps few statistics, and merges only those of the calling thread".to_owned());
    Ok(session)
}

fn read_process_info(merge: Merge, info: ProcessInfo) -> bool {
    let mut values = [0_usize; 8];
    let [a, b, c, d, e, f, g, h] = &mut values;
    // SAFETY: takes nothing; the out pointers are valid for the call.
    unsafe {
        merge();
        info(a, b, c, d, e, f, g, h);
    }
    std::hint::black_box(&values);
    // The sixth is what is committed.
    values[5] > 0
}

fn glibc(task: &Task) -> Result<Session> {
    // SAFETY: malloc.h's type of this name.
    let mallinfo = unsafe { function::<Mallinfo2>(c"mallinfo2")? };
    require_same(c"mallinfo2")?;
    // SAFETY: the function takes nothing and gives a static C string.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy().into_owned();
    let method = Method::new("mallinfo2", move || {
        // SAFETY: takes nothing.
        let info = std::hint::black_box(unsafe { mallinfo() });
        info.uordblks > 0
    });
    let mut session = measure_methods(task, version, &mut [method], || ());
    session.notes.push("an arena for each thread, but 8 per processor at most, as by default".to_owned());
    Ok(session)
}
