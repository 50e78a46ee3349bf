//! glibc's functions for statistics and tuning: `mallinfo`, `malloc_stats`, `malloc_info`, `malloc_trim`, `mallopt`.
//!
//! All of them are defined here, because a call that fell through to glibc would start glibc's own allocator beside
//! this one. The figures come from one snapshot of the statistics. `docs/c-surface.md` explains each field.

use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};

use crossfoot::arch;
use crossfoot::os::Identity;
use crossfoot::process;
use crossfoot::report::Line;
use crossfoot::size_class::{CLASSES, Class};
use crossfoot::stats::{Account, Snapshot, Total};

use crate::names::EINVAL;

/// glibc's `struct mallinfo2`, and with `c_int` its `struct mallinfo`.
#[repr(C)]
pub struct Info<T> {
    arena: T,
    ordblks: T,
    smblks: T,
    hblks: T,
    hblkhd: T,
    usmblks: T,
    fsmblks: T,
    uordblks: T,
    fordblks: T,
    keepcost: T,
}

/// The figures that these functions report, from one snapshot. They are bytes, except for the counts.
struct Figures {
    /// Address space of the page heap.
    space: usize,
    /// Of that, the bytes with memory.
    ready: usize,
    /// The number of live large objects, and the bytes of their pages.
    large: usize,
    large_bytes: usize,
    /// Small objects, live or in transit to their owner.
    small_bytes: usize,
    /// The number of free slots for small objects in spans, in total and by class.
    vacant: usize,
    vacant_of: [i64; CLASSES],
    /// Free pages with memory.
    free_pages: usize,
}

/// Runs `f` on the system stack, because a snapshot needs some KiB of stack. Drains the thread's inbox first, which
/// cannot be done there: on the system stack nothing may be freed.
fn on_system_stack<R>(f: impl FnOnce() -> R) -> R {
    process::exchange();
    process::on_system_stack(f)
}

impl Figures {
    /// Reads the figures, from any stack.
    fn read() -> Figures {
        on_system_stack(Figures::read_in_place)
    }

    /// Reads the figures on the system stack.
    fn read_in_place() -> Figures {
        let mut books = Snapshot::new();
        // Before the first allocation there is no answer, and all figures are zero.
        let _ = process::read_posted(&mut books);
        let bytes = |n: i64| usize::try_from(n).unwrap_or(0);
        let account = |account| bytes(books.account(account));
        let (used, free) = (account(Account::HeapInUse), account(Account::HeapFree));
        let large_bytes = bytes(books.large_bytes());
        Figures {
            space: used + free + account(Account::HeapReleased),
            ready: used + free,
            large: bytes(books.total(Total::LargeAllocs) - books.total(Total::LargeFrees)),
            large_bytes,
            small_bytes: bytes(books.live_bytes()).saturating_sub(large_bytes),
            vacant: books.classes().map(|(_, class)| bytes(class.vacant)).sum(),
            vacant_of: books.classes().fold([0; CLASSES], |mut all, (class, of_class)| {
                all[class.index()] = of_class.vacant;
                all
            }),
            free_pages: free,
        }
    }

    /// Returns the memory of small objects and free pages: the part that glibc would have in its arenas.
    fn arena(&self) -> usize {
        self.ready.saturating_sub(self.large_bytes)
    }

    /// Returns the fields, each converted by `number`.
    fn info<T: Copy>(&self, number: impl Fn(usize) -> T) -> Info<T> {
        Info {
            arena: number(self.arena()),
            ordblks: number(self.vacant),
            smblks: number(0),
            hblks: number(self.large),
            hblkhd: number(self.large_bytes),
            usmblks: number(0),
            fsmblks: number(0),
            uordblks: number(self.small_bytes),
            fordblks: number(self.arena().saturating_sub(self.small_bytes)),
            keepcost: number(self.free_pages),
        }
    }
}

/// glibc's `mallinfo2`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> Info<usize> {
    on_system_stack(|| Figures::read_in_place().info(|n| n))
}

/// glibc's `mallinfo`: [`mallinfo2`] with fields of type `int`. A number that does not fit becomes `INT_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> Info<c_int> {
    on_system_stack(|| Figures::read_in_place().info(|n| c_int::try_from(n).unwrap_or(c_int::MAX)))
}

/// glibc's `malloc_stats`: prints the totals to standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    on_system_stack(print_stats);
}

