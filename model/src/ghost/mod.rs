//! Models what loom does not have: the fence that reaches every thread, threads that stop or die in the middle,
//! signals, and stores that a compiler moved.
//!
//! The state is ordinary memory. Loom runs one thread at a time and switches only at its own operations, so nothing
//! here races. Where the turn of a thread matters to another thread, an operation of loom marks it (`Turn`), or loom
//! would not try both orders.
//!
//! The heavy fence models `membarrier(2)`: every other running thread executes a full fence between the call's start
//! and its return. Here it does so before its next operation. That is any point, because the request comes at any
//! point. A thread that does not run, because it exited or waits for a lock, has passed through Linux, which is a full
//! fence too.
//!
//! Each of these fences orders one thread and the reader, and not two threads that were both reached. That is less than
//! Linux does; no protocol may rely on more.

mod fate;
pub(crate) mod operation;
mod signs;
mod world;

use core::panic::Location;
use core::sync::atomic::Ordering;
use std::rc::Rc;

pub use fate::{die_after, interrupt_after, stop_after, stores_of};
pub use signs::{Flag, Guard, Lock};
pub use world::{begin, executions, trace};

use crate::sites::{self, Kind, Site, Spot};
use world::{Thread, world};

/// The implementation of the two fences of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Both are CPU fences.
    Symmetric,
    /// The writer's is a compiler fence; the reader's reaches every thread.
    Asymmetric,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Symmetric => "symmetric",
            Mode::Asymmetric => "asymmetric",
        }
    }
}

/// The heavy fence has no place in the shipped files that are compiled here.
const HEAVY: Spot = Spot { file: "books.rs", line: 0, column: 0 };

/// Makes the reader's fence, as `ConsistentStats` does. Returns whether the OS made it.
pub fn heavy() -> bool {
    let world = world();
    let (kind, ordering) = (Kind::HeavyFence, Ordering::SeqCst);
    let is_gone = sites::meet(Site { spot: HEAVY, kind, ordering, during: world.mode.name() }).is_some();
    match world.mode {
        _ if is_gone => loom::sync::atomic::fence(Ordering::AcqRel),
        Mode::Symmetric => world.full_fence(),
        Mode::Asymmetric => world.reach_all(),
    }
    world.note(Location::caller(), "heavy fence done", 0);
    true
}

/// Names the purpose of the calling thread's operations in `f`: a fence with several purposes is weakened for each of
/// them.
pub fn during<R>(purpose: &'static str, f: impl FnOnce() -> R) -> R {
    let me = world().me();
    me.during.set(purpose);
    let result = f();
    me.during.set("");
    result
}

/// Runs a loop that starts again with its first load until other threads have gone on.
pub fn retrying<R>(f: impl FnOnce() -> R) -> R {
    let me = world().me();
    me.round.set(Some(None));
    let result = f();
    me.round.set(None);
    result
}

/// Runs `f` as another thread would, where it makes no difference which thread does it.
pub fn as_another(f: impl FnOnce()) {
    let world = world();
    let me = world.me();
    world.settle(&me);
    me.last_store.set(None);
    f();
}

/// A thread of the model.
pub struct Handle {
    real: Option<loom::thread::JoinHandle<()>>,
    thread: Rc<Thread>,
}

/// Starts a thread of the model.
pub fn spawn(f: impl FnOnce() + 'static) -> Handle {
    let run = move || {
        let world = self::world();
        let me = world.me();
        world.come_back(&me);
        f();
        world.leave(&me);
    };
    let world = world();
    world.settle(&world.me());
    let real = loom::thread::spawn(run);
    let thread = world.add_thread(real.thread().clone());
    Handle { real: Some(real), thread }
}

impl Handle {
    /// Waits until the thread has exited.
    pub fn join(&mut self) {
        if let Some(real) = self.real.take() {
            away(|| real.join().expect("a thread of the model panicked"));
        }
    }

    /// Resumes a thread that stopped, or that would stop from now on.
    pub fn go_on(&self) {
        self.thread.let_go();
    }
}

/// Runs `f`, for which the calling thread may leave the CPU.
pub fn away<R>(f: impl FnOnce() -> R) -> R {
    let world = world();
    let me = world.me();
    world.leave(&me);
    let result = f();
    world.come_back(&me);
    result
}
