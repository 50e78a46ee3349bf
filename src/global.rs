//! The process's own kernel, bound to the current thread.
//!
//! The C face exports these functions under C's names; [`Crossfoot`] gives them to Rust. The thread's
//! cache is found through its thread-local word; a thread that has none gets one at its first
//! allocation and gives it back when it ends.
//!
//! No call into a libc happens before or during start-up; later ones go through weak references only:
//! to be told when a thread ends, and to set `errno`.
//!
//! Invariant: [`local::cache`] is null or a cache of [`KERNEL`] that this thread owns.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use crate::api;
use crate::arch;
use crate::boot::Kernel;
use crate::cache::{Cache, Freed};
use crate::config::MIN_ALIGN;
use crate::mem_stats::Balance;
use crate::metrics;
use crate::options::{self, Format, Options, Report};
use crate::os::{Linux, OsError};
use crate::report;
use crate::size_class::{Class, QUICK_MAX, SMALL_MAX};
use crate::{central::Central, local};

/// The process's kernel.
pub static KERNEL: Kernel<Linux> = Kernel::new(Linux);

/// `ENOMEM` of `errno.h`.
const ENOMEM: c_int = 12;
/// Exit status of a process whose books do not balance, with `check:on`.
const UNBALANCED: i32 = 70;
/// How often the end of a thread is put off, so that other destructors still find its cache. POSIX promises
/// four rounds of destructors; this leaves one to spare.
const ROUNDS: usize = 2;

/// No thread-exit key was made.
const NO_KEY: u32 = u32::MAX;
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
static STARTED: AtomicBool = AtomicBool::new(false);

/// The options, set once. No lock: a fork could leave it held.
static OPTIONS: Settings = Settings { state: AtomicU8::new(UNSET), options: UnsafeCell::new(None) };
/// Nobody has set the options.
const UNSET: u8 = 0;
/// A thread is setting them.
const SETTING: u8 = 1;
/// They are set, for good.
const SET: u8 = 2;

/// Options that are set once.
struct Settings {
    state: AtomicU8,
    options: UnsafeCell<Option<Options>>,
}

// SAFETY: the options are written by the one thread that moved the state from UNSET to SETTING, and read by
// others only once it is SET.
unsafe impl Sync for Settings {}

impl Settings {
    fn get(&self) -> Option<&Options> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: set for good, see above.
        unsafe { (*self.options.get()).as_ref() }
    }

    /// Sets the options unless somebody has or does. Says whether this call did.
    fn set(&self, options: Options) -> bool {
        if self.state.compare_exchange(UNSET, SETTING, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // SAFETY: this thread alone moved the state here, and nobody reads before it is SET.
        unsafe { *self.options.get() = Some(options) };
        self.state.store(SET, Ordering::Release);
        true
    }

    /// In the child of a fork: what a thread was doing that is not there any more is begun anew.
    fn after_fork(&self) {
        let _ = self.state.compare_exchange(SETTING, UNSET, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[inline(always)]
fn central() -> &'static Central<Linux> {
    KERNEL.caches().central()
}

/// Allocates `size` bytes. Null: no memory; `errno` is set where the home has one.
#[inline(always)]
pub fn allocate(size: usize) -> *mut u8 {
    let cache = local::cache::<Cache>();
    // Three ways out to three functions: with one, the compiler would make one condition of two, and compute it.
    if size > QUICK_MAX {
        return allocate_more(size);
    }
    if cache.is_null() {
        return allocate_first(size);
    }
    // SAFETY: the thread's word is null or its cache.
    let p = unsafe { (*cache).pop_quick(size) };
    if p.is_null() { allocate_slow(size) } else { p }
}

/// The second step of [`allocate`]: sizes that the quick table does not reach.
#[inline(never)]
fn allocate_more(size: usize) -> *mut u8 {
    let cache = local::cache::<Cache>();
    if size <= SMALL_MAX && !cache.is_null() {
        // SAFETY: the thread's word is null or its cache.
        let p = unsafe { (*cache).pop(Class::of(size)) };
        if !p.is_null() {
            return p;
        }
    }
    allocate_slow(size)
}

/// The first allocation of a thread.
#[cold]
#[inline(never)]
fn allocate_first(size: usize) -> *mut u8 {
    if adopt().is_err() {
        return or_enomem(null_mut());
    }
    allocate_slow(size)
}

#[cold]
#[inline(never)]
fn allocate_slow(size: usize) -> *mut u8 {
    or_enomem(cache().map_or(null_mut(), |cache| api::allocate(central(), cache, size)))
}

/// Allocates `size` zero bytes. Null: no memory.
#[inline]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    or_enomem(cache().map_or(null_mut(), |cache| api::allocate_zeroed(central(), cache, size)))
}

/// Allocates `size` bytes aligned to `align`, a power of two. Null: no memory. Does not set `errno`.
#[inline]
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    cache().map_or(null_mut(), |cache| api::allocate_aligned(central(), cache, size, align))
}

