//! The work around an operation of the code under test.

use core::panic::Location;
use core::sync::atomic::Ordering;
use std::cell::RefCell;

use loom::sync::atomic as real;

use super::fate;
use super::world::{Thread, Turn, World, actor};
use crate::sites::{self, Kind, Site, Spot, Weaker};

/// A value of an atomic.
pub(crate) trait Word: Copy {
    /// The value that a dead thread reads.
    const EMPTY_CACHE: Self;
    /// The value as the trace shows it.
    fn show(self) -> isize;
    /// The value that the thread itself reads of a store that was held back.
    fn held_back(value: usize) -> Self;
}

macro_rules! word {
    ($($name:ty),*) => { $(
        impl Word for $name {
            const EMPTY_CACHE: Self = 0;

            fn show(self) -> isize {
                self as isize
            }

            fn held_back(value: usize) -> Self {
                value as $name
            }
        }
    )* };
}

word!(usize, i64);

impl<T> Word for *mut T {
    const EMPTY_CACHE: Self = core::ptr::null_mut();

    fn show(self) -> isize {
        self.addr() as isize
    }

    fn held_back(_: usize) -> Self {
        unreachable!("only stores of numbers are held back")
    }
}

/// Records the threads that load an atomic. To see whether a store could have come before a load, loom looks at the
/// last load only, and that is the storing thread's own if it loads and then stores. So the ghost tells loom that the
/// loads of other threads conflict.
#[derive(Default)]
pub(crate) struct Readers(RefCell<Vec<(usize, Turn)>>);

impl Readers {
    fn before_load(&self, thread: usize) {
        let known = self.0.borrow().iter().find(|(reader, _)| *reader == thread).map(|(_, turn)| turn.clone());
        let turn = known.unwrap_or_else(|| {
            let turn = Turn::new();
            self.0.borrow_mut().push((thread, turn.clone()));
            turn
        });
        turn.touch();
    }

    fn before_store(&self, thread: usize) {
        for other in (0..loom::MAX_THREADS).filter(|&other| other != thread) {
            let turn = self.0.borrow().iter().find(|(reader, _)| *reader == other).map(|(_, turn)| turn.clone());
            if let Some(turn) = turn {
                turn.touch();
            }
        }
    }
}

/// A store that a compiler may delay.
#[derive(Clone, Copy)]
pub(crate) struct Late {
    pub(crate) cell: *const real::AtomicUsize,
    pub(crate) readers: *const Readers,
    pub(crate) value: usize,
}

/// A store that is delayed.
#[derive(Clone, Copy)]
pub(super) struct Delayed {
    late: Late,
    ordering: Ordering,
    /// The loads since the place of the skipped fence. `None` before that place.
    passed: Option<u8>,
}

/// The number of loads after which a delayed store executes, if no other store or fence comes before: as many as lie
/// between the fence and the next store in the shipped files. The word of the generation is loaded twice there: for the
/// kind of the fences, and for the generation.
const LOADS: u8 = 2;

impl World {
    /// Executes a store that was held back.
    pub(super) fn settle(&self, me: &Thread) {
        if let Some(delayed) = me.delayed.take() {
            self.turn(me);
            // SAFETY: the atomics of a model live until all of its threads have ended, and no store is held back
            // beyond the end of its thread.
            let (cell, readers) = unsafe { (&*delayed.late.cell, &*delayed.late.readers) };
            readers.before_store(me.index);
            cell.store(delayed.late.value, delayed.ordering);
            self.note(Location::caller(), "late store", delayed.late.value.show());
        }
    }
}

fn site(me: &Thread, at: &'static Location<'static>, kind: Kind, ordering: Ordering) -> Site {
    let has_purposes = matches!(kind, Kind::Fence | Kind::CompilerFence) && ordering == Ordering::SeqCst;
    Site { spot: at.into(), kind, ordering, during: if has_purposes { me.during.get() } else { "" } }
}

/// Returns the ordering of an operation in this run.
fn effective(me: &Thread, at: &'static Location<'static>, kind: Kind, ordering: Ordering) -> Ordering {
    match sites::meet(site(me, at, kind, ordering)) {
        Some(Weaker::To(weaker)) => weaker,
        _ => ordering,
    }
}

/// Lets other threads go on where a loop starts again. Otherwise loom would answer with old values forever.
fn begin_round(me: &Thread, at: Spot) {
    match me.round.get() {
        Some(None) => me.round.set(Some(Some(at))),
        Some(Some(head)) if head == at => loom::thread::yield_now(),
        _ => {}
    }
}

