//! Stages with memory that stays, and batches that cross between threads.

use crate::{
    heap::{Block, Books},
    job::Job,
    random::Random,
};
use std::sync::Mutex;

/// Places through which objects change their thread, as in mimalloc's stress.
const TRANSFERS: usize = 1000;

/// A board on which threads leave objects for whoever comes by.
struct Board(Vec<Mutex<Option<Block>>>);

impl Board {
    fn new() -> Self {
        Board((0..TRANSFERS).map(|_| Mutex::new(None)).collect())
    }

    /// Puts a block into a random place and takes out what was there.
    fn exchange(&self, random: &mut Random, block: Option<Block>) -> Option<Block> {
        let mut place = self.0[random.below(TRANSFERS)].lock().expect("no thread panics");
        std::mem::replace(&mut place, block)
    }

    /// Frees what still lies there.
    fn clear(self, books: &mut Books) {
        for place in self.0 {
            let left = place.into_inner().expect("no thread panics");
            left.into_iter().for_each(|block| books.give(block));
        }
    }
}

/// Mostly up to a few hundred bytes, now and then ten or a hundred times that.
fn stress_size(random: &mut Random) -> usize {
    let size = 8 * random.between(1, 32);
    match random.below(1000) {
        0 => size * 100,
        1..10 => size * 10,
        _ => size,
    }
}

/// Daan Leijen's stress test (mstress) in outline: in each of 16 stages every
/// thread allocates at random, keeps a part of it for good (the retained set),
/// frees at random, and swaps objects with other threads over a board of 1,000
/// places. All stages start together and end together, so memory must be given
/// back and found again across threads.
pub fn stages(job: &Job) -> Books {
    let board = Board::new();
    let turns = job.share(400_000);
    let mut kept: Vec<Vec<Block>> = (0..job.threads).map(|_| Vec::new()).collect();
    let mut total = Books::new(usize::MAX);
    for stage in 0..16 {
        let shelves: Vec<_> = kept.iter_mut().map(Mutex::new).collect();
        total.merge(&job.run(|index| {
            let mut retained = shelves[index].lock().expect("no thread panics");
            one_stage(stage << 8 | index, turns, &board, &mut retained)
        }));
    }
    board.clear(&mut total);
    kept.into_iter().flatten().for_each(|block| total.give(block));
    total
}

/// What one thread does in one stage.
fn one_stage(seed: usize, turns: u64, board: &Board, retained: &mut Vec<Block>) -> Books {
    let mut books = Books::new(seed);
    let mut random = Random::new(seed as u64);
    let mut live: Vec<Block> = Vec::new();
    for _ in 0..turns {
        let block = books.take(stress_size(&mut random));
        if random.one_in(50) {
            block.fill();
            retained.push(block);
        } else {
            live.push(block);
        }
        if random.one_in(2) {
            let slot = random.below(live.len().max(1));
            if slot < live.len() {
                let chosen = live.swap_remove(slot);
                books.give(chosen);
            }
        }
        if random.one_in(8) {
            let received = board.exchange(&mut random, live.pop());
            live.extend(received);
        }
    }
    live.into_iter().for_each(|block| books.give(block));
    books
}

/// MicroQuill's SmartHeap benchmarks in outline: objects of 1 to 1,000 bytes,
/// small ones in many copies and large ones in few, kept in a sliding window; a
/// part is freed in the order of allocation, a part in reverse, as sh6bench does.
pub fn windows(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut live: Vec<Block> = Vec::new();
        for round in 0..job.share(24_000) {
            window_pass(&mut books, &mut live, round as usize);
        }
        live.into_iter().for_each(|block| books.give(block));
        books
    })
}

/// Allocates one series of sizes and frees two thirds of what lives.
fn window_pass(books: &mut Books, live: &mut Vec<Block>, round: usize) {
    let mut size = 1;
    while size <= 1000 {
        let copies = (1000 / size).clamp(4, 100);
        live.extend((0..copies).map(|_| books.take(size)));
        size += 1 + size / 8;
    }
    let third = live.len() / 3;
    if round.is_multiple_of(2) {
        live.drain(..third).for_each(|block| books.give(block));
    } else {
        live.drain(third..2 * third).rev().for_each(|block| books.give(block));
    }
    let keep = live.len() - third;
    live.drain(keep..).rev().for_each(|block| books.give(block));
}

/// As [`windows`], but every second batch is freed by another thread, as in
/// sh8bench.
pub fn crossing_windows(job: &Job) -> Books {
    let desks: Vec<Mutex<Vec<Block>>> = (0..job.threads).map(|_| Mutex::default()).collect();
    let mut total = job.run(|index| {
        let mut books = Books::new(index);
        let mut live: Vec<Block> = Vec::new();
        for round in 0..job.share(24_000) {
            window_pass(&mut books, &mut live, round as usize);
            if round.is_multiple_of(2) {
                let mut desk = desks[(index + 1) % job.threads].lock().expect("no thread panics");
                std::mem::swap(&mut *desk, &mut live);
            } else {
                let mut desk = desks[index].lock().expect("no thread panics");
                let received = std::mem::take(&mut *desk);
                drop(desk);
                received.into_iter().for_each(|block| books.give(block));
            }
        }
        live.into_iter().for_each(|block| books.give(block));
        books
    });
    for desk in desks {
        let left = desk.into_inner().expect("no thread panics");
        left.into_iter().for_each(|block| total.give(block));
    }
    total
}
