//! Running something on a stack of the allocator's own: what reads statistics needs more of it than a thread may have.
//!
//! The faces call [`run`] around their readings, isolated heaps too. Where the stacks come from is handed in, by
//! [`set_provider`]; a home that has none runs everything in place.
//!
//! Takes no lock and allocates nothing; what the lender does is its business. Needs some hundred bytes of the caller's
//! stack, and what the lender needs. What runs on a system stack may not allocate or free, which checked builds refuse
//! ([`abort_if_active`]): a stack has an end, and the thread may be in the allocator's hands for a while. Nor may it unwind out of
//! the call: then the caller would be gone on, and with it what it was lent.
//!
//! Invariant: a thread's word (`local::stack`) is where the one system stack ends on which it runs something, or 0. So
//! whoever comes while it is in use, by a nested call or in a signal handler, on that stack or on another, stays where it
//! is, and no frame is written over.

use core::ffi::c_void;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch;
use crate::local;
use crate::report;
use crate::units::{Addr, KIB};

/// How large a system stack is, in bytes. More than a quarter of it is left of what anything was seen to use: 28 KiB, and
/// 70 KiB where the compiler does not optimise (docs/decisions/0015).
pub const SIZE: usize = if cfg!(debug_assertions) { 128 * KIB } else { 64 * KIB };

/// What a lender gives.
#[derive(Clone, Copy)]
pub struct Lent {
    /// The stack's lowest byte.
    pub base: Addr,
    /// The address behind its last byte: a multiple of 16.
    pub top: Addr,
    /// What is to be called with `base` once the stack is not needed any more.
    pub back: Option<fn(Addr)>,
}

/// Gives the calling thread a stack: Ready memory that nobody uses. `None`: it has to do without one.
pub type Provider = fn() -> Option<Lent>;

static BORROW: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Hands in where stacks come from.
pub fn set_provider(provider: Provider) {
    BORROW.store(provider as *mut (), Ordering::Release);
}

/// Lies at the end of a stack while it is in use: from where to where it reaches.
#[repr(C, align(16))]
struct Bounds {
    base: Addr,
    top: Addr,
}

/// A call as the switch sees it: a function of one pointer.
type Go = unsafe extern "C-unwind" fn(*mut c_void);

/// A closure, and what it gave.
struct Call<F, R> {
    f: ManuallyDrop<F>,
    result: MaybeUninit<R>,
}

impl<F: FnOnce() -> R, R> Call<F, R> {
    /// # Safety
    /// `call` points to a call that was not made.
    unsafe extern "C-unwind" fn go(call: *mut c_void) {
        // SAFETY: the caller's promise.
        let call = unsafe { &mut *call.cast::<Self>() };
        // SAFETY: it was not made, so the closure is there.
        call.result.write(unsafe { ManuallyDrop::take(&mut call.f) }());
    }
}

/// Runs `f` on a system stack, or in place where this thread is using one or can have none. What it returns lies on the
/// caller's stack.
pub fn run<F: FnOnce() -> R, R>(f: F) -> R {
    run_if(true, f)
}

/// As [`run`], in place unless `wanted`.
pub fn run_if<F: FnOnce() -> R, R>(wanted: bool, f: F) -> R {
    let mut call = Call { f: ManuallyDrop::new(f), result: MaybeUninit::uninit() };
    go(wanted, Call::<F, R>::go, (&raw mut call).cast());
    // SAFETY: the call was made.
    unsafe { call.result.assume_init() }
}

/// Apart from [`run_if`], so that the frame of the closure, which may be large, is on the system stack for sure.
#[inline(never)]
fn go(wanted: bool, function: Go, call: *mut c_void) {
    let lent = if wanted && local::stack() == 0 { borrow() } else { None };
    // SAFETY: [`run_if`] made the call; the lender's promise.
    unsafe {
        match lent {
            Some(lent) => run_on(&lent, function, call),
            None => function(call),
        }
    }
    if let Some(Lent { base, back: Some(back), .. }) = lent {
        back(base);
    }
}

fn borrow() -> Option<Lent> {
    let provider = BORROW.load(Ordering::Acquire);
    if provider.is_null() {
        return None;
    }
    // SAFETY: the only stores to LENDER are null and a `Provider`.
    unsafe { core::mem::transmute::<*mut (), Provider>(provider)() }
}

/// Until it is dropped, this thread uses a system stack. In tests a fatal error unwinds.
struct Using;

impl Drop for Using {
    fn drop(&mut self) {
        local::set_stack(0);
    }
}

/// # Safety
/// The stack is Ready and the caller's; `function` may be called with `call`.
unsafe fn run_on(lent: &Lent, function: Go, call: *mut c_void) {
    let end = Addr(lent.top.0 - size_of::<Bounds>());
    // SAFETY: the caller's promise; the rest is a stack too, and its end as aligned as before.
    unsafe {
        end.ptr::<Bounds>().write(Bounds { base: lent.base, top: lent.top });
        local::set_stack(end.0);
        let _using = Using;
        arch::on_stack(function, call, end.ptr());
    }
}

/// Where the system stack lies that this thread is using: its lowest byte, and the end of what can be used.
pub fn bounds() -> Option<(Addr, Addr)> {
    let end = local::stack();
    // SAFETY: the thread's word leads to bounds, which nobody writes to while it does.
    (end != 0).then(|| unsafe { ((*Addr(end).ptr::<Bounds>()).base, Addr(end)) })
}

/// Whether the caller runs on a system stack, and not for instance on a signal's own that interrupted one.
pub fn is_on() -> bool {
    let here = Addr(arch::stack_pointer());
    bounds().is_some_and(|(base, end)| base <= here && here < end)
}

/// In checked builds, ends the process with a line that begins with `function`, and the address that it was called with
/// if that is not 0, where nothing may be allocated or freed: on a system stack.
#[inline(always)]
pub fn abort_if_active(function: &str, argument: usize) {
    if cfg!(debug_assertions) {
        abort_if_active_always(function, argument);
    }
}

/// As [`abort_if_active`], in every build.
#[inline]
pub fn abort_if_active_always(function: &str, argument: usize) {
    // A handler of the signal that ends the process may be here: it was told.
    if is_on() && !local::is_dying() {
        abort_active(function, argument);
    }
}

#[cold]
fn abort_active(function: &str, argument: usize) -> ! {
    match argument {
        0 => report::fatal(format_args!("crossfoot: {function}: called on the system stack")),
        p => report::fatal(format_args!("crossfoot: {function}({p:#x}): called on the system stack")),
    }
}