/// Frees an object.
///
/// # Safety
/// As for [`api::free`].
#[inline(always)]
pub unsafe fn free(p: *mut u8) {
    // SAFETY: the caller's promise; the thread's word is null or its cache.
    let seen = unsafe { api::free_quick(central(), local::cache::<Cache>(), p) };
    match seen {
        Freed::Done => {}
        // SAFETY: the caller's promise; two functions, so that the fast path need not say which.
        Freed::Event => unsafe { free_event(p) },
        // SAFETY: the caller's promise.
        Freed::Not => unsafe { free_slow(p) },
    }
}

#[cold]
#[inline(never)]
unsafe fn free_event(p: *mut u8) {
    if let Some(cache) = cache() {
        // SAFETY: the caller's promise; the object is on its span's list.
        unsafe { api::free_event(central(), cache, p) }
    }
}

#[cold]
#[inline(never)]
unsafe fn free_slow(p: *mut u8) {
    if p.is_null() {
        return;
    }
    // A thread that has ended gets no cache for a free: nobody would take it back.
    let cache = if local::cache::<Cache>().is_null() && local::ended() { None } else { cache() };
    match cache {
        // SAFETY: the caller's promise.
        Some(cache) => unsafe { api::free_slow(central(), cache, p, "free") },
        // SAFETY: the caller's promise. The shared cache owns no span, so nothing was done with it yet.
        None => KERNEL.caches().with_shared(|cache| unsafe {
            api::free_slow(central(), cache, p, "free");
            cache.send_gathered(central());
        }),
    }
}

/// Changes an object's size. Null: no memory; the old object is as it was.
///
/// # Safety
/// As for [`api::reallocate`].
#[inline]
pub unsafe fn reallocate(p: *mut u8, size: usize, align: usize) -> *mut u8 {
    match cache() {
        // SAFETY: the caller's promise.
        Some(cache) => or_enomem(unsafe { api::reallocate(central(), cache, p, size, align) }),
        None => or_enomem(null_mut()),
    }
}

/// How many bytes of an object may be used; 0 for null.
///
/// # Safety
/// As for [`api::usable_size`].
pub unsafe fn usable_size(p: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe { api::usable_size(central(), p) }
}

/// This thread's cache; adopts one if it has none. `None`: no memory for one.
#[inline]
fn cache() -> Option<&'static Cache> {
    // SAFETY: the thread's word is null or its cache, which is never unmapped.
    match unsafe { local::cache::<Cache>().as_ref() } {
        Some(cache) => Some(cache),
        None => adopt().ok(),
    }
}

#[cold]
#[inline(never)]
fn adopt() -> Result<&'static Cache, OsError> {
    if !STARTED.swap(true, Ordering::AcqRel) {
        report::set_sink(Linux::print, Linux::abort);
    }
    // SAFETY: the kernel is a static.
    let cache = unsafe { KERNEL.adopt() }?;
    local::set_cache(cache);
    if local::ended() {
        // There may be no second round of destructors any more.
        cache.exit_rounds.set(ROUNDS);
    }
    read_options();
    watch_exit(cache);
    Ok(cache)
}

/// Reads the options once. The thread has its cache by now. Threads that come here together read them
/// together; the first to finish sets them.
fn read_options() {
    if OPTIONS.get().is_some() {
        return;
    }
    let mut buffer = [0; options::LONGEST];
    let parsed = match Linux::environment("CROSSFOOT", &mut buffer) {
        Ok(Some(_)) | Err(_) if Linux::secure() => Options::default(),
        Ok(Some(text)) => Options::parse(text, |wrong| report::line(format_args!("{wrong}"))),
        Ok(None) => Options::default(),
        Err(_) => {
            report::line(format_args!("crossfoot: CROSSFOOT: longer than {} bytes, ignored", options::LONGEST));
            Options::default()
        }
    };
    if parsed.check || parsed.exit_report == Report::Stderr {
        Linux::keep_stderr();
    }
    if OPTIONS.set(parsed) {
        watch_fork();
    }
}

