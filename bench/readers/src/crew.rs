//! Threads that hold objects, and sleep or replace them.

use std::{
    hint::black_box,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Objects that each thread holds.
const HELD: usize = 256;
/// Sizes are evenly spread from the one to the other.
const SIZES: (usize, usize) = (16, 1024);
/// Replacements between two looks at whether to stop.
const LAP: u64 = 1000;
/// How long threads have to fall asleep once they said so.
const SETTLE: Duration = Duration::from_millis(20);

/// The objects that one thread holds.
pub struct Hand {
    objects: Vec<Vec<u8>>,
    random: u64,
}

impl Hand {
    /// Allocates the objects.
    pub fn new(seed: u64) -> Self {
        let mut hand = Hand { objects: Vec::with_capacity(HELD), random: 0 };
        hand.reseed(seed);
        for _ in 0..HELD {
            let object = hand.object();
            hand.objects.push(object);
        }
        hand
    }

    /// Begins the same row of replacements again.
    pub fn reseed(&mut self, seed: u64) {
        self.random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    }

    /// Frees one of the objects and allocates another, `times` times.
    pub fn replace(&mut self, times: u64) {
        for _ in 0..times {
            let place = self.next() % HELD;
            // What was there is freed first, as a program would that does not need both.
            self.objects[place] = Vec::new();
            self.objects[place] = self.object();
        }
    }

    fn object(&mut self) -> Vec<u8> {
        let size = SIZES.0 + self.next() % (SIZES.1 - SIZES.0 + 1);
        let mut object = Vec::with_capacity(size);
        object.push(size as u8);
        // Somebody might look at it, so it is really allocated.
        black_box(object)
    }

    /// Xorshift: cheap beside an allocation.
    fn next(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as usize
    }
}

/// What the threads are told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Sleep,
    Work,
    End,
}

/// What all threads look at.
struct Board {
    order: Order,
    asleep: usize,
    /// Threads that finished a lap since they were told to work.
    at_work: usize,
}

/// Threads that all sleep, or all work.
pub struct Crew {
    threads: usize,
    board: Mutex<Board>,
    changed: Condvar,
    /// Set while they work: looked at without the lock.
    working: AtomicBool,
    laps: AtomicU64,
}

impl Crew {
    /// Runs `body` with so many threads, which sleep at first and hold objects.
    pub fn run<R>(threads: usize, body: impl FnOnce(&Crew) -> R) -> R {
        let crew = Crew {
            threads,
            board: Mutex::new(Board { order: Order::Sleep, asleep: 0, at_work: 0 }),
            changed: Condvar::new(),
            working: AtomicBool::new(false),
            laps: AtomicU64::new(0),
        };
        thread::scope(|scope| {
            for number in 0..threads {
                let crew = &crew;
                scope.spawn(move || crew.serve(Hand::new(number as u64 + 1)));
            }
            crew.await_sleep();
            let result = body(&crew);
            crew.tell(Order::End);
            result
        })
    }

    /// Sets all threads to work; returns when each has begun.
    pub fn start(&self) {
        self.tell(Order::Work);
        let board = self.board();
        let begun = self.changed.wait_while(board, |board| board.at_work < self.threads);
        drop(begun.unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends all threads to sleep; says how many objects they replaced since they began.
    pub fn stop(&self) -> u64 {
        self.tell(Order::Sleep);
        self.await_sleep();
        self.laps.swap(0, Ordering::Relaxed) * LAP
    }

    fn await_sleep(&self) {
        let board = self.board();
        let asleep = self.changed.wait_while(board, |board| board.asleep < self.threads);
        drop(asleep.unwrap_or_else(PoisonError::into_inner));
        thread::sleep(SETTLE);
    }

    fn tell(&self, order: Order) {
        let mut board = self.board();
        board.order = order;
        board.at_work = 0;
        self.working.store(order == Order::Work, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does.
    fn serve(&self, mut hand: Hand) {
        loop {
            let mut board = self.board();
            board.asleep += 1;
            self.changed.notify_all();
            let woken = self.changed.wait_while(board, |board| board.order == Order::Sleep);
            let mut board = woken.unwrap_or_else(PoisonError::into_inner);
            board.asleep -= 1;
            if board.order == Order::End {
                return;
            }
            drop(board);
            self.work(&mut hand);
        }
    }

    fn work(&self, hand: &mut Hand) {
        let mut begun = false;
        while self.working.load(Ordering::Relaxed) {
            hand.replace(LAP);
            self.laps.fetch_add(1, Ordering::Relaxed);
            if !begun {
                begun = true;
                self.board().at_work += 1;
                self.changed.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_work_only_when_told() {
        let (first, second) = Crew::run(3, |crew| {
            let before = crew.laps.load(Ordering::Relaxed);
            crew.start();
            (before, crew.stop())
        });
        assert_eq!(first, 0);
        assert!(second >= 3 * LAP);
    }

    #[test]
    fn the_same_seed_gives_the_same_objects() {
        let (mut one, mut other) = (Hand::new(7), Hand::new(7));
        one.replace(100);
        one.reseed(9);
        other.reseed(9);
        one.replace(5000);
        other.replace(5000);
        let lengths = |hand: &Hand| hand.objects.iter().map(Vec::capacity).collect::<Vec<_>>();
        assert_eq!(lengths(&one), lengths(&other));
    }
}
