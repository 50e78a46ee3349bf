//! What the compiler calls, with the flags of `flags.txt`, at every access to memory of this program and the kernel.
//!
//! Two of LLVM's passes run over code that is optimised already, and add calls: before each load and store (`memprof`),
//! and in the place of each atomic operation (`tsan`, which leaves everything else alone here). They change neither
//! what is loaded and stored nor the order. The stack is left out.
//!
//! The hooks pass an access on while they are [`on`], and are off while the model is at work: what it does itself is not
//! counted. Off, they return at once. This program has one thread, so an atomic operation need not be one.

use std::arch::{asm, naked_asm};
use std::mem::MaybeUninit;

use crate::model::{Access, model, renew};

/// Whether accesses are passed on: 1 or 0. Reached by assembly only, which is not instrumented.
static mut ON: u8 = 0;

/// What the pass `memprof` loads at the head of each function, and with these flags does not use.
#[unsafe(no_mangle)]
static __memprof_shadow_memory_dynamic_address: usize = 0;

/// Passes accesses on from here on, or not. Returns how it was.
#[inline(always)]
pub fn set(on: bool) -> bool {
    let mut byte = u8::from(on);
    // SAFETY: the only thread exchanges a byte.
    unsafe { asm!("xchg byte ptr [rip + {on}], {b}", b = inout(reg_byte) byte, on = sym ON, options(nostack)) };
    byte != 0
}

/// Runs `f` with the hooks as `on` says, and then as they were.
#[inline(always)]
pub fn with<R>(on: bool, f: impl FnOnce() -> R) -> R {
    let was = set(on);
    let result = f();
    set(was);
    result
}

/// A hook: nothing while they are off; else off, the function with the address and where the hook was called, on.
macro_rules! stub {
    ($name:ident, $then:ident) => {
        /// Called before an access.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(_address: usize) {
            naked_asm!(
                "cmp byte ptr [rip + {on}], 0",
                "je 2f",
                "mov byte ptr [rip + {on}], 0",
                "mov rsi, qword ptr [rsp]",
                "push rax",
                "call {then}",
                "pop rax",
                "mov byte ptr [rip + {on}], 1",
                "2:",
                "ret",
                on = sym ON,
                then = sym $then,
            )
        }
    };
}

stub!(__memprof_load, __memprof_loaded);
stub!(__memprof_store, __memprof_stored);

// The pass leaves functions of such names alone, and what is inlined there: these are as fast as they can be.
#[unsafe(no_mangle)]
extern "C" fn __memprof_loaded(address: usize, from: usize) {
    model().access(address, Access::Read, from);
}

#[unsafe(no_mangle)]
extern "C" fn __memprof_stored(address: usize, from: usize) {
    model().access(address, Access::Write, from);
}

/// Copies bytes by an instruction that is not instrumented.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`].
#[inline(always)]
unsafe fn move_bytes(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") bytes => _, options(nostack));
    }
}

/// Copies bytes that may overlap, backwards where that is needed.
#[unsafe(no_mangle)]
unsafe extern "C" fn __memprof_memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if set(false) {
        model().range(from.addr(), bytes, Access::Read);
        model().range(to.addr(), bytes, Access::Write);
        set(true);
    }
    // SAFETY: the caller's promise. Downward the direction flag is set, and cleared again.
    unsafe {
        if to.addr().wrapping_sub(from.addr()) >= bytes {
            move_bytes(to, from, bytes);
        } else {
            let (last_to, last_from) =
                (to.wrapping_add(bytes).wrapping_sub(1), from.wrapping_add(bytes).wrapping_sub(1));
            asm!("std", "rep movsb", "cld", inout("rdi") last_to => _, inout("rsi") last_from => _,
                inout("rcx") bytes => _, options(nostack));
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __memprof_memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller's promise is more than is needed.
    unsafe { __memprof_memmove(to, from, bytes) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __memprof_memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    if set(false) {
        model().range(to.addr(), bytes, Access::Write);
        set(true);
    }
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rdi") to => _, inout("rcx") bytes => _, in("al") byte as u8, options(nostack));
    }
    to
}

/// Loads without being seen.
///
/// # Safety
/// As for [`std::ptr::read`].
#[inline(always)]
unsafe fn peek<T: Copy>(at: *const T) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the caller's promise; afterwards the value is all there.
    unsafe {
        move_bytes(value.as_mut_ptr().cast(), at.cast(), size_of::<T>());
        value.assume_init()
    }
}

/// Stores without being seen.
///
/// # Safety
/// As for [`std::ptr::write`].
#[inline(always)]
unsafe fn poke<T: Copy>(at: *mut T, value: T) {
    // SAFETY: the caller's promise.
    unsafe { move_bytes(at.cast(), (&raw const value).cast(), size_of::<T>()) }
}

