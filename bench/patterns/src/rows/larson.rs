//! A server whose threads are replaced, and threads that hardly live.

use crate::{
    heap::{Block, Books, sized_free},
    job::Job,
    random::Random,
};
use std::{sync::Barrier, thread};

/// Live objects per thread, as in the usual call of larson.
const SLOTS: usize = 5000;

/// Replacements that one thread makes before another takes its place.
const ROUND: usize = 25_000;

/// Larson and Krishnan's server: each thread replaces random objects of 8 to
/// 1,000 bytes among the 5,000 of its connection, then hands them to a fresh
/// thread and ends, so that most objects are freed by another thread than the
/// one that allocated them. Parameters 8, 1000, 5000 are those of
/// mimalloc-bench; rounds are counted here instead of seconds.
pub fn server(job: &Job) -> Books {
    serve(job, Books::give)
}

/// As [`server`], freed with the size: larson-sized of mimalloc-bench, with the
/// same parameters.
pub fn sized_server(job: &Job) -> Books {
    let release = sized_free();
    serve(job, move |books, block| books.give_sized(block, release))
}

/// The server, whose threads free by `give`.
fn serve(job: &Job, give: impl Fn(&mut Books, Block) + Copy + Send + Sync + 'static) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(4141 + index as u64);
        let mut live: Vec<_> = (0..SLOTS).map(|_| books.take(random.between(8, 1000))).collect();
        for round in 0..job.share(800) {
            let seed = round << 8 | index as u64;
            let next = thread::spawn(move || generation(seed, live, give));
            let (part, handed) = next.join().expect("a worker never panics");
            books.merge(&part);
            live = handed;
        }
        live.into_iter().for_each(|block| books.give(block));
        books
    })
}

/// The life of one thread of the server.
fn generation(seed: u64, mut live: Vec<Block>, give: impl Fn(&mut Books, Block)) -> (Books, Vec<Block>) {
    let mut books = Books::new(seed as usize);
    let mut random = Random::new(seed);
    for _ in 0..ROUND {
        let slot = random.below(SLOTS);
        let fresh = books.take(random.between(8, 1000));
        give(&mut books, std::mem::replace(&mut live[slot], fresh));
    }
    (books, live)
}

/// Threads that allocate 200 objects, free them and end, one after the other:
/// what birth and death of a thread cost the allocator. The idea is that of
/// rpmalloc's benchmark, where threads are joined and started between loops.
pub fn thread_churn(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        for turn in 0..job.share(12_000) {
            let seed = turn << 8 | index as u64;
            let part = thread::spawn(move || {
                let mut books = Books::new(seed as usize);
                let mut random = Random::new(seed);
                let blocks: Vec<_> = (0..200).map(|_| books.take(random.between(8, 512))).collect();
                blocks.into_iter().for_each(|block| books.give(block));
                books
            });
            books.merge(&part.join().expect("a worker never panics"));
        }
        books
    })
}

/// Waves of many threads that are all alive at once: each allocates 200 objects,
/// waits until all of its wave have theirs, frees them and ends. What a server
/// with a thread per request asks of the allocator, as [`thread_churn`], but with
/// as many caches at a time.
pub fn thread_waves(job: &Job) -> Books {
    let mut total = Books::new(usize::MAX);
    let everybody = Barrier::new(job.threads);
    for wave in 0..job.share(3_840) {
        let seed = |index| wave << 8 | index as u64;
        thread::scope(|scope| {
            let everybody = &everybody;
            let live = |index: usize| {
                let mut books = Books::new(seed(index) as usize);
                let mut random = Random::new(seed(index));
                let blocks: Vec<_> = (0..200).map(|_| books.take(random.between(8, 512))).collect();
                everybody.wait();
                blocks.into_iter().for_each(|block| books.give(block));
                books
            };
            let crew: Vec<_> = (0..job.threads).map(|index| scope.spawn(move || live(index))).collect();
            for member in crew {
                total.merge(&member.join().expect("a worker never panics"));
            }
        });
    }
    total
}