/// Asks the libc to tell of forks, where there is one.
fn watch_fork() {
    type Handler = unsafe extern "C" fn();
    let (register, portable) = (arch::register_atfork(), arch::pthread_atfork());
    if register.is_null() && !portable.is_null() {
        type Register = unsafe extern "C" fn(Handler, Handler, Handler) -> c_int;
        // SAFETY: the symbol is POSIX's function of this type.
        let register: Register = unsafe { core::mem::transmute(portable) };
        // SAFETY: as below.
        unsafe { register(before_fork, after_fork_in_parent, after_fork_in_child) };
    }
    if register.is_null() {
        return;
    }
    type Register = unsafe extern "C" fn(Handler, Handler, Handler, *mut c_void) -> c_int;
    // SAFETY: the symbol is glibc's function of this type, which `pthread_atfork` is made of.
    let register: Register = unsafe { core::mem::transmute(register) };
    // SAFETY: functions that live as long as the process. Where it fails for want of memory, a child of a
    // process with several threads may find a lock held.
    unsafe { register(before_fork, after_fork_in_parent, after_fork_in_child, null_mut()) };
}

unsafe extern "C" fn before_fork() {
    KERNEL.before_fork();
}

unsafe extern "C" fn after_fork_in_parent() {
    // SAFETY: the libc calls this after `before_fork`, on the same thread.
    unsafe { KERNEL.after_fork(false) };
}

unsafe extern "C" fn after_fork_in_child() {
    // SAFETY: the libc calls this in the child, on the only thread, after `before_fork`.
    unsafe { KERNEL.after_fork(true) };
    OPTIONS.after_fork();
}

/// Asks the libc to tell when this thread ends, where there is one.
fn watch_exit(cache: &Cache) {
    let (create, set) = (arch::pthread_key_create(), arch::pthread_setspecific());
    if create.is_null() || set.is_null() {
        return;
    }
    if KEY.load(Ordering::Acquire) == NO_KEY {
        type Create = unsafe extern "C" fn(*mut u32, unsafe extern "C" fn(*mut c_void)) -> c_int;
        // SAFETY: the symbol is the libc's function of this type.
        let create: Create = unsafe { core::mem::transmute(create) };
        let mut key = NO_KEY;
        // SAFETY: an out parameter and a function that lives as long as the process.
        if unsafe { create(&raw mut key, thread_exit) } != 0 {
            return;
        }
        // A key that another thread made first serves as well; this one stays unused.
        let _ = KEY.compare_exchange(NO_KEY, key, Ordering::AcqRel, Ordering::Acquire);
    }
    set_specific(cache);
}

fn set_specific(cache: &Cache) {
    type Set = unsafe extern "C" fn(u32, *const c_void) -> c_int;
    // SAFETY: `watch_exit` saw that the libc has it; it is the function of this type.
    let set: Set = unsafe { core::mem::transmute(arch::pthread_setspecific()) };
    // SAFETY: the key was made above; the value is not touched by the libc.
    unsafe { set(KEY.load(Ordering::Acquire), core::ptr::from_ref(cache).cast()) };
}

/// The libc calls this when a thread that has a cache ends, and again as long as it is asked to.
unsafe extern "C" fn thread_exit(value: *mut c_void) {
    // SAFETY: the value was set to this thread's cache.
    let Some(cache) = (unsafe { value.cast::<Cache>().as_ref() }) else { return };
    if !core::ptr::eq(local::cache::<Cache>(), cache) {
        return;
    }
    let round = cache.exit_rounds.get();
    if round < ROUNDS {
        cache.exit_rounds.set(round + 1);
        return set_specific(cache);
    }
    local::set_ended();
    retire_cache();
}

/// Gives this thread's cache back. A face without a libc calls it when a thread ends; a thread that
/// allocates afterwards gets another.
pub fn retire_cache() {
    // SAFETY: the thread's word is null or its cache, which it owns and forgets here.
    unsafe {
        if let Some(cache) = local::cache::<Cache>().as_ref() {
            local::set_cache::<Cache>(core::ptr::null());
            cache.exit_rounds.set(0);
            KERNEL.caches().retire(cache);
        }
    }
}

#[inline]
fn or_enomem(p: *mut u8) -> *mut u8 {
    if p.is_null() {
        set_errno(ENOMEM);
    }
    p
}

/// Sets the libc's `errno`, where there is one.
#[cold]
pub fn set_errno(number: c_int) {
    let location = arch::errno_location();
    if !location.is_null() {
        // SAFETY: the symbol is the libc's function of this type, which returns this thread's `errno`.
        unsafe { *core::mem::transmute::<*const c_void, unsafe extern "C" fn() -> *mut c_int>(location)() = number };
    }
}

