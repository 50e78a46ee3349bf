//! The gate: while it is closed no movement proceeds, and the accounts are equal to the posted figures.

use std::rc::Rc;

use loom::cell::UnsafeCell;

use super::{Setup, both, put};
use crate::check::Scenario;
use crate::ghost::{self, Lock, Mode};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("gate: closed beside a registration", Some(2), 1, closed_beside_a_registration),
        both("gate: movements and a crossfoot", Some(3), 2, one_crossfoot),
        both("gate: closed twice", Some(3), 2, closed_twice),
    ]
    .concat()
}

/// A set-up, an account that its first writer changes, and the page heap's lock. Loom reports an access to the account
/// that is not ordered with another one.
struct House {
    setup: Rc<Setup<1, 1, 2>>,
    account: UnsafeCell<i64>,
    heap: Lock<()>,
    /// The crossfoot reads the account before it makes the cut.
    account_first: bool,
}

impl House {
    fn open(mode: Mode, threads: usize, account_first: bool) -> Rc<House> {
        let setup = Setup::begin(mode, threads);
        setup.register(0);
        Rc::new(House { setup, account: UnsafeCell::new(0), heap: Lock::new(()), account_first })
    }

    /// Changes the account by one, as the page heap does: without its lock if the gate is open.
    fn move_one(&self) {
        let cut = &self.setup.cut;
        // SAFETY: the gate and the lock order all accesses, or loom reports that they do not.
        let moves = || self.account.with_mut(|account| unsafe { *account += 1 });
        if let Some(section) = ghost::during("movement", || cut.enter(&self.setup.writers[0])) {
            moves();
            put(section, [1], Some((0, 1)));
        } else {
            let _heap = self.heap.lock();
            moves();
            self.setup.post(0, [1], Some((0, 1)));
        }
    }

    fn account(&self) -> i64 {
        // SAFETY: as above.
        self.account.with(|account| unsafe { *account })
    }

    fn crossfoot(&self) -> i64 {
        let backoff = || {
            loom::thread::yield_now();
            true
        };
        assert!(self.setup.cut.close(ghost::heavy, backoff));
        let heap = self.heap.lock();
        let early = self.account_first.then(|| self.account());
        let sum = self.setup.read();
        let account = early.unwrap_or_else(|| self.account());
        assert_eq!(sum.totals[0], account, "the books do not agree with the account");
        assert_eq!(sum.classes[0][0], account, "the books do not agree with the account");
        drop(heap);
        self.setup.cut.open();
        account
    }
}

fn one_crossfoot(mode: Mode, case: usize) {
    let house = House::open(mode, 2, case == 1);
    let writer = Rc::clone(&house);
    let mut writer = ghost::spawn(move || {
        writer.move_one();
        writer.move_one();
    });
    house.crossfoot();
    writer.join();
    assert_eq!(house.crossfoot(), 2);
}

fn closed_twice(mode: Mode, case: usize) {
    let house = House::open(mode, 2, case == 1);
    house.move_one();
    let writer = Rc::clone(&house);
    let mut writer = ghost::spawn(move || writer.move_one());
    let first = house.crossfoot();
    assert!(1 <= first && first <= house.crossfoot());
    writer.join();
}

/// The reader finds the writer that registered before.
fn closed_beside_a_registration(mode: Mode, _: usize) {
    let house = House::open(mode, 3, true);
    let mut threads = [
        {
            let house = Rc::clone(&house);
            ghost::spawn(move || house.move_one())
        },
        {
            let house = Rc::clone(&house);
            ghost::spawn(move || house.setup.register(1))
        },
    ];
    house.crossfoot();
    threads.iter_mut().for_each(ghost::Handle::join);
}
