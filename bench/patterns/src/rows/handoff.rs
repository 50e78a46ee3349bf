//! Objects that are allocated by one thread and freed by another.

use crate::{
    heap::{Block, Books},
    job::Job,
    random::Random,
};
use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Objects handed over at once, as in xmalloc-test.
const BATCH: u64 = 4096;

/// Allocates a batch.
fn batch(books: &mut Books, size: impl FnMut() -> usize) -> Vec<Block> {
    let mut size = size;
    (0..BATCH).map(|_| books.take(size())).collect()
}

/// Frees everything that arrives.
fn consume(index: usize, arrivals: &Receiver<Vec<Block>>) -> Books {
    let mut books = Books::new(index);
    for blocks in arrivals {
        blocks.into_iter().for_each(|block| books.give(block));
    }
    books
}

/// Pairs of threads, one of which only allocates and the other only frees,
/// batches of 4,096 objects of 64 bytes at a time: Lever and Boreham's
/// xmalloc-test, with the object size that mimalloc-bench gives it.
pub fn producer_consumer(job: &Job) -> Books {
    let pairs = job.threads / 2;
    let rounds = Job { threads: pairs, ..*job }.share(5000);
    thread::scope(|scope| {
        let mut crew = Vec::new();
        for index in 0..pairs {
            let (send, receive) = sync_channel(4);
            crew.push(scope.spawn(move || {
                let mut books = Books::new(index);
                for _ in 0..rounds {
                    let blocks = batch(&mut books, || 64);
                    send.send(blocks).expect("the consumer outlives the producer");
                }
                books
            }));
            crew.push(scope.spawn(move || consume(index, &receive)));
        }
        gather(crew)
    })
}

/// One thread allocates for all the others, which free: the shape of a parser
/// thread with workers, and the worst case for allocators that give freed memory
/// to the thread that frees. Random sizes from 16 to 512 bytes.
pub fn asymmetric(job: &Job) -> Books {
    let rounds = Job { threads: 1, ..*job }.share(3600);
    thread::scope(|scope| {
        let mut crew = Vec::new();
        let mut doors: Vec<SyncSender<_>> = Vec::new();
        for index in 1..job.threads {
            let (send, receive) = sync_channel(2);
            doors.push(send);
            crew.push(scope.spawn(move || consume(index, &receive)));
        }
        crew.push(scope.spawn(move || {
            let mut books = Books::new(0);
            let mut random = Random::new(0);
            for round in 0..rounds {
                let blocks = batch(&mut books, || random.between(16, 512));
                let door = &doors[round as usize % doors.len()];
                door.send(blocks).expect("the consumers outlive the producer");
            }
            books
        }));
        gather(crew)
    })
}

/// Objects of a burst, all alive at once.
const BURST: usize = 100_000;

/// Objects that the thread with the bursts keeps for itself, and replaces
/// between two bursts.
const KEPT: usize = 2_000;

/// As [`asymmetric`], in bursts: one thread works with objects of its own for a
/// while, and then allocates 100,000 at once, which one of the others frees while
/// the next burst is prepared. Sizes from 16 bytes to 4 KiB by a power law: a
/// service that now and then gets a large answer. What was freed elsewhere must
/// come back, or each burst costs memory of its own.
pub fn bursts(job: &Job) -> Books {
    let rounds = Job { threads: 1, ..*job }.share(48);
    thread::scope(|scope| {
        let mut crew = Vec::new();
        let mut doors: Vec<SyncSender<_>> = Vec::new();
        for index in 1..job.threads {
            let (send, receive) = sync_channel(0);
            doors.push(send);
            crew.push(scope.spawn(move || consume(index, &receive)));
        }
        crew.push(scope.spawn(move || {
            let mut books = Books::new(0);
            let mut random = Random::new(0);
            let mut kept: Vec<_> = (0..KEPT).map(|_| books.take(random.power_law(16, 7))).collect();
            for round in 0..rounds {
                for _ in 0..BURST {
                    let fresh = books.take(random.power_law(16, 7));
                    let slot = random.below(KEPT);
                    books.give(std::mem::replace(&mut kept[slot], fresh));
                }
                let burst = (0..BURST).map(|_| books.take(random.power_law(16, 7))).collect();
                let door = &doors[round as usize % doors.len()];
                door.send(burst).expect("the consumers outlive the producer");
            }
            kept.into_iter().for_each(|block| books.give(block));
            books
        }));
        gather(crew)
    })
}

/// A bounded queue that any thread may fill and any thread may empty.
struct Queue {
    places: Mutex<VecDeque<Vec<Block>>>,
    changed: Condvar,
}

impl Queue {
    /// Places in the queue; full and empty both make threads wait.
    const BOUND: usize = 64;

    fn push(&self, blocks: Vec<Block>) {
        let places = self.places.lock().expect("no thread panics");
        let full = |places: &mut VecDeque<_>| places.len() >= Self::BOUND;
        let mut places = self.changed.wait_while(places, full).expect("no thread panics");
        places.push_back(blocks);
        self.changed.notify_all();
    }

    fn pop(&self) -> Vec<Block> {
        let places = self.places.lock().expect("no thread panics");
        let empty = |places: &mut VecDeque<_>| places.is_empty();
        let mut places = self.changed.wait_while(places, empty).expect("no thread panics");
        let blocks = places.pop_front().expect("the queue is not empty");
        self.changed.notify_all();
        blocks
    }
}

/// Half of the threads put messages of 64 objects into one shared queue, the
/// other half takes them out, and nobody knows who frees whose objects: the n:m
/// queues of message-passing programs, as in snmalloc's paper.
pub fn queues(job: &Job) -> Books {
    let half = job.threads / 2;
    let rounds = Job { threads: half, ..*job }.share(180_000);
    let queue = Queue { places: Mutex::default(), changed: Condvar::new() };
    thread::scope(|scope| {
        let mut crew = Vec::new();
        for index in 0..half {
            let queue = &queue;
            crew.push(scope.spawn(move || {
                let mut books = Books::new(index);
                let mut random = Random::new(index as u64);
                for _ in 0..rounds {
                    let message = (0..64).map(|_| books.take(random.power_law(16, 6))).collect();
                    queue.push(message);
                }
                books
            }));
            crew.push(scope.spawn(move || {
                let mut books = Books::new(half + index);
                for _ in 0..rounds {
                    queue.pop().into_iter().for_each(|block| books.give(block));
                }
                books
            }));
        }
        gather(crew)
    })
}

/// Waits for all and adds up their books.
fn gather(crew: Vec<thread::ScopedJoinHandle<'_, Books>>) -> Books {
    let mut total = Books::new(0);
    for member in crew {
        total.merge(&member.join().expect("a worker never panics"));
    }
    total
}
