//! The simulated system under the kernel, seen from outside: a call takes time, and what the simulation does itself is
//! not counted.

use std::cell::Cell;
use std::ops::Range;

use crossfoot::os::sim::Sim;
use crossfoot::os::{Fence, Identity, Memory, OsError, Platform, Sharing, Window};
use crossfoot::units::{Addr, GIB};

use crate::hooks;
use crate::model::model;

/// The system. It has no size, as Linux has none, so that the kernel's parts lie where they lie in what is shipped.
pub struct Machine;

/// What a range was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Ready at once: records and caches.
    Alloc,
    /// Reserved anywhere: bitmaps and summaries of the page heap.
    Tables,
    /// Sparse: the page map.
    Map,
}

thread_local! {
    static SIM: Cell<Option<&'static Sim>> = const { Cell::new(None) };
    static RANGES: Cell<Vec<(Range<usize>, Purpose)>> = const { Cell::new(Vec::new()) };
}

/// Puts a new system under the next kernel.
pub fn renew() -> &'static Sim {
    // One for each kernel; both stay.
    let sim: &'static Sim = Box::leak(Box::new(Sim::new().window(64 * GIB).extra(4 * GIB)));
    SIM.set(Some(sim));
    RANGES.set(Vec::new());
    sim
}

/// What the kernel asked for beside its heap.
pub fn ranges() -> Vec<(Range<usize>, Purpose)> {
    let ranges = RANGES.take();
    RANGES.set(ranges.clone());
    ranges
}

fn sim() -> &'static Sim {
    SIM.get().expect("a system was made")
}

/// A system call.
fn call<R>(f: impl FnOnce(&'static Sim) -> R) -> R {
    hooks::with(false, || {
        model().system_call();
        f(sim())
    })
}

/// No call on Linux: what is asked is known.
fn ask<R>(f: impl FnOnce(&'static Sim) -> R) -> R {
    hooks::with(false, || f(sim()))
}

fn noted(result: Result<Addr, OsError>, size: usize, purpose: Purpose) -> Result<Addr, OsError> {
    hooks::with(false, || {
        if let Ok(at) = result {
            let mut ranges = RANGES.take();
            ranges.push((at.0..at.0 + size, purpose));
            RANGES.set(ranges);
        }
        result
    })
}

impl Platform for Machine {
    fn yield_now() {
        unreachable!("nobody waits where one thread runs all CPUs");
    }

    fn now() -> u64 {
        ask(|_| <Sim as Platform>::now())
    }
}

// SAFETY: every verb is the simulated system's.
unsafe impl Memory for Machine {
    const SPARSE_FROM_ZERO: bool = <Sim as Memory>::SPARSE_FROM_ZERO;

    fn physical_page_size(&self) -> usize {
        ask(Memory::physical_page_size)
    }

    fn window(&self) -> Window {
        ask(Memory::window)
    }

    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError> {
        let result = call(|sim| sim.reserve(at, size));
        if at.is_some() { result } else { noted(result, size, Purpose::Tables) }
    }

    fn alloc(&self, size: usize) -> Result<Addr, OsError> {
        noted(call(|sim| sim.alloc(size)), size, Purpose::Alloc)
    }

    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise; so below.
        call(|sim| unsafe { sim.map(addr, size) })
    }

    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // No call on Linux, which backs memory at the first touch.
        // SAFETY: see above.
        ask(|sim| unsafe { sim.used(addr, size) })
    }

    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.unused(addr, size) })
    }

    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.fault(addr, size) })
    }

    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { Memory::free(sim, addr, size) })
    }

    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        call(|sim| unsafe { sim.guard(addr, size) })
    }

    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise.
        call(|sim| unsafe { sim.unguard(addr, size) })
    }

    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.huge_page(addr, size) })
    }

    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.no_huge_page(addr, size) })
    }

    unsafe fn collapse(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.collapse(addr, size) })
    }

    fn sparse(&self, size: usize) -> Result<Addr, OsError> {
        noted(call(|sim| sim.sparse(size)), size, Purpose::Map)
    }

    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.sparse_ready(addr, size) })
    }

    unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: see above.
        call(|sim| unsafe { sim.move_pages(from, to, size) })
    }
}

impl Sharing for Machine {}

impl Fence for Machine {
    fn register_fence(&self) -> bool {
        call(Fence::register_fence)
    }

    fn fence_all(&self) -> bool {
        call(Fence::fence_all)
    }
}

impl Identity for Machine {
    fn print(&self, text: &[u8]) {
        ask(|sim| Identity::print(sim, text));
    }
}
