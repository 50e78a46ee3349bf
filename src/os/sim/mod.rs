//! The simulated operating system: deterministic, strict, and able to fail any call.
//!
//! Tests run an allocator on a [`Sim`]. It knows the state of every page. It panics on any transition that the table of
//! `os` does not have, with one line that names the verb, the range, the found and the required state. The memory is
//! real and its protections follow the states, so that an access to a page that is not Ready faults at once.
//!
//! Unlike the other implementations it allocates (from `std`). It has a lock of its own, which is held during a call and
//! never while a hook runs.
//!
//! Invariant: a call that returns an error, made to fail or not, or that panics, has changed no state and no content.
//!
//! ```text
//! base                    base + window                                   end
//! | window: reserve(Some) | extra: reserve(None), alloc, sparse, with gaps |
//! ```

mod calls;
mod faults;
mod host;
mod states;
mod verbs;

use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::boxed::Box;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::vec::Vec;

pub use calls::{Call, Verb};
pub use states::State;

use crate::os::{OsError, Window};
use crate::units::{Addr, GIB, KIB};
use calls::Record;
use faults::Plan;
use host::Host;
use states::States;

/// The default number of address bits.
#[cfg(target_pointer_width = "64")]
const ADDRESS_BITS: u32 = 47;
/// The default number of address bits.
#[cfg(target_pointer_width = "32")]
const ADDRESS_BITS: u32 = 32;

/// The default size of the window.
#[cfg(target_pointer_width = "64")]
const WINDOW: usize = 64 * GIB;
/// The default size of the window.
#[cfg(target_pointer_width = "32")]
const WINDOW: usize = GIB / 4;

/// The default least size of the extra area.
#[cfg(target_pointer_width = "64")]
const EXTRA: usize = GIB;
/// The default least size of the extra area.
#[cfg(target_pointer_width = "32")]
const EXTRA: usize = GIB / 16;

/// How far a reading of the simulated clock advances it.
const TICK: u64 = 1_000;
/// How far a yield advances it.
const SLICE: u64 = 1_000_000;

/// The simulated clock, in nanoseconds. All instances share it, since `Platform` has no instance.
static CLOCK: AtomicU64 = AtomicU64::new(0);

