//! Runs a function on a stack of the allocator's own. Reading statistics needs more stack than a small thread
//! has.
//!
//! The front ends call [`run`] around their readings, isolated heaps too. [`set_provider`] installs the
//! function that provides the stacks. Without a provider everything runs in place.
//!
//! This module takes no lock and allocates nothing; the provider may. It needs a few hundred bytes of the
//! caller's stack, and the provider's need. A function on a system stack must not allocate or free, which
//! checked builds detect ([`abort_if_active`]): the stack is small, and the thread may be inside the
//! allocator. It must not unwind out of the call, which would leave the stack lent for ever.
//!
//! Invariant: `local::stack` is the end of the one system stack that the thread is using, or 0. A nested call
//! or a signal handler, on that stack or on another one, sees it and runs in place. So no frame is
//! overwritten.

use core::ffi::c_void;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch;
use crate::local;
use crate::report;
use crate::units::{Addr, KIB};

/// The size of a system stack in bytes. The largest use seen is 28 KiB, and 70 KiB without optimisation
/// (docs/decisions/0015). More than a quarter of the size is spare.
pub const SIZE: usize = if cfg!(debug_assertions) { 128 * KIB } else { 64 * KIB };

/// A stack that a provider lends.
#[derive(Clone, Copy)]
pub struct Lent {
    /// The stack's lowest byte.
    pub base: Addr,
    /// The address behind its last byte, a multiple of 16.
    pub top: Addr,
    /// The function that takes the stack back. It is called with `base` after the use.
    pub back: Option<fn(Addr)>,
}

/// Lends the calling thread a stack of Ready memory, or returns `None`. Then the caller runs in place.
pub type Provider = fn() -> Option<Lent>;

static PROVIDER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Installs the provider of stacks.
pub fn set_provider(provider: Provider) {
    PROVIDER.store(provider as *mut (), Ordering::Release);
}

/// The bounds of a stack, stored at its end while it is in use.
#[repr(C, align(16))]
struct Bounds {
    base: Addr,
    top: Addr,
}

/// The function that runs on the stack, with one pointer as its argument.
type StackFunction = unsafe extern "C-unwind" fn(*mut c_void);

/// A closure and its result.
struct Call<F, R> {
    f: ManuallyDrop<F>,
    result: MaybeUninit<R>,
}

impl<F: FnOnce() -> R, R> Call<F, R> {
    /// # Safety
    /// `call` points to a call that has not been made.
    unsafe extern "C-unwind" fn invoke(call: *mut c_void) {
        // SAFETY: the caller's promise.
        let call = unsafe { &mut *call.cast::<Self>() };
        // SAFETY: the call has not been made, so the closure is still there.
        call.result.write(unsafe { ManuallyDrop::take(&mut call.f) }());
    }
}

/// Runs `f` on a system stack. Runs it in place if this thread is using a system stack or the provider has
/// none. The result lies on the caller's stack.
pub fn run<F: FnOnce() -> R, R>(f: F) -> R {
    run_if(true, f)
}

/// Runs `f` as [`run`] does if `wanted`, else in place.
pub fn run_if<F: FnOnce() -> R, R>(wanted: bool, f: F) -> R {
    let mut call = Call { f: ManuallyDrop::new(f), result: MaybeUninit::uninit() };
    dispatch(wanted, Call::<F, R>::invoke, (&raw mut call).cast());
    // SAFETY: the call was made.
    unsafe { call.result.assume_init() }
}

/// Runs `function` on a system stack or in place. A function of its own, so that the closure's frame, which
/// may be large, is never part of the caller's.
#[inline(never)]
fn dispatch(wanted: bool, function: StackFunction, call: *mut c_void) {
    let lent = if wanted && local::stack() == 0 { borrow() } else { None };
    // SAFETY: [`run_if`] made the call. The provider promises a stack of Ready memory.
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
    let provider = PROVIDER.load(Ordering::Acquire);
    if provider.is_null() {
        return None;
    }
    // SAFETY: the only stores to PROVIDER are null and a `Provider`.
    unsafe { core::mem::transmute::<*mut (), Provider>(provider)() }
}

/// Clears `local::stack` when it is dropped. In tests a fatal error unwinds.
struct StackInUse;

impl Drop for StackInUse {
    fn drop(&mut self) {
        local::set_stack(0);
    }
}

/// # Safety
/// The stack is Ready and the caller's; `function` may be called with `call`.
unsafe fn run_on(lent: &Lent, function: StackFunction, call: *mut c_void) {
    let end = Addr(lent.top.0 - size_of::<Bounds>());
    // SAFETY: the caller's promise. What remains below `end` is a stack too, and as aligned as before.
    unsafe {
        end.ptr::<Bounds>().write(Bounds { base: lent.base, top: lent.top });
        local::set_stack(end.0);
        let _in_use = StackInUse;
        arch::on_stack(function, call, end.ptr());
    }
}

/// Returns the lowest byte and the usable end of the system stack that this thread is using.
pub fn bounds() -> Option<(Addr, Addr)> {
    let end = local::stack();
    // SAFETY: the thread's word points to bounds, which are not written while it does.
    (end != 0).then(|| unsafe { ((*Addr(end).ptr::<Bounds>()).base, Addr(end)) })
}

/// Returns whether the caller runs on a system stack, and not on the alternate stack of a signal handler.
pub fn is_on() -> bool {
    let here = Addr(arch::stack_pointer());
    bounds().is_some_and(|(base, end)| base <= here && here < end)
}

/// In checked builds, aborts if the caller runs on a system stack. Called where the program allocates or
/// frees. The line begins with `function` and its argument, unless that is 0.
#[inline(always)]
pub fn abort_if_active(function: &str, argument: usize) {
    if cfg!(debug_assertions) {
        abort_if_active_always(function, argument);
    }
}

/// Does what [`abort_if_active`] does, in every build.
#[inline]
pub fn abort_if_active_always(function: &str, argument: usize) {
    // A handler of the signal that ends the process may allocate: the fatal line was printed already.
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