/// Checks every identity of the process's books. `None` before the first allocation.
pub fn crossfoot() -> Option<Balance> {
    // SAFETY: the thread's word is null or its cache.
    KERNEL.crossfoot(unsafe { local::cache::<Cache>().as_ref() }, false)
}

/// What happens when the process exits: the report that was asked for, and the check.
pub fn at_exit() {
    if OPTIONS.get().is_none() {
        // The program never allocated; it may have asked for a report all the same.
        let _ = adopt();
    }
    let Some(options) = OPTIONS.get() else { return };
    if !options.check && options.exit_report == Report::Off {
        return;
    }
    let Some(balance) = crossfoot() else { return };
    write_report(options, &balance);
    if options.check && !balance.failures.is_empty() {
        for failure in balance.failures.iter() {
            report::line(format_args!("crossfoot: unbalanced: {failure}"));
        }
        flush_libc();
        Linux::exit(UNBALANCED);
    }
}

fn write_report(options: &Options, balance: &Balance) {
    let mut name = heapless::Vec::<u8, { options::PATH + 16 }>::new();
    match &options.exit_report {
        Report::Off => {}
        Report::Stderr => write_to(Linux::stderr(), options.exit_format, balance),
        Report::Path(path) => {
            let _ = name.extend_from_slice(path);
            if options.exit_pid != 0 && options.exit_pid != Linux::pid() {
                let _ = write!(Bytes(&mut name), ".{}", Linux::pid());
            }
            if Linux::with_file(&name, |file| write_to(file, options.exit_format, balance)).is_err() {
                report::line(format_args!("crossfoot: exit_report: cannot write '{}'", name.escape_ascii()));
            }
        }
    }
}

struct Bytes<'a, const N: usize>(&'a mut heapless::Vec<u8, N>);

impl<const N: usize> Write for Bytes<'_, N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Gathers text, so that a report is written in few calls.
struct Buffered<'a> {
    file: rustix::fd::BorrowedFd<'a>,
    text: heapless::Vec<u8, 4096>,
}

impl Write for Buffered<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.text.len() + s.len() > self.text.capacity() {
            self.flush()?;
        }
        self.text.extend_from_slice(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl Buffered<'_> {
    fn flush(&mut self) -> fmt::Result {
        let result = Linux::write_all(self.file, &self.text);
        self.text.clear();
        result.map_err(|_| fmt::Error)
    }
}

fn write_to(file: rustix::fd::BorrowedFd<'_>, format: Format, balance: &Balance) {
    let reading = KERNEL.reading(balance);
    let mut out = Buffered { file, text: heapless::Vec::new() };
    let _ = match format {
        Format::Json => metrics::write_json(&mut out, &reading),
        Format::Table => metrics::write_table(&mut out, &reading),
    };
    let _ = out.flush();
}

/// Writes out what the program printed: the process ends before the libc does it.
fn flush_libc() {
    let fflush = arch::fflush();
    if !fflush.is_null() {
        // SAFETY: the symbol is the libc's function of this type; null means every stream.
        unsafe {
            core::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(fflush)(null_mut())
        };
    }
}

/// The allocator, for `#[global_allocator]`. All values are the same allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crossfoot;

impl Crossfoot {
    /// The process's allocator.
    pub const fn new() -> Crossfoot {
        Crossfoot
    }

    /// Checks every identity of the books, and returns whether they balance.
    pub fn crossfoot(&self) -> bool {
        crossfoot().is_none_or(|balance| balance.failures.is_empty())
    }

    /// Gives this thread's cache back; for threads of a home without a libc, when they end.
    pub fn retire_thread(&self) {
        retire_cache();
    }
}

// SAFETY: the functions below return live objects of the size and alignment asked for, or null.
unsafe impl GlobalAlloc for Crossfoot {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MIN_ALIGN {
            allocate(layout.size())
        } else {
            allocate_aligned(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn dealloc(&self, p: *mut u8, _layout: Layout) {
        // SAFETY: the caller frees an object of this allocator.
        unsafe { free(p) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MIN_ALIGN {
            return allocate_zeroed(layout.size());
        }
        let p = allocate_aligned(layout.size(), layout.align());
        if !p.is_null() {
            // SAFETY: a fresh object of this size.
            unsafe { p.write_bytes(0, layout.size()) };
        }
        p
    }

    #[inline]
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's object; `size` is not zero.
        unsafe { reallocate(p, size, layout.align()) }
    }
}
