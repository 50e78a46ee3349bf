//! The door: while it is closed, nothing moves that a movement moves, and the figures are equal to it.

use std::rc::Rc;

use loom::cell::UnsafeCell;

use super::{Room, both, put};
use crate::check::Scenario;
use crate::ghost::{self, Lock, Mode};

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    [
        both("door: closed beside a registration", Some(2), 1, closed_beside_a_registration),
        both("door: movements and a crossfoot", Some(3), 2, one_crossfoot),
        both("door: closed twice", Some(3), 2, closed_twice),
    ]
    .concat()
}

/// A room, an account that its first writer moves, and the page heap's lock. Loom reports an access to the account
/// that is not ordered with another one.
struct House {
    room: Rc<Room<1, 1, 2>>,
    account: UnsafeCell<i64>,
    heap: Lock<()>,
    /// Whether a crossfoot looks at the account before it makes the cut.
    account_first: bool,
}

impl House {
    fn open(mode: Mode, threads: usize, account_first: bool) -> Rc<House> {
        let room = Room::begin(mode, threads);
        room.register(0);
        Rc::new(House { room, account: UnsafeCell::new(0), heap: Lock::new(()), account_first })
    }

    /// Moves the account by one, as the page heap does: without its lock if the door is open.
    fn move_one(&self) {
        let cut = &self.room.cut;
        // SAFETY: the door and the lock order all accesses, or loom says that they do not.
        let moves = || self.account.with_mut(|account| unsafe { *account += 1 });
        if let Some(section) = ghost::during("movement", || cut.enter(&self.room.writers[0])) {
            moves();
            put(section, [1], Some((0, 1)));
        } else {
            let _heap = self.heap.lock();
            moves();
            self.room.post(0, [1], Some((0, 1)));
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
        assert!(self.room.cut.close(ghost::heavy, backoff));
        let heap = self.heap.lock();
        let early = self.account_first.then(|| self.account());
        let sum = self.room.read();
        let account = early.unwrap_or_else(|| self.account());
        assert_eq!(sum.totals[0], account, "the books do not agree with the account");
        assert_eq!(sum.classes[0][0], account, "the books do not agree with the account");
        drop(heap);
        self.room.cut.open();
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

/// The reader finds the writer that was registered before.
fn closed_beside_a_registration(mode: Mode, _: usize) {
    let house = House::open(mode, 3, true);
    let mut threads = [
        {
            let house = Rc::clone(&house);
            ghost::spawn(move || house.move_one())
        },
        {
            let house = Rc::clone(&house);
            ghost::spawn(move || house.room.register(1))
        },
    ];
    house.crossfoot();
    threads.iter_mut().for_each(ghost::Handle::join);
}
