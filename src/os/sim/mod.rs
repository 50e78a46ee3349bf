//! The simulated operating system: deterministic, strict, and able to fail any call.
//!
//! Tests put a [`Sim`] under a kernel. It knows the state of every page and panics, with one
//! line that names verb, range, state found and state required, on any transition that the
//! table of the room does not have. The memory is real and its protections follow the states,
//! so that a touch of a page that is not Ready faults where it happens.
//!
//! Unlike the other implementations it allocates (from `std`) and takes a lock of its own,
//! which is held during a call and never while a hook runs.
//!
//! Invariant: a call that returns an error, whether made to fail or not, or that panics, has
//! changed no state and no content.
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

use super::{OsError, Window};
use crate::units::{Addr, GIB, KIB};
use calls::Record;
use faults::Plan;
use host::Host;
use states::States;

/// Bits of an address, unless a test says otherwise.
#[cfg(target_pointer_width = "64")]
const ADDRESS_BITS: u32 = 47;
/// Bits of an address, unless a test says otherwise.
#[cfg(target_pointer_width = "32")]
const ADDRESS_BITS: u32 = 32;

/// Size of the window, unless a test says otherwise.
#[cfg(target_pointer_width = "64")]
const WINDOW: usize = 64 * GIB;
/// Size of the window, unless a test says otherwise.
#[cfg(target_pointer_width = "32")]
const WINDOW: usize = GIB / 4;

/// The least size of the extra area, unless a test says otherwise.
#[cfg(target_pointer_width = "64")]
const EXTRA: usize = GIB;
/// The least size of the extra area, unless a test says otherwise.
#[cfg(target_pointer_width = "32")]
const EXTRA: usize = GIB / 16;

/// How far the simulated clock goes on whenever it is read.
const TICK: u64 = 1_000;
/// How far it goes on by a yield.
const SLICE: u64 = 1_000_000;

/// The simulated clock, in nanoseconds. One for all machines, since it has no instance.
static CLOCK: AtomicU64 = AtomicU64::new(0);

