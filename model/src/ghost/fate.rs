//! Stops, kills or interrupts a thread at one of its stores.

use super::world::{Thread, World, world};

/// The fate of a thread, counted in stores from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Nothing.
    Run,
    /// Stops before the store after this many, until it is resumed.
    Stop(usize),
    /// Executes nothing more after this many stores.
    Die(usize),
    /// Runs a signal handler after this many stores.
    Interrupt(usize),
    /// Executes nothing: the thread is dead.
    Dead,
}

impl Fate {
    fn after_a_store(self) -> Fate {
        match self {
            Fate::Stop(0) | Fate::Interrupt(0) => Fate::Run,
            Fate::Die(0) => Fate::Dead,
            Fate::Stop(n) => Fate::Stop(n - 1),
            Fate::Interrupt(n) => Fate::Interrupt(n - 1),
            Fate::Die(n) => Fate::Die(n - 1),
            Fate::Run | Fate::Dead => self,
        }
    }
}

/// Applies the fate of the thread at this store. Returns whether the thread executes it.
pub(super) fn meet(world: &World, me: &Thread) -> bool {
    me.stores.set(me.stores.get() + 1);
    let now = me.fate.get();
    me.fate.set(now.after_a_store());
    match now {
        Fate::Stop(0) => {
            world.leave(me);
            me.wait_until_let_go();
            world.come_back(me);
        }
        Fate::Interrupt(0) => {
            if let Some(handler) = me.handler.take() {
                handler();
            }
        }
        _ => {}
    }
    me.fate.get() != Fate::Dead
}

/// Returns the number of stores that the calling thread executes in `f`.
pub fn stores_of(f: impl FnOnce()) -> usize {
    let me = world().me();
    let before = me.stores.get();
    f();
    me.stores.get() - before
}

/// Lets the calling thread execute `stores` more stores and stop before the next, until it is resumed.
pub fn stop_after(stores: usize) {
    world().me().fate.set(Fate::Stop(stores));
}

/// Lets the calling thread execute `stores` more stores, and then nothing.
pub fn die_after(stores: usize) {
    world().me().fate.set(Fate::Die(stores));
}

/// Interrupts the calling thread after `stores` more stores by a signal with this handler.
pub fn interrupt_after(stores: usize, handler: impl FnOnce() + 'static) {
    let me = world().me();
    me.handler.replace(Some(Box::new(handler)));
    me.fate.set(Fate::Interrupt(stores));
}
