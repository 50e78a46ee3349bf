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

/// Two threads that touch the same one do so in either order: loom tries both. It orders nothing for the memory.
#[derive(Clone)]
pub(super) struct Turn(Rc<loom::sync::Condvar>);

impl Turn {
    pub(super) fn new() -> Turn {
        Turn(Rc::new(loom::sync::Condvar::new()))
    }

    pub(super) fn touch(&self) {
        // Nobody waits for it.
        self.0.notify_one();
    }
}

/// Where a thread and a heavy fence meet.
struct Meeting {
    /// Touched before each operation of the thread and when it is asked for a fence.
    gate: Turn,
    /// Orders what the thread did before it stopped running with a heavy fence that skips it, and that one with what
    /// it does after.
    allocator: real::AtomicUsize,
}

impl Meeting {
    fn new() -> Rc<Meeting> {
        Rc::new(Meeting { gate: Turn::new(), allocator: real::AtomicUsize::new(0) })
    }
}

/// One thread.
pub(super) struct Thread {
    pub(super) index: usize,
    handle: loom::thread::Thread,
    /// It executes operations, and may hold its stores back.
    running: Cell<bool>,
    /// A heavy fence waits for it.
    asked: Cell<bool>,
    /// Where heavy fences meet it; none where they do not reach.
    meeting: Option<Rc<Meeting>>,
    pub(super) fate: Cell<Fate>,
    /// How many it executed.
    pub(super) stores: Cell<usize>,
    let_go: Cell<bool>,
    pub(super) handler: RefCell<Option<Box<dyn FnOnce()>>>,
    /// Names what it does.
    pub(super) during: Cell<&'static str>,
    /// In a loop that waits for others: where its round begins, once that is known.
    pub(super) round: Cell<Option<Option<Spot>>>,
    /// Its last store, if a compiler may move that.
    pub(super) last_store: Cell<Option<Spot>>,
    /// The one that a compiler moved.
    pub(super) delayed: Cell<Option<Delayed>>,
}

impl Thread {
    fn new(index: usize, handle: loom::thread::Thread, meeting: Option<Rc<Meeting>>) -> Rc<Thread> {
        Rc::new(Thread {
            index,
            handle,
            // The first one does. The others say so themselves.
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

/// What happened in an execution, for whoever wants to know why it failed.
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
    /// For the threads to come. Made before the first of them, because any thread may use any of them.
    meetings: RefCell<Vec<Rc<Meeting>>>,
    /// Touched before each full fence.
    fences: Turn,
    /// The thread that is in a heavy fence.
    reader: RefCell<Option<loom::thread::Thread>>,
    trace: RefCell<Vec<Event>>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
    static EXECUTIONS: Cell<usize> = const { Cell::new(0) };
}

/// Begins an execution; the caller is the first of so many threads. Whatever is left of the one before is forgotten.
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

/// How many executions this thread of the operating system began since this was asked last.
pub fn executions() -> usize {
    EXECUTIONS.take()
}

/// What happened in this execution, one event a line, in the order in which loom executed it: a load may have been
/// answered by an older store.
pub fn trace() -> String {
    let Some(world) = WORLD.with_borrow(Clone::clone) else { return String::new() };
    let line = |e: &Event| format!("thread {} {} {} {}\n", e.thread, e.at, e.what, e.value);
    world.trace.borrow().iter().map(line).collect()
}

pub(super) fn world() -> Rc<World> {
    WORLD.with_borrow(Clone::clone).expect("a model begins with `ghost::begin`")
}

/// The world and the thread of whoever executes an operation; `None` where it is not to be executed: the thread is
/// dead, or unwinds because the model failed.
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

    /// Makes a thread execute the fence that is asked of it.
    fn answer(&self, me: &Thread) {
        if me.asked.take() {
            self.note(Location::caller(), "reached by the heavy fence", 0);
            loom::sync::atomic::fence(Ordering::AcqRel);
            if let Some(reader) = &*self.reader.borrow() {
                reader.unpark();
            }
        }
    }

    /// The turn of a thread begins: a request for a fence may have come before.
    pub(super) fn turn(&self, me: &Thread) {
        if let Some(meeting) = &me.meeting {
            meeting.gate.touch();
            self.answer(me);
        }
    }

    /// The thread is about to leave the CPU. Its store buffer empties.
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

    /// Asks `thread` for a fence, or makes sure that it does not run.
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
        // What the reader did before is seen by the thread after its fence. The token that this may leave does no
        // harm: whoever parks here looks again.
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
