//! The simulated OS, the given region, and Linux inside one range: what they grant and refuse, and when they end a
//! test.

#[path = "os_sim/content.rs"]
mod content;
#[path = "os_sim/faults.rs"]
mod faults;
#[path = "os_sim/guard.rs"]
mod guard;
#[cfg(target_pointer_width = "64")]
#[path = "os_sim/machine.rs"]
mod machine;
#[path = "os_sim/range.rs"]
mod range;
#[path = "os_sim/region.rs"]
mod region;
#[path = "os_sim/transitions.rs"]
mod transitions;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crossfoot::os::sim::{Sim, State, Verb};
use crossfoot::os::{Memory, Os, OsError};
use crossfoot::units::{Addr, KIB};

const PAGE: usize = 4 * KIB;

/// Calls an unsafe verb on a simulated OS or a region.
macro_rules! call {
    ($os:expr, $verb:ident($($argument:expr),*)) => {
        // SAFETY: every range that the tests name lies in memory of the machine, which refuses what
        // its state does not allow; nobody else uses it.
        unsafe { $os.$verb($($argument),*) }
    };
}

use call;

/// Returns the fatal line of `act`.
fn line_of<T: std::fmt::Debug>(act: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(act)).expect_err("nothing ended the test");
    payload.downcast_ref::<String>().cloned().expect("a formatted line")
}

fn write(at: Addr, size: usize, byte: u8) {
    // SAFETY: the tests write to memory that they made Ready.
    unsafe { at.ptr::<u8>().write_bytes(byte, size) };
}

fn is_all(at: Addr, size: usize, byte: u8) -> bool {
    // SAFETY: the tests read memory that they made Ready, or sparse.
    unsafe { std::slice::from_raw_parts(at.ptr::<u8>(), size) }.iter().all(|&b| b == byte)
}

/// Brings a range of the window from None to `state`.
fn bring(sim: &Sim, at: Addr, size: usize, state: State) {
    let depth = match state {
        State::None => 0,
        State::Reserved => 1,
        State::Prepared => 2,
        State::Ready => 3,
        State::Guarded => 4,
        State::Sparse | State::SparseReady => panic!("sparse memory has no wanted place"),
    };
    if depth >= 1 {
        assert_eq!(sim.reserve(Some(at), size), Ok(at));
    }
    if depth >= 2 {
        assert_eq!(call!(sim, map(at, size)), Ok(()));
    }
    if depth >= 3 {
        assert_eq!(call!(sim, used(at, size)), Ok(()));
    }
    if depth >= 4 {
        assert_eq!(call!(sim, guard(at, size)), Ok(()));
    }
}

/// A call of one of the verbs that act on one range.
fn act(os: &impl Os, verb: Verb, at: Addr, size: usize) -> Result<(), OsError> {
    match verb {
        Verb::Map => call!(os, map(at, size)),
        Verb::Used => call!(os, used(at, size)),
        Verb::Unused => call!(os, unused(at, size)),
        Verb::Fault => call!(os, fault(at, size)),
        Verb::Free => call!(os, free(at, size)),
        Verb::Guard => call!(os, guard(at, size)),
        Verb::Unguard => call!(os, unguard(at, size)),
        Verb::HugePage => call!(os, huge_page(at, size)),
        Verb::NoHugePage => call!(os, no_huge_page(at, size)),
        Verb::Collapse => call!(os, collapse(at, size)),
        Verb::SparseReady => call!(os, sparse_ready(at, size)),
        other => panic!("{other:?} is not on one range"),
    }
}
