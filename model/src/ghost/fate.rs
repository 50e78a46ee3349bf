//! What becomes of a thread at one of its stores.

use super::world::{Thread, World, world};

/// Counted in stores from when it is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Nothing.
    Run,
    /// Stops before the store after so many, until it is let go on.
    Stop(usize),
    /// Executes nothing more after so many stores.
    Die(usize),
    /// Is interrupted by a signal after so many stores.
    Interrupt(usize),
    /// Executes nothing any more.
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

/// Lets come what was said to come at this store of the thread. `false`: it does not execute it.
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

/// How many stores the calling thread executes in this.
pub fn stores_of(f: impl FnOnce()) -> usize {
    let me = world().me();
    let before = me.stores.get();
    f();
    me.stores.get() - before
}

/// The calling thread executes `stores` more stores and stops before the next, until it is let go on.
pub fn stop_after(stores: usize) {
    world().me().fate.set(Fate::Stop(stores));
}

/// The calling thread executes `stores` more stores, and then nothing any more.
pub fn die_after(stores: usize) {
    world().me().fate.set(Fate::Die(stores));
}

/// After `stores` more stores the calling thread is interrupted by a signal, whose handler this is.
pub fn interrupt_after(stores: usize, handler: impl FnOnce() + 'static) {
    let me = world().me();
    me.handler.replace(Some(Box::new(handler)));
    me.fate.set(Fate::Interrupt(stores));
}