std::thread_local! {
    /// A function that this thread calls in the middle of its next posting to the statistics.
    static HALFWAY: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

type Hook = Arc<dyn Fn(Verb, Addr, usize) + Send + Sync>;

/// A simulated OS. See the [module](self).
///
/// ```
/// use crossfoot::os::{Memory, sim::Sim};
/// let sim = Sim::new().physical_page(16 << 10);
/// let at = sim.alloc(32 << 10).unwrap();
/// assert_eq!((at.0 % (16 << 10), sim.ready_bytes()), (0, 32 << 10));
/// ```
///
/// The builder method [`Sim::window`] hides the method of [`Memory`](crate::os::Memory) of that name; [`Sim::place`]
/// returns the window.
pub struct Sim {
    shape: Shape,
    /// Created at the first use, when the shape is final.
    host: OnceLock<Host>,
    fence_registered: AtomicBool,
    fence_refused: AtomicBool,
    machine: Mutex<Machine>,
    hook: Mutex<Option<Hook>>,
}

/// The properties of a simulated OS that a test chooses.
struct Shape {
    physical_page: usize,
    address_bits: u32,
    window: usize,
    extra: Option<usize>,
    has_fence: bool,
}

/// The changing part of a simulated OS.
struct Machine {
    states: States,
    plan: Plan,
    record: Record,
    /// The limit of Ready memory in bytes.
    ready_limit: usize,
    /// The limit of mappings.
    mapping_limit: usize,
    /// Where the next search for a hole in the extra area begins. Freed addresses are reused only when the area is used
    /// up, so that a stale pointer faults.
    cursor: usize,
    printed: Vec<u8>,
}

/// Configuration. Each method must be called before the first use.
impl Sim {
    /// Returns a simulated OS with 4 KiB physical pages, 47 address bits, a window of 64 GiB (32-bit hosts: 32 bits and
    /// 256 MiB), and a working fence.
    pub const fn new() -> Sim {
        Sim {
            shape: Shape {
                physical_page: 4 * KIB,
                address_bits: ADDRESS_BITS,
                window: WINDOW,
                extra: None,
                has_fence: true,
            },
            host: OnceLock::new(),
            fence_registered: AtomicBool::new(false),
            fence_refused: AtomicBool::new(false),
            machine: Mutex::new(Machine {
                states: States::new(),
                plan: Plan::new(),
                record: Record::new(),
                ready_limit: usize::MAX,
                mapping_limit: usize::MAX,
                cursor: 0,
                printed: Vec::new(),
            }),
            hook: Mutex::new(None),
        }
    }

    /// Sets the size of a physical page: a power of two, 4 to 64 KiB, not below the host's.
    pub fn physical_page(mut self, bytes: usize) -> Sim {
        assert!(bytes.is_power_of_two() && (4 * KIB..=64 * KIB).contains(&bytes), "sim: physical page of {bytes}");
        assert!(
            bytes >= crate::os::Memory::physical_page_size(&crate::os::Linux),
            "sim: physical page of {bytes} is below the host's"
        );
        self.shape.physical_page = bytes;
        self.unused_so_far()
    }

    /// Sets how many bits an address has, 31 to 47. The memory lies below that address.
    pub fn address_bits(mut self, bits: u32) -> Sim {
        assert!((31..=ADDRESS_BITS).contains(&bits), "sim: {bits} address bits");
        self.shape.address_bits = bits;
        self.unused_so_far()
    }

    /// Sets the size of the window in bytes, a multiple of 64 KiB.
    pub fn window(mut self, bytes: usize) -> Sim {
        assert!(bytes != 0 && bytes.is_multiple_of(64 * KIB), "sim: window of {bytes:#x}");
        self.shape.window = bytes;
        self.unused_so_far()
    }

    /// Sets the least size of the extra area, the source of memory without a wanted address. The area ends at a
    /// multiple of 64 MiB. The default is 1/64 of the window plus 1/8192 of the address space, at least 1 GiB.
    pub fn extra(mut self, bytes: usize) -> Sim {
        self.shape.extra = Some(bytes);
        self.unused_so_far()
    }

    /// Makes [`Fence::register_fence`](crate::os::Fence::register_fence) return `false`.
    pub fn without_fence(mut self) -> Sim {
        self.shape.has_fence = false;
        self.unused_so_far()
    }

    /// Makes the calling thread run `hook` in the middle of its next posting to any allocator's statistics, as if it were
    /// stopped there.
    pub fn stop_halfway(hook: impl FnOnce() + 'static) {
        HALFWAY.set(Some(Box::new(hook)));
    }

    /// Makes [`Fence::fence_all`](crate::os::Fence::fence_all) fail from now on, as a seccomp filter does.
    pub fn fail_fence(&self) {
        self.fence_refused.store(true, Ordering::Release);
    }

    /// Panics if the simulated OS was used.
    fn unused_so_far(self) -> Sim {
        assert!(self.host.get().is_none(), "sim: the shape of a simulated OS in use cannot change");
        self
    }
}

/// Faults. Calls are numbered from 1. Armed plans add up, until [`Sim::fail_never`].
impl Sim {
    /// Makes the `n`-th fallible call from now (1 is the next) fail with [`OsError::OutOfMemory`].
    pub fn fail_nth(&self, n: u64) {
        self.fail_nth_with(n, OsError::OutOfMemory);
    }

    /// Makes the `n`-th fallible call from now fail with `error`.
    pub fn fail_nth_with(&self, n: u64, error: OsError) {
        assert!(n >= 1, "sim: calls are numbered from 1");
        let mut machine = self.machine();
        let number = machine.record.fallible + n;
        machine.plan.fail_at(number, error);
    }

    /// Makes the `n`-th fallible call from now and all later ones fail with [`OsError::OutOfMemory`].
    pub fn fail_from(&self, n: u64) {
        self.fail_from_with(n, OsError::OutOfMemory);
    }

    /// Makes the `n`-th fallible call from now and all later ones fail with `error`.
    pub fn fail_from_with(&self, n: u64, error: OsError) {
        assert!(n >= 1, "sim: calls are numbered from 1");
        let mut machine = self.machine();
        let number = machine.record.fallible + n;
        machine.plan.fail_from(number, error);
    }

    /// Makes all calls of `verb` fail with [`OsError::OutOfMemory`].
    pub fn fail_verb(&self, verb: Verb) {
        self.fail_verb_with(verb, OsError::OutOfMemory);
    }

    /// Makes all calls of `verb` fail with `error`.
    pub fn fail_verb_with(&self, verb: Verb, error: OsError) {
        assert!(verb.is_fallible(), "sim: {} cannot fail", verb.name());
        self.machine().plan.fail_verb(verb, error);
    }

    /// Every call of `verb` for more than `size` bytes fails with [`OsError::OutOfMemory`].
    pub fn fail_above(&self, verb: Verb, size: usize) {
        assert!(verb.is_fallible(), "sim: {} cannot fail", verb.name());
        self.machine().plan.fail_above(verb, size);
    }

    /// Makes one fallible call in `one_in` fail with [`OsError::OutOfMemory`]. `seed` and the order of the calls decide
    /// which.
    pub fn fail_randomly(&self, seed: u64, one_in: u64) {
        assert!(one_in >= 1, "sim: one call in none");
        self.machine().plan.fail_randomly(seed, one_in);
    }

    /// Disarms all plans. The limits stay.
    pub fn fail_never(&self) {
        self.machine().plan = Plan::new();
    }

    /// Makes calls that would bring Ready memory above `bytes` fail with [`OsError::OutOfMemory`]. Memory that is Ready
    /// already stays Ready.
    pub fn limit_ready(&self, bytes: usize) {
        self.machine().ready_limit = bytes;
    }

    /// Makes calls fail with [`OsError::OutOfMemory`] that would add mappings beyond `count`. As on Linux, adjacent
    /// pages with the same rights are one mapping.
    pub fn limit_mappings(&self, count: usize) {
        self.machine().mapping_limit = count;
    }

    /// Returns the number of mappings.
    pub fn mappings(&self) -> usize {
        self.machine().states.mappings()
    }

    /// Calls `hook` before each call, with the verb and the requested address (null if there is none) and size. It runs
    /// on the calling thread and without a lock: it may read the simulated OS, and it may block to stop a thread in the
    /// middle.
    pub fn on_call(&self, hook: impl Fn(Verb, Addr, usize) + Send + Sync + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Removes the hook.
    pub fn no_hook(&self) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Readings for tests.
impl Sim {
    /// Returns the window, as [`Memory::window`](crate::os::Memory::window) does.
    pub fn place(&self) -> Window {
        Window { base: Addr(self.host().base()), size: self.shape.window }
    }

    /// Returns the number of fallible calls so far, successful or not.
    pub fn calls(&self) -> u64 {
        self.machine().record.fallible
    }

    /// Returns the number of calls of `verb` so far.
    pub fn count(&self, verb: Verb) -> u64 {
        self.machine().record.count(verb)
    }

    /// Returns how many calls a plan made fail so far. The limits do not count.
    pub fn injected(&self) -> u64 {
        self.machine().record.injected
    }

    /// Returns the last 256 calls, oldest first.
    pub fn log(&self) -> Vec<Call> {
        self.machine().record.last()
    }

    /// Returns the state of the byte at `addr`.
    pub fn state_at(&self, addr: Addr) -> State {
        self.machine().states.at(addr.0)
    }

    /// Returns every range that is not in [`State::None`], lowest first: address, size, state. Adjacent ranges differ
    /// in state.
    pub fn ranges(&self) -> Vec<(Addr, usize, State)> {
        let machine = self.machine();
        machine.states.entries().map(|p| (Addr(p.range.start), p.range.len(), p.state)).collect()
    }

    /// Panics unless every byte of the range is Ready, or sparse and writable. For memory that a test does not really
    /// touch.
    pub fn touch(&self, addr: Addr, size: usize) {
        let range = addr.0..addr.0.saturating_add(size);
        self.machine().require("touch", range, &[State::Ready, State::SparseReady]);
    }

    /// Returns the bytes in `state`, which must not be [`State::None`].
    pub fn bytes_in(&self, state: State) -> usize {
        self.machine().states.total(state)
    }

    /// Returns the Ready bytes, guarded or not, without sparse ones: the account `mapped_ready` must equal this.
    pub fn ready_bytes(&self) -> usize {
        let machine = self.machine();
        machine.states.total(State::Ready) + machine.states.total(State::Guarded)
    }

    /// Returns the bytes in Prepared.
    pub fn prepared_bytes(&self) -> usize {
        self.bytes_in(State::Prepared)
    }

    /// Returns the bytes in Reserved.
    pub fn reserved_bytes(&self) -> usize {
        self.bytes_in(State::Reserved)
    }

    /// Returns the bytes of sparse ranges, writable or not.
    pub fn sparse_bytes(&self) -> usize {
        let machine = self.machine();
        machine.states.total(State::Sparse) + machine.states.total(State::SparseReady)
    }

    /// Returns the text printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.machine().printed).into_owned()
    }

    /// Advances the simulated clock by `nanoseconds`, for every simulated OS of the process. By itself it advances by a
    /// microsecond at each reading, and by a millisecond at each yield.
    pub fn advance(nanoseconds: u64) {
        CLOCK.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Sim {
    /// Returns the real memory under the simulated OS.
    fn host(&self) -> &Host {
        self.host.get_or_init(|| {
            let shape = &self.shape;
            // On a 32-bit host the shift overflows; then the limit leaves out the last page.
            let limit = 1usize.checked_shl(shape.address_bits).unwrap_or(usize::MAX);
            let by_default = (shape.window / 64 + (limit >> 13)).max(EXTRA);
            let size = shape.window.checked_add(shape.extra.unwrap_or(by_default));
            Host::new(size.expect("sim: window and extra area overflow"), limit)
        })
    }

    /// Returns the area for memory without a wanted address.
    fn extra_area(&self) -> Range<usize> {
        let host = self.host();
        host.base() + self.shape.window..host.end()
    }

    /// Locks the changing part. A poisoned lock is ignored: a call that panics has changed nothing.
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Sim {
    fn default() -> Sim {
        Sim::new()
    }
}

/// Ends the test: the allocator's request is illegal on every OS, even if some would accept it.
fn illegal(verb: &str, range: &Range<usize>, found: &str, required: &str) -> ! {
    panic!("sim: {verb} of [{:#x}, {:#x}): found {found}, required {required}", range.start, range.end);
}
