//! Runs one allocation pattern on whichever `malloc` the process has, and says
//! how large the process became.
//!
//! The allocator is chosen from outside, by preloading it; see the `runner`
//! package. Exit code 0 means that the pattern ran and that all contents were
//! found as they were written.

mod heap;
mod job;
mod random;
mod rows;

use heap::fail;
use job::Job;
use std::{
    alloc::System,
    env,
    ffi::{CStr, c_void},
    fs,
    io::{self, Write},
};

/// Collections use the C functions as well, whatever Rust's default is.
#[global_allocator]
static GLOBAL: System = System;

/// How the binary is called.
const USAGE: &str = "usage: patterns list | probe | run PATTERN THREADS PERCENT";

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["list"] => list(),
        ["probe"] => probe(),
        ["run", name, threads, percent] => run(name, threads, percent),
        _ => fail(USAGE),
    };
    if outcome.is_err() {
        fail("standard output is closed");
    }
}

/// Prints the table, one row per line: name, thread counts, quick thread counts, group.
fn list() -> io::Result<()> {
    let counts = |counts: &[usize]| counts.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let mut out = io::stdout().lock();
    for row in rows::TABLE {
        writeln!(out, "{}\t{}\t{}\t{}", row.name, counts(row.threads), counts(row.quick), row.group.name())?;
    }
    Ok(())
}

/// Prints which object provides each of the C functions.
fn probe() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for name in [c"malloc", c"calloc", c"realloc", c"free", c"posix_memalign"] {
        writeln!(out, "{}\t{}", name.to_string_lossy(), provider(name))?;
    }
    Ok(())
}

/// The path of the object in which the dynamic linker finds `name`.
fn provider(name: &CStr) -> String {
    // SAFETY: the name is a C string; asking for a symbol has no effect.
    let address: *mut c_void = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: all-zero is a valid value of this plain C structure.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the out pointer is valid for the call.
    let known = unsafe { libc::dladdr(address, &raw mut found) };
    if known == 0 || found.dli_fname.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: dladdr stored the path of a loaded object, a C string.
    unsafe { CStr::from_ptr(found.dli_fname) }.to_string_lossy().into_owned()
}

/// Runs one pattern and prints the peak of the resident memory in KiB.
fn run(name: &str, threads: &str, percent: &str) -> io::Result<()> {
    let row = rows::TABLE.iter().find(|row| row.name == name);
    let Some(row) = row else { fail("no pattern has this name; see `patterns list`") };
    let (Ok(threads), Ok(percent)) = (threads.parse(), percent.parse()) else { fail(USAGE) };
    if !row.threads.contains(&threads) {
        fail("this pattern does not run with so many threads; see `patterns list`");
    }
    (row.run)(&Job { threads, percent }).close();
    writeln!(io::stdout(), "peak\t{}", peak_kib())
}

/// The peak of this process image's resident memory. Unlike `ru_maxrss` it does
/// not start at the size of the process that forked this one.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
