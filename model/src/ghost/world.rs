//! One execution of a model, and its threads.

use core::panic::Location;
use core::sync::atomic::Ordering;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use loom::sync::atomic as real;

use super::Mode;
use super::fate::Fate;
use super::operation::Delayed;
use crate::sites::Spot;

/// Two threads that touch the same turn do so in either order: loom tries both. It orders no memory.
#[derive(Clone)]
pub(super) struct Turn(Rc<loom::sync::Condvar>);

impl Turn {
    pub(super) fn new() -> Turn {
        Turn(Rc::new(loom::sync::Condvar::new()))
    }

    pub(super) fn touch(&self) {
        // No thread waits for this.
        self.0.notify_one();
    }
}

/// The point where a thread and a heavy fence meet.
struct Meeting {
    /// Touched before each operation of the thread, and when a fence is requested of it.
    gate: Turn,
    /// Orders the thread's work before it left the CPU with a heavy fence that skips it, and that fence with the
    /// thread's work afterwards.
    allocator: real::AtomicUsize,
}

impl Meeting {
    fn new() -> Rc<Meeting> {
        Rc::new(Meeting { gate: Turn::new(), allocator: real::AtomicUsize::new(0) })
    }
}

/// A thread.
pub(super) struct Thread {
    pub(super) index: usize,
    handle: loom::thread::Thread,
    /// It runs, and may hold its stores back.
    running: Cell<bool>,
    /// A heavy fence waits for it.
    asked: Cell<bool>,
    /// Its meeting point with heavy fences; none if they do not reach it.
    meeting: Option<Rc<Meeting>>,
    pub(super) fate: Cell<Fate>,
    /// The number of stores that it executed.
    pub(super) stores: Cell<usize>,
    let_go: Cell<bool>,
    pub(super) handler: RefCell<Option<Box<dyn FnOnce()>>>,
    /// The purpose of its operations.
    pub(super) during: Cell<&'static str>,
    /// In a loop that waits for other threads: the first operation of its round, once it is known.
    pub(super) round: Cell<Option<Option<Spot>>>,
    /// Its last store, if a compiler may move it.
    pub(super) last_store: Cell<Option<Spot>>,
    /// The store that a compiler moved.
    pub(super) delayed: Cell<Option<Delayed>>,
}

impl Thread {
    fn new(index: usize, handle: loom::thread::Thread, meeting: Option<Rc<Meeting>>) -> Rc<Thread> {
        Rc::new(Thread {
            index,
            handle,
            // The first thread runs. The others set this themselves.
            running: Cell::new(index == 0),
            asked: Cell::new(false),
            meeting,
            fate: Cell::new(Fate::Run),
            stores: Cell::new(0),
            let_go: Cell::new(false),
            handler: RefCell::new(None),
            during: Cell::new(""),
            round: Cell::new(None),
            last_store: Cell::new(None),
            delayed: Cell::new(None),
        })
    }

    pub(super) fn let_go(&self) {
        self.let_go.set(true);
        self.handle.unpark();
    }

    pub(super) fn wait_until_let_go(&self) {
        while !self.let_go.get() {
            loom::thread::park();
        }
    }
}

/// The events of an execution, to explain a failure.
struct Event {
    thread: usize,
    at: Spot,
    what: &'static str,
    value: isize,
}

/// One execution of a model.
pub(super) struct World {
    pub(super) mode: Mode,
    threads: RefCell<Vec<Rc<Thread>>>,
    /// Created before the first thread, because any thread may use any of them.
    meetings: RefCell<Vec<Rc<Meeting>>>,
    /// Touched before each full fence.
    fences: Turn,
    /// The thread that makes a heavy fence.
    reader: RefCell<Option<loom::thread::Thread>>,
    trace: RefCell<Vec<Event>>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
    static EXECUTIONS: Cell<usize> = const { Cell::new(0) };
}

/// Starts an execution of this many threads; the caller is the first. Forgets the last execution.
pub fn begin(mode: Mode, threads: usize) {
    let count = if mode == Mode::Asymmetric { threads } else { 0 };
    let mut meetings: Vec<_> = (0..count).map(|_| Meeting::new()).collect();
    let world = World {
        mode,
        threads: RefCell::new(vec![Thread::new(0, loom::thread::current(), meetings.pop())]),
        meetings: RefCell::new(meetings),
        fences: Turn::new(),
        reader: RefCell::new(None),
        trace: RefCell::default(),
    };
    WORLD.set(Some(Rc::new(world)));
    EXECUTIONS.set(EXECUTIONS.get() + 1);
}