/// Says what an atomic operation made of a word, after it: `locked` is whether it is a locked instruction.
fn note<T: Into<u64>>(at: *const T, old: T, new: T, locked: bool) {
    if set(false) {
        model().atomic(at.addr(), size_of::<T>(), old.into(), new.into(), locked);
        set(true);
    }
}

macro_rules! atomics {
    ($word:ty, $load:ident, $store:ident, $exchange:ident, $compare:ident, $($fetch:ident: $make:expr,)+) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $load(at: *const $word, _order: i32) -> $word {
            // SAFETY: the caller's promise.
            unsafe { peek(at) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $store(at: *mut $word, new: $word, order: i32) {
            // SAFETY: the caller's promise.
            unsafe { change(at, |_| Some(new), order == SEQ_CST) };
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $exchange(at: *mut $word, new: $word, _order: i32) -> $word {
            // SAFETY: the caller's promise.
            unsafe { change(at, |_| Some(new), true) }
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $compare(at: *mut $word, expected: $word, new: $word, _order: i32, _fail: i32) -> $word {
            // SAFETY: the caller's promise.
            unsafe { change(at, |old| (old == expected).then_some(new), true) }
        }

        $(#[unsafe(no_mangle)]
        unsafe extern "C" fn $fetch(at: *mut $word, n: $word, _order: i32) -> $word {
            let make: fn($word, $word) -> $word = $make;
            // SAFETY: the caller's promise.
            unsafe { change(at, |old| Some(make(old, n)), true) }
        })+
    };
}

/// The strongest order, as the compiler passes it. A store of it is an exchange on this machine.
const SEQ_CST: i32 = 5;

/// Changes a word to what `make` says, if anything. Returns what it was.
///
/// # Safety
/// The word can be read and written.
#[inline(always)]
unsafe fn change<T: Copy + Into<u64>>(at: *mut T, make: impl FnOnce(T) -> Option<T>, locked: bool) -> T {
    // SAFETY: the caller's promise.
    let old = unsafe { peek(at) };
    let new = make(old);
    if let Some(new) = new {
        // SAFETY: the caller's promise.
        unsafe { poke(at, new) };
    }
    note(at, old, new.unwrap_or(old), locked);
    old
}

atomics! {
    u8, __tsan_atomic8_load, __tsan_atomic8_store, __tsan_atomic8_exchange, __tsan_atomic8_compare_exchange_val,
    __tsan_atomic8_fetch_add: u8::wrapping_add,
    __tsan_atomic8_fetch_sub: u8::wrapping_sub,
    __tsan_atomic8_fetch_and: |a, b| a & b,
    __tsan_atomic8_fetch_or: |a, b| a | b,
    __tsan_atomic8_fetch_xor: |a, b| a ^ b,
    __tsan_atomic8_fetch_nand: |a, b| !(a & b),
}

atomics! {
    u16, __tsan_atomic16_load, __tsan_atomic16_store, __tsan_atomic16_exchange, __tsan_atomic16_compare_exchange_val,
    __tsan_atomic16_fetch_add: u16::wrapping_add,
    __tsan_atomic16_fetch_sub: u16::wrapping_sub,
    __tsan_atomic16_fetch_and: |a, b| a & b,
    __tsan_atomic16_fetch_or: |a, b| a | b,
}

atomics! {
    u32, __tsan_atomic32_load, __tsan_atomic32_store, __tsan_atomic32_exchange, __tsan_atomic32_compare_exchange_val,
    __tsan_atomic32_fetch_add: u32::wrapping_add,
    __tsan_atomic32_fetch_sub: u32::wrapping_sub,
    __tsan_atomic32_fetch_and: |a, b| a & b,
    __tsan_atomic32_fetch_or: |a, b| a | b,
}

atomics! {
    u64, __tsan_atomic64_load, __tsan_atomic64_store, __tsan_atomic64_exchange, __tsan_atomic64_compare_exchange_val,
    __tsan_atomic64_fetch_add: u64::wrapping_add,
    __tsan_atomic64_fetch_sub: u64::wrapping_sub,
    __tsan_atomic64_fetch_and: |a, b| a & b,
    __tsan_atomic64_fetch_or: |a, b| a | b,
}

#[unsafe(no_mangle)]
extern "C" fn __tsan_atomic_thread_fence(order: i32) {
    if order == SEQ_CST && set(false) {
        model().fence();
        set(true);
    }
}

#[unsafe(no_mangle)]
extern "C" fn __tsan_atomic_signal_fence(_order: i32) {}

/// Whether the compiler calls the hooks, that is whether the flags were there. Leaves a machine behind.
pub fn are_called() -> bool {
    #[inline(never)]
    fn probe(at: &mut u64) {
        *at += 1;
    }
    let mut word = Box::new(0);
    let at = (&raw const *word).addr();
    renew(1, false, [at..at + 8, 0..0]);
    with(true, || probe(&mut word));
    model().counts.accesses == 2 && std::hint::black_box(*word) == 1
}
