//! False sharing: objects of different threads in one cache line.

use crate::{
    heap::{Block, Books, SMALLEST},
    job::Job,
};
use std::sync::Mutex;

/// Writes into one object between its allocation and its free.
const WRITES: u32 = 20_000;

/// Bytes of an object: as small as a block can be, so that eight of them fit
/// into one cache line.
const SIZE: usize = SMALLEST;

/// Adds one to the object's last word many times, and undoes it at the end.
fn hammer(block: &Block) {
    let word = block.address().cast::<u64>();
    for _ in 0..WRITES {
        // SAFETY: the block is ours alone and has at least one aligned word;
        // volatile, so that each write reaches the cache.
        unsafe { word.write_volatile(word.read_volatile().wrapping_add(1)) };
    }
    // SAFETY: as above; the header is as before afterwards.
    unsafe { word.write_volatile(word.read_volatile().wrapping_sub(u64::from(WRITES))) };
}

/// Every thread allocates an object, writes it 20,000 times and frees it:
/// cache-thrash of Hoard's benchmarks. Slow where the allocator puts objects of
/// two threads into one line by itself (active false sharing).
pub fn active(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        for _ in 0..job.share(100_000) {
            let block = books.take(SIZE);
            hammer(&block);
            books.give(block);
        }
        books
    })
}

/// As [`active`], but first each thread frees an object that the main thread
/// allocated next to those of the others: cache-scratch of Hoard's benchmarks.
/// Slow where such an object is given to the thread that freed it (passive false
/// sharing).
pub fn passive(job: &Job) -> Books {
    let mut main = Books::new(job.threads);
    let gifts: Vec<_> = (0..job.threads).map(|_| Mutex::new(Some(main.take(SIZE)))).collect();
    main.merge(&job.run(|index| {
        let mut books = Books::new(index);
        let gift = gifts[index].lock().expect("no thread panics").take();
        gift.into_iter().for_each(|block| books.give(block));
        for _ in 0..job.share(100_000) {
            let block = books.take(SIZE);
            hammer(&block);
            books.give(block);
        }
        books
    }));
    main
}