/// Returns how many executions this OS thread started since the last call.
pub fn executions() -> usize {
    EXECUTIONS.take()
}

/// Returns the events of this execution, one a line, in the order in which loom executed them. A load may have read an
/// older store.
pub fn trace() -> String {
    let Some(world) = WORLD.with_borrow(Clone::clone) else { return String::new() };
    let line = |e: &Event| format!("thread {} {} {} {}\n", e.thread, e.at, e.what, e.value);
    world.trace.borrow().iter().map(line).collect()
}

pub(super) fn world() -> Rc<World> {
    WORLD.with_borrow(Clone::clone).expect("a model begins with `ghost::begin`")
}

/// Returns the world and the thread of the caller's operation. Returns `None` if the operation is not to be executed:
/// the thread is dead, or it unwinds because the model failed.
pub(super) fn actor() -> Option<(Rc<World>, Rc<Thread>)> {
    if std::thread::panicking() {
        return None;
    }
    let world = world();
    let me = world.me();
    (me.fate.get() != Fate::Dead).then_some((world, me))
}

impl World {
    pub(super) fn me(&self) -> Rc<Thread> {
        let id = loom::thread::current().id();
        let threads = self.threads.borrow();
        let me = threads.iter().find(|thread| thread.handle.id() == id);
        Rc::clone(me.expect("threads of a model are spawned by `ghost::spawn`"))
    }

    pub(super) fn add_thread(&self, handle: loom::thread::Thread) -> Rc<Thread> {
        let meeting = self.meetings.borrow_mut().pop();
        let mut threads = self.threads.borrow_mut();
        let thread = Thread::new(threads.len(), handle, meeting);
        threads.push(Rc::clone(&thread));
        thread
    }

    pub(super) fn note(&self, at: &'static Location<'static>, what: &'static str, value: isize) {
        self.trace.borrow_mut().push(Event { thread: self.me().index, at: at.into(), what, value });
    }

    /// Makes a thread execute the fence that was requested of it.
    fn answer(&self, me: &Thread) {
        if me.asked.take() {
            self.note(Location::caller(), "reached by the heavy fence", 0);
            loom::sync::atomic::fence(Ordering::AcqRel);
            if let Some(reader) = &*self.reader.borrow() {
                reader.unpark();
            }
        }
    }

    /// Starts the turn of a thread: a fence may have been requested before.
    pub(super) fn turn(&self, me: &Thread) {
        if let Some(meeting) = &me.meeting {
            meeting.gate.touch();
            self.answer(me);
        }
    }

    /// Lets the thread leave the CPU, which drains its store buffer.
    pub(super) fn leave(&self, me: &Thread) {
        self.settle(me);
        if let Some(meeting) = &me.meeting {
            meeting.allocator.fetch_add(1, Ordering::Release);
            self.answer(me);
        }
        me.running.set(false);
    }

    pub(super) fn come_back(&self, me: &Thread) {
        me.running.set(true);
        if let Some(meeting) = &me.meeting {
            meeting.allocator.fetch_add(1, Ordering::Acquire);
        }
    }

    pub(super) fn full_fence(&self) {
        self.fences.touch();
        loom::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Requests a fence of `thread`, or makes sure that it does not run.
    fn ask(&self, thread: &Thread) {
        let meeting = thread.meeting.as_ref().expect("`ghost::begin` was told how many threads come");
        meeting.gate.touch();
        while !thread.running.get() {
            meeting.allocator.fetch_add(1, Ordering::AcqRel);
            if !thread.running.get() {
                return;
            }
        }
        thread.asked.set(true);
        // The thread sees the reader's earlier work after its fence. A token that remains is harmless: a parked thread
        // checks its condition again.
        thread.handle.unpark();
    }

    pub(super) fn reach_all(&self) {
        let me = self.me();
        self.settle(&me);
        me.last_store.set(None);
        loom::sync::atomic::fence(Ordering::AcqRel);
        self.reader.replace(Some(me.handle.clone()));
        let others: Vec<_> = self.threads.borrow().iter().filter(|thread| !Rc::ptr_eq(thread, &me)).cloned().collect();
        others.iter().for_each(|thread| self.ask(thread));
        while others.iter().any(|thread| thread.asked.get()) {
            loom::thread::park();
        }
        self.reader.replace(None);
        loom::sync::atomic::fence(Ordering::AcqRel);
    }
}