fn print_stats() {
    let figures = Figures::read_in_place();
    let mut text = Line::new();
    // The buffer has room for twice as much.
    let _ = write!(
        text,
        "Arena 0:\nsystem bytes     = {:10}\nin use bytes     = {:10}\nTotal (incl. mmap):\n\
         system bytes     = {:10}\nin use bytes     = {:10}\nmax mmap regions = {:10}\nmax mmap bytes   = {:10}\n",
        figures.arena(),
        figures.small_bytes,
        figures.ready,
        figures.small_bytes + figures.large_bytes,
        figures.large,
        figures.large_bytes,
    );
    process::ALLOCATOR.os().print(text.bytes());
}

/// A `FILE` of the libc, as a writer.
struct Stream {
    write: unsafe extern "C" fn(*const u8, usize, usize, *mut c_void) -> usize,
    file: *mut c_void,
}

impl Write for Stream {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: the text is readable, and `file` is an open stream by the promise of the caller of `malloc_info`.
        let written = unsafe { (self.write)(s.as_ptr(), 1, s.len(), self.file) };
        if written == s.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// glibc's `malloc_info`: writes the free slots by size, and the totals, as XML. Returns 0, or `EINVAL` if `options` is
/// not 0 or the process has no `fwrite`.
///
/// # Safety
/// `file` is an open stream of the libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, file: *mut c_void) -> c_int {
    let write = arch::fwrite();
    if options != 0 || write.is_null() {
        return EINVAL;
    }
    // SAFETY: the symbol is the libc's function of this type.
    let write = unsafe {
        core::mem::transmute::<*const c_void, unsafe extern "C" fn(*const u8, usize, usize, *mut c_void) -> usize>(
            write,
        )
    };
    // An error is dropped: the stream keeps it for `ferror`.
    let _ = describe(&mut Stream { write, file }, &Figures::read());
    0
}

/// Writes the whole XML document.
fn describe(out: &mut Stream, figures: &Figures) -> fmt::Result {
    out.write_str("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n")?;
    let mut from = 1;
    for (class, &count) in Class::all().zip(&figures.vacant_of) {
        let to = class.size();
        if count > 0 {
            let total = count * to as i64;
            writeln!(out, "  <size from=\"{from}\" to=\"{to}\" total=\"{total}\" count=\"{count}\"/>")?;
        }
        from = to + 1;
    }
    out.write_str("</sizes>\n")?;
    totals(out, figures)?;
    system(out, figures)?;
    out.write_str("</heap>\n")?;
    totals(out, figures)?;
    writeln!(out, "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>", figures.large, figures.large_bytes)?;
    system(out, figures)?;
    out.write_str("</malloc>\n")
}

/// Writes the totals of free memory.
fn totals(out: &mut Stream, figures: &Figures) -> fmt::Result {
    let free = figures.arena().saturating_sub(figures.small_bytes);
    out.write_str("<total type=\"fast\" count=\"0\" size=\"0\"/>\n")?;
    writeln!(out, "<total type=\"rest\" count=\"{}\" size=\"{free}\"/>", figures.vacant)
}

/// Writes the totals from the OS.
fn system(out: &mut Stream, figures: &Figures) -> fmt::Result {
    writeln!(out, "<system type=\"current\" size=\"{}\"/>", figures.arena())?;
    writeln!(out, "<system type=\"max\" size=\"{}\"/>", figures.space)?;
    writeln!(out, "<aspace type=\"total\" size=\"{}\"/>", figures.space)?;
    writeln!(out, "<aspace type=\"mprotect\" size=\"{}\"/>", figures.space)
}

/// glibc's `malloc_trim`: gives free pages back to Linux, except for `pad` bytes. Returns 1 if any were given back,
/// else 0.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(pad: usize) -> c_int {
    c_int::from(process::release_free_above(pad))
}

/// Parameters of [`mallopt`], from `malloc.h`.
const M_MXFAST: c_int = 1;
const M_KEEP: c_int = 4;
const M_TRIM_THRESHOLD: c_int = -1;
const M_PERTURB: c_int = -6;
const M_ARENA_MAX: c_int = -8;
/// The largest value of `M_MXFAST` that glibc takes.
const MXFAST: usize = 160;

/// glibc's `mallopt`. Returns 1 for parameters that tune glibc's allocator, which have no effect here. Returns 0 for
/// values that glibc refuses, for a request to fill memory, and for unknown parameters.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    c_int::from(match parameter {
        M_MXFAST => value as usize <= MXFAST,
        M_PERTURB => value == 0,
        M_ARENA_MAX..=M_TRIM_THRESHOLD | M_MXFAST..=M_KEEP => true,
        _ => false,
    })
}
