//! Small objects that live for a moment.

use crate::{
    heap::{Block, Books, sized_free},
    job::Job,
    random::Random,
};
use std::array;

/// Objects of 8 to 128 bytes that each live until 32 more were allocated: the
/// temporaries of an interpreter. The range is the one in which the programs of
/// Zorn and Grunwald's studies (cfrac, espresso, gawk) make nearly all of their
/// allocations, and most of those die young.
pub fn short_lived(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let mut recent: [Option<Block>; 32] = array::from_fn(|_| None);
        for turn in 0..job.share(72_000_000) {
            let block = books.take(random.between(8, 128));
            let slot = &mut recent[turn as usize % 32];
            if let Some(old) = slot.replace(block) {
                books.give(old);
            }
        }
        recent.into_iter().flatten().for_each(|block| books.give(block));
        books
    })
}

/// One object of 64 bytes, allocated and freed again and again: the bare cost of
/// the pair, as in the fixed-size loop of rpmalloc's and tcmalloc's own
/// microbenchmarks.
pub fn ping_pong(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        for _ in 0..job.share(90_000_000) {
            let block = books.take(64);
            books.give(block);
        }
        books
    })
}

/// Batches of 25, 100, 400 and 1600 equal objects, allocated in a row and freed
/// in the same order, for sizes from 16 to 256: the parameters of glibc's
/// `bench-malloc-simple`, which mimalloc-bench runs as glibc-simple.
pub fn batches(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut live = Vec::with_capacity(1600);
        for _ in 0..job.share(6_000) {
            for size in [16, 32, 64, 128, 256] {
                for count in [25, 100, 400, 1600] {
                    live.extend((0..count).map(|_| books.take(size)));
                    live.drain(..).for_each(|block| books.give(block));
                }
            }
        }
        books
    })
}

/// As [`short_lived`], freed with the size (C23's `free_sized`, what sized
/// `operator delete` becomes) where the allocator has that.
pub fn sized(job: &Job) -> Books {
    let release = sized_free();
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let mut recent: [Option<Block>; 32] = array::from_fn(|_| None);
        for turn in 0..job.share(60_000_000) {
            let block = books.take(random.between(8, 512));
            let slot = &mut recent[turn as usize % 32];
            if let Some(old) = slot.replace(block) {
                books.give_sized(old, release);
            }
        }
        recent.into_iter().flatten().for_each(|block| books.give(block));
        books
    })
}