std::thread_local! {
    /// What this thread does in the middle of its next entry in the books.
    static HALFWAY: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

type Hook = Arc<dyn Fn(Verb, Addr, usize) + Send + Sync>;

/// A simulated machine. See the [module](self).
///
/// ```
/// use crossfoot::os::{Os, sim::Sim};
/// let sim = Sim::new().physical_page(16 << 10).cpus(4);
/// let at = sim.alloc(32 << 10).unwrap();
/// assert_eq!((at.0 % (16 << 10), sim.ready_bytes()), (0, 32 << 10));
/// ```
///
/// The builder methods [`Sim::window`], [`Sim::address_bits`] and [`Sim::cpus`] bear the names of
/// methods of [`Os`](super::Os), and win where the machine is a plain local: there
/// [`Sim::place`] gives the window.
pub struct Sim {
    shape: Shape,
    /// Made at first use, when the shape is settled.
    host: OnceLock<Host>,
    fence_registered: AtomicBool,
    fence_refused: AtomicBool,
    machine: Mutex<Machine>,
    hook: Mutex<Option<Hook>>,
}

/// What a test chooses when it makes a machine.
struct Shape {
    physical_page: usize,
    address_bits: u32,
    cpus: usize,
    window: usize,
    extra: Option<usize>,
    has_fence: bool,
}

/// What changes while a machine runs.
struct Machine {
    states: States,
    plan: Plan,
    record: Record,
    /// Ready memory may not grow beyond so many bytes.
    ready_limit: usize,
    /// There may not be more mappings than so many.
    mapping_limit: usize,
    /// Where the search for a hole in the extra area goes on. Addresses that were given up come
    /// back only when the area is used up, so that a stale pointer faults.
    cursor: usize,
    printed: Vec<u8>,
}

/// Making a machine. Each method must come before the first use.
impl Sim {
    /// 4 KiB physical pages, 47 address bits, a window of 64 GiB (32-bit hosts: 32 bits and
    /// 256 MiB), 2 CPUs, and a fence that works.
    pub const fn new() -> Sim {
        Sim {
            shape: Shape {
                physical_page: 4 * KIB,
                address_bits: ADDRESS_BITS,
                cpus: 2,
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

    /// The size of a physical page: a power of two, 4 to 64 KiB, not below the host's.
    pub fn physical_page(mut self, bytes: usize) -> Sim {
        assert!(bytes.is_power_of_two() && (4 * KIB..=64 * KIB).contains(&bytes), "sim: physical page of {bytes}");
        assert!(
            bytes >= super::Os::physical_page_size(&super::Linux),
            "sim: physical page of {bytes} is below the host's"
        );
        self.shape.physical_page = bytes;
        self.unused_so_far()
    }

    /// How many bits an address has, 31 to 47. The memory really lies below that.
    pub fn address_bits(mut self, bits: u32) -> Sim {
        assert!((31..=ADDRESS_BITS).contains(&bits), "sim: {bits} address bits");
        self.shape.address_bits = bits;
        self.unused_so_far()
    }

    /// The size of the window in bytes: whole pages of 64 KiB.
    pub fn window(mut self, bytes: usize) -> Sim {
        assert!(bytes != 0 && bytes.is_multiple_of(64 * KIB), "sim: window of {bytes:#x}");
        self.shape.window = bytes;
        self.unused_so_far()
    }

    /// The least size of the extra area, where memory without a wanted address comes from; it ends
    /// at a multiple of 64 MiB. By default 1/64 of the window and 1/8192 of the address space, and
    /// at least 1 GiB.
    pub fn extra(mut self, bytes: usize) -> Sim {
        self.shape.extra = Some(bytes);
        self.unused_so_far()
    }

    /// The number of CPUs that the machine claims.
    pub fn cpus(mut self, count: usize) -> Sim {
        assert!(count >= 1, "sim: no CPUs");
        self.shape.cpus = count;
        self.unused_so_far()
    }

    /// [`Os::register_fence`](super::Os::register_fence) says that there is no fence.
    pub fn without_fence(mut self) -> Sim {
        self.shape.has_fence = false;
        self.unused_so_far()
    }

    /// Has the calling thread run `hook` in the middle of its next entry in the books of any kernel: as if it
    /// were stopped there.
    pub fn stop_halfway(hook: impl FnOnce() + 'static) {
        HALFWAY.set(Some(Box::new(hook)));
    }

    /// From now on [`Os::fence_all`](super::Os::fence_all) is refused, as by a filter of system calls.
    pub fn fail_fence(&self) {
        self.fence_refused.store(true, Ordering::Release);
    }

    fn unused_so_far(self) -> Sim {
        assert!(self.host.get().is_none(), "sim: the shape of a machine in use cannot change");
        self
    }
}

/// Faults. Calls are numbered from 1; all plans that are armed hold together, until
/// [`Sim::fail_never`].
impl Sim {
    /// The `n`-th fallible call from now (1 is the next) fails with [`OsError::OutOfMemory`].
    pub fn fail_nth(&self, n: u64) {
        self.fail_nth_with(n, OsError::OutOfMemory);
    }

    /// The `n`-th fallible call from now fails with `error`.
    pub fn fail_nth_with(&self, n: u64, error: OsError) {
        assert!(n >= 1, "sim: calls are numbered from 1");
        let mut machine = self.machine();
        let number = machine.record.fallible + n;
        machine.plan.fail_at(number, error);
    }

    /// The `n`-th fallible call from now and every later one fail with [`OsError::OutOfMemory`].
    pub fn fail_from(&self, n: u64) {
        self.fail_from_with(n, OsError::OutOfMemory);
    }

    /// The `n`-th fallible call from now and every later one fail with `error`.
    pub fn fail_from_with(&self, n: u64, error: OsError) {
        assert!(n >= 1, "sim: calls are numbered from 1");
        let mut machine = self.machine();
        let number = machine.record.fallible + n;
        machine.plan.fail_from(number, error);
    }

    /// Every call of `verb` fails with [`OsError::OutOfMemory`].
    pub fn fail_verb(&self, verb: Verb) {
        self.fail_verb_with(verb, OsError::OutOfMemory);
    }

    /// Every call of `verb` fails with `error`.
    pub fn fail_verb_with(&self, verb: Verb, error: OsError) {
        assert!(verb.is_fallible(), "sim: {} cannot fail", verb.name());
        self.machine().plan.fail_verb(verb, error);
    }

    /// Every call of `verb` for more than `size` bytes fails with [`OsError::OutOfMemory`].
    pub fn fail_above(&self, verb: Verb, size: usize) {
        assert!(verb.is_fallible(), "sim: {} cannot fail", verb.name());
        self.machine().plan.fail_above(verb, size);
    }

    /// One fallible call in `one_in` fails with [`OsError::OutOfMemory`]; which ones follows from
    /// `seed` and the order of the calls alone.
    pub fn fail_randomly(&self, seed: u64, one_in: u64) {
        assert!(one_in >= 1, "sim: one call in none");
        self.machine().plan.fail_randomly(seed, one_in);
    }

    /// Disarms every plan. The limit of Ready memory stays.
    pub fn fail_never(&self) {
        self.machine().plan = Plan::new();
    }

    /// A call that would bring Ready memory above `bytes` fails with [`OsError::OutOfMemory`].
    /// What is Ready already stays so.
    pub fn limit_ready(&self, bytes: usize) {
        self.machine().ready_limit = bytes;
    }

    /// A call that would leave more than `count` mappings, and more than there are, fails with [`OsError::OutOfMemory`]. A
    /// mapping is what Linux makes one: neighbours with the same rights.
    pub fn limit_mappings(&self, count: usize) {
        self.machine().mapping_limit = count;
    }

    /// How many mappings there are.
    pub fn mappings(&self) -> usize {
        self.machine().states.mappings()
    }

    /// Calls `hook` before each call of the machine, with the verb and the address and size as
    /// they were asked for (null where there is no address), on the calling thread and without any
    /// lock: it may look at the machine, and it may block to hold a writer in the middle.
    pub fn on_call(&self, hook: impl Fn(Verb, Addr, usize) + Send + Sync + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Takes the hook away.
    pub fn no_hook(&self) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What a test may see.
impl Sim {
    /// The window, as [`Os::window`](super::Os::window) gives it.
    pub fn place(&self) -> Window {
        Window { base: Addr(self.host().base()), size: self.shape.window }
    }

    /// How many fallible calls were answered so far, with success or not.
    pub fn calls(&self) -> u64 {
        self.machine().record.fallible
    }

    /// How many calls of `verb` were answered so far.
    pub fn count(&self, verb: Verb) -> u64 {
        self.machine().record.count(verb)
    }

    /// How many calls a plan made fail so far. The limit of Ready memory does not count.
    pub fn injected(&self) -> u64 {
        self.machine().record.injected
    }

    /// The last 256 calls, oldest first.
    pub fn log(&self) -> Vec<Call> {
        self.machine().record.last()
    }

    /// The state of the byte at `addr`.
    pub fn state_at(&self, addr: Addr) -> State {
        self.machine().states.at(addr.0)
    }

    /// Every stretch that is not in [`State::None`], lowest first: address, size, state. Stretches
    /// that touch differ in state.
    pub fn ranges(&self) -> Vec<(Addr, usize, State)> {
        let machine = self.machine();
        machine.states.entries().map(|p| (Addr(p.range.start), p.range.len(), p.state)).collect()
    }

    /// Panics unless every byte of the range is Ready or sparse and writable. For memory that a
    /// test has no wish to touch for real.
    pub fn touch(&self, addr: Addr, size: usize) {
        let range = addr.0..addr.0.saturating_add(size);
        self.machine().require("touch", range, &[State::Ready, State::SparseReady]);
    }

    /// Bytes in `state`; [`State::None`] has no count.
    pub fn bytes_in(&self, state: State) -> usize {
        self.machine().states.total(state)
    }

    /// Bytes in Ready, guarded or not, sparse ones apart: what `mapped_ready` must say.
    pub fn ready_bytes(&self) -> usize {
        let machine = self.machine();
        machine.states.total(State::Ready) + machine.states.total(State::Guarded)
    }

    /// Bytes in Prepared.
    pub fn prepared_bytes(&self) -> usize {
        self.bytes_in(State::Prepared)
    }

    /// Bytes in Reserved.
    pub fn reserved_bytes(&self) -> usize {
        self.bytes_in(State::Reserved)
    }

    /// Bytes of sparse ranges, writable or not.
    pub fn sparse_bytes(&self) -> usize {
        let machine = self.machine();
        machine.states.total(State::Sparse) + machine.states.total(State::SparseReady)
    }

    /// What was printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.machine().printed).into_owned()
    }

    /// Lets the simulated clock go on by `nanoseconds`, for every machine of the process. By
    /// itself it goes on by a microsecond whenever it is read, and by a millisecond whenever a thread yields.
    pub fn advance(nanoseconds: u64) {
        CLOCK.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Sim {
    /// The memory under the machine.
    fn host(&self) -> &Host {
        self.host.get_or_init(|| {
            let shape = &self.shape;
            // On a 32-bit host the last page stays out, and the limit fits.
            let limit = 1usize.checked_shl(shape.address_bits).unwrap_or(usize::MAX);
            let by_default = (shape.window / 64 + (limit >> 13)).max(EXTRA);
            let size = shape.window.checked_add(shape.extra.unwrap_or(by_default));
            Host::new(size.expect("sim: window and extra area overflow"), limit)
        })
    }

    /// Where memory without a wanted address comes from.
    fn extra_area(&self) -> Range<usize> {
        let host = self.host();
        host.base() + self.shape.window..host.end()
    }

    /// The changing part. A test that caught a panic goes on: nothing is changed by halves.
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Sim {
    fn default() -> Sim {
        Sim::new()
    }
}

/// Ends the test: the kernel asked for what no machine would let pass or, worse, some would.
fn illegal(verb: &str, range: &Range<usize>, found: &str, required: &str) -> ! {
    panic!("sim: {verb} of [{:#x}, {:#x}): found {found}, required {required}", range.start, range.end);
}
