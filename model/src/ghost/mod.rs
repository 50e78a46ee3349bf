//! What loom does not know: the fence that reaches every thread, threads that stop or die in the middle, signals, and
//! stores that a compiler moved.
//!
//! The state is ordinary memory. Loom runs one thread at a time and switches between them at its own operations
//! only, so nothing here is raced for; but where a thread's turn matters to another one, an operation of loom's
//! says so (`Turn`), or loom would not try both orders.
//!
//! The heavy fence is what `membarrier(2)` is: every other thread that runs executes a full fence at some point
//! between the call's start and its return. Here it does so before its next operation, which is any point, because
//! the request comes at any point. A thread that does not run (it has ended, or waits for a lock) has passed
//! through the kernel, which is a full fence too.
//!
//! Each of these fences orders one thread and the reader, and not two threads that were both reached. That is less
//! than what the system does: nothing may rest on more.

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

/// How the two sides of the pair of fences are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Both are real fences.
    Symmetric,
    /// The writer's binds the compiler only; the reader's reaches every thread.
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

/// The reader's fence, as `ConsistentStats` makes it. Says whether the system did.
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

/// Names what the calling thread does meanwhile: a fence that serves several purposes is weakened for each of them.
pub fn during<R>(purpose: &'static str, f: impl FnOnce() -> R) -> R {
    let me = world().me();
    me.during.set(purpose);
    let result = f();
    me.during.set("");
    result
}

/// Does something that begins again with its first load until others have gone on.
pub fn retrying<R>(f: impl FnOnce() -> R) -> R {
    let me = world().me();
    me.round.set(Some(None));
    let result = f();
    me.round.set(None);
    result
}

/// Does what another thread would do, where it makes no difference which one does it.
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

/// Begins a thread of the model.
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
    /// Waits until the thread has ended.
    pub fn join(&mut self) {
        if let Some(real) = self.real.take() {
            away(|| real.join().expect("a thread of the model panicked"));
        }
    }

    /// Lets a thread go on that stopped, or would stop from now on.
    pub fn go_on(&self) {
        self.thread.let_go();
    }
}

/// Does something for which the calling thread may leave the CPU.
pub fn away<R>(f: impl FnOnce() -> R) -> R {
    let world = world();
    let me = world.me();
    world.leave(&me);
    let result = f();
    world.come_back(&me);
    result
}