/// Prepares a load that is not under test. Returns whether it is executed.
pub(super) fn before_load(readers: &Readers) -> bool {
    let Some((world, me)) = actor() else { return false };
    world.settle(&me);
    world.turn(&me);
    readers.before_load(me.index);
    true
}

/// Prepares a store that is not under test. Returns whether it is executed.
pub(super) fn before_store(readers: &Readers) -> bool {
    let Some((world, me)) = actor() else { return false };
    world.settle(&me);
    me.last_store.set(None);
    world.turn(&me);
    readers.before_store(me.index);
    true
}

pub(crate) fn load<V: Word>(
    (address, readers): (*const (), &Readers),
    at: &'static Location<'static>,
    ordering: Ordering,
    run: impl FnOnce(Ordering) -> V,
) -> V {
    let Some((world, me)) = actor() else { return V::EMPTY_CACHE };
    if let Some(delayed) = me.delayed.get() {
        if delayed.late.cell.cast() == address {
            return V::held_back(delayed.late.value);
        }
        if delayed.passed.is_none() && ordering != Ordering::Relaxed {
            world.settle(&me);
        }
    }
    begin_round(&me, at.into());
    world.turn(&me);
    readers.before_load(me.index);
    let value = run(effective(&me, at, Kind::Load, ordering));
    world.note(at, "load", value.show());
    if let Some(delayed) = me.delayed.get()
        && let Some(loads) = delayed.passed
    {
        me.delayed.set(Some(Delayed { passed: Some(loads + 1), ..delayed }));
        if loads + 1 >= LOADS {
            world.settle(&me);
        }
    }
    value
}

pub(crate) fn store<V: Word>(
    readers: &Readers,
    value: V,
    late: Option<Late>,
    at: &'static Location<'static>,
    ordering: Ordering,
    run: impl FnOnce(Ordering),
) {
    let Some((world, me)) = actor() else { return };
    if !fate::meet(&world, &me) {
        return;
    }
    world.settle(&me);
    let ordering = effective(&me, at, Kind::Store, ordering);
    me.last_store.set(late.map(|_| at.into()));
    match late {
        Some(late) if sites::is_late(at.into()) => me.delayed.set(Some(Delayed { late, ordering, passed: None })),
        _ => {
            world.turn(&me);
            readers.before_store(me.index);
            run(ordering);
            world.note(at, "store", value.show());
        }
    }
}

/// Executes an atomic read-modify-write. A dead thread reads `dead`.
pub(crate) fn exchange<V: Word>(
    readers: &Readers,
    at: &'static Location<'static>,
    (success, failure): (Ordering, Ordering),
    dead: V,
    run: impl FnOnce(Ordering, Ordering) -> Result<V, V>,
) -> Result<V, V> {
    let Some((world, me)) = actor() else { return Ok(dead) };
    if !fate::meet(&world, &me) {
        return Ok(dead);
    }
    world.settle(&me);
    me.last_store.set(None);
    world.turn(&me);
    readers.before_load(me.index);
    readers.before_store(me.index);
    let success = effective(&me, at, Kind::Exchange, success);
    let result = run(success, effective(&me, at, Kind::ExchangeFailed, failure));
    world.note(at, if result.is_ok() { "exchange" } else { "no exchange" }, result.unwrap_or_else(|seen| seen).show());
    result
}

pub(crate) fn fence(at: &'static Location<'static>, ordering: Ordering) {
    let Some((world, me)) = actor() else { return };
    world.settle(&me);
    world.note(at, "fence", 0);
    match sites::meet(site(&me, at, Kind::Fence, ordering)) {
        Some(Weaker::Gone | Weaker::Late(_)) => {}
        Some(Weaker::To(weaker)) => loom::sync::atomic::fence(weaker),
        None if ordering == Ordering::SeqCst => world.full_fence(),
        None => loom::sync::atomic::fence(ordering),
    }
}

pub(crate) fn compiler_fence(at: &'static Location<'static>, ordering: Ordering) {
    let Some((world, me)) = actor() else { return };
    let site = site(&me, at, Kind::CompilerFence, ordering);
    if let Some(store) = me.last_store.get() {
        sites::meet_store_before(site, store);
    }
    match (sites::meet(site), me.delayed.get()) {
        (Some(_), Some(delayed)) => me.delayed.set(Some(Delayed { passed: Some(0), ..delayed })),
        _ => world.settle(&me),
    }
}
