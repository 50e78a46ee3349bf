//! Thread exit: a thread that exits gives its cache back.
//!
//! Where there is a libc, a key of thread-specific data with a destructor reports the exit. Without one, the program calls
//! [`retire_cache`].

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};

use super::inside;
use super::instance::{ALLOCATOR, own_cache};
use crate::arch;
use crate::cache::Cache;
use crate::local;

/// For how many rounds of destructors the cache is kept, so that other destructors still find it. POSIX promises four
/// rounds; this leaves one to spare.
pub(super) const ROUNDS: usize = 2;

/// The value of [`KEY`] before a key is made.
const NO_KEY: u32 = u32::MAX;
/// The key of thread-specific data whose destructor is [`thread_exit`].
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);

/// Registers the calling thread, so that the libc calls [`thread_exit`] when it exits. Does nothing without a libc.
pub(super) fn register(cache: &Cache) {
    let (create, set) = (arch::pthread_key_create(), arch::pthread_setspecific());
    if create.is_null() || set.is_null() {
        return;
    }
    if KEY.load(Ordering::Acquire) == NO_KEY {
        type Create = unsafe extern "C" fn(*mut u32, unsafe extern "C" fn(*mut c_void)) -> c_int;
        // SAFETY: the symbol is the libc's function of this type.
        let create: Create = unsafe { core::mem::transmute(create) };
        let mut key = NO_KEY;
        // SAFETY: an out parameter, and a function that lives as long as the process.
        if unsafe { create(&raw mut key, thread_exit) } != 0 {
            return;
        }
        // If another thread made a key first, that key is used, and this one stays unused.
        let _ = KEY.compare_exchange(NO_KEY, key, Ordering::AcqRel, Ordering::Acquire);
    }
    set_specific(cache);
}

/// Sets the calling thread's value of [`KEY`], which makes the libc call the destructor.
fn set_specific(cache: &Cache) {
    type Set = unsafe extern "C" fn(u32, *const c_void) -> c_int;
    // SAFETY: `register` checked that the symbol is there; it is the libc's function of this type.
    let set: Set = unsafe { core::mem::transmute(arch::pthread_setspecific()) };
    // SAFETY: the key was made by `register`; the libc does not access the value.
    unsafe { set(KEY.load(Ordering::Acquire), core::ptr::from_ref(cache).cast()) };
}

/// Gives the cache back in the last of [`ROUNDS`] rounds. The libc calls it when a thread with a cache exits, and once
/// more for each time that it sets the value again.
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

/// Gives the calling thread's cache back. Without a libc, a program calls it at the end of each thread. A thread that
/// allocates afterwards gets another cache.
pub fn retire_cache() {
    if let Some(cache) = own_cache() {
        let _busy = inside::busy("a thread's end");
        local::set_cache::<Cache>(core::ptr::null());
        cache.exit_rounds.set(0);
        // SAFETY: the thread's word was cleared, so nothing of this thread uses the cache any more.
        unsafe { ALLOCATOR.retire(cache) };
    }
}
