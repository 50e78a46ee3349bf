//! What the threads do: the bench's patterns, as far as threads meet in them, each with fewer objects.

use std::collections::VecDeque;

use crate::model::model;
use crate::world::{Object, Rng, World};

/// A program of many threads.
pub trait Pattern {
    /// The thread of this turn does a little.
    fn step(&mut self, world: &mut World, cpu: usize);
}

/// A pattern's name, what it does, and how many threads it needs.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What its threads do.
    pub what: &'static str,
    /// The least number of threads.
    pub least: usize,
    /// Whether one thread more reads statistics.
    pub reader: bool,
    /// By how much fewer calls show as much.
    pub heavy: u64,
    /// The program of so many threads.
    pub make: fn(usize) -> Box<dyn Pattern>,
}

const fn row(name: &'static str, least: usize, make: fn(usize) -> Box<dyn Pattern>, what: &'static str) -> Row {
    Row { name, what, least, reader: false, heavy: 1, make }
}

/// Every pattern.
pub const TABLE: &[Row] = &[
    row(
        "churn",
        1,
        |n| Churn::program(n, 300, small),
        "own objects of 8 to 1,000 bytes, 300 alive, replaced at random",
    ),
    row("medium", 1, |n| Churn::program(n, 100, medium), "own objects of 16 to 16,000 bytes, 100 alive, the same"),
    Row {
        heavy: 20,
        ..row("large", 1, |n| Churn::program(n, 4, large), "own objects of 64 KiB to 1 MiB, 4 alive, the same")
    },
    Row {
        heavy: 4,
        ..row("exchange", 2, |n| Exchange::program(n), "as churn, and every fourth object is freed by any other thread")
    },
    Row {
        heavy: 4,
        ..row(
            "producer-consumer",
            2,
            |n| Pairs::program(n),
            "pairs: one allocates objects of 64 bytes, the other frees them",
        )
    },
    Row {
        heavy: 6,
        ..row("asymmetric", 2, |n| Fan::program(n), "one thread allocates 16 to 512 bytes for all others, which free")
    },
    Row {
        heavy: 4,
        ..row(
            "larson",
            1,
            |n| Lines::program(n),
            "150 objects; after 400 replacements the thread ends, and the next has them",
        )
    },
    Row { heavy: 6, ..row("thread-churn", 1, |n| Short::program(n), "threads of 200 objects, one after the other") },
    Row {
        reader: true,
        ..row("churn, read", 1, |n| Churn::program(n, 300, small), "churn, and one more reads statistics")
    },
    Row {
        reader: true,
        heavy: 4,
        ..row("exchange, read", 2, |n| Exchange::program(n), "exchange, and one more reads statistics")
    },
];

/// How many objects a step of a pair allocates or frees.
const STEP: usize = 4;

fn small(rng: &mut Rng) -> usize {
    rng.between(8, 1_000)
}

fn medium(rng: &mut Rng) -> usize {
    rng.between(16, 16_000)
}

fn large(rng: &mut Rng) -> usize {
    rng.between(64 << 10, 1 << 20)
}

/// Random replacement among a thread's own objects.
struct Churn {
    sets: Vec<Vec<Object>>,
    alive: usize,
    size: fn(&mut Rng) -> usize,
}

impl Churn {
    fn program(cpus: usize, alive: usize, size: fn(&mut Rng) -> usize) -> Box<dyn Pattern> {
        Box::new(Churn { sets: (0..cpus).map(|_| Vec::new()).collect(), alive, size })
    }
}

/// Replaces an object of the set, or adds one while it is not full. Returns the one that was replaced.
fn replace(world: &mut World, set: &mut Vec<Object>, alive: usize, size: usize) -> Option<Object> {
    let new = world.allocate(size);
    if set.len() < alive {
        set.push(new);
        return None;
    }
    let i = world.rng.between(0, alive - 1);
    Some(std::mem::replace(&mut set[i], new))
}

impl Pattern for Churn {
    fn step(&mut self, world: &mut World, cpu: usize) {
        if !world.lives() {
            return world.begin();
        }
        let size = (self.size)(&mut world.rng);
        if let Some(old) = replace(world, &mut self.sets[cpu], self.alive, size) {
            world.free(old);
        }
    }
}

/// As [`Churn`], and a part of the objects goes to other threads.
struct Exchange {
    sets: Vec<Vec<Object>>,
    mail: Vec<Vec<Object>>,
}

impl Exchange {
    fn program(cpus: usize) -> Box<dyn Pattern> {
        let empty = || (0..cpus).map(|_| Vec::new()).collect();
        Box::new(Exchange { sets: empty(), mail: empty() })
    }
}

impl Pattern for Exchange {
    fn step(&mut self, world: &mut World, cpu: usize) {
        if !world.lives() {
            return world.begin();
        }
        while let Some(object) = self.mail[cpu].pop() {
            world.free(object);
        }
        let size = small(&mut world.rng);
        let Some(old) = replace(world, &mut self.sets[cpu], 300, size) else { return };
        if world.rng.between(0, 3) == 0 {
            let other = (cpu + world.rng.between(1, world.cpus - 1)) % world.cpus;
            self.mail[other].push(old);
        } else {
            world.free(old);
        }
    }
}

/// Objects on their way from one thread to another.
#[derive(Default)]
struct Queue {
    batches: VecDeque<Vec<Object>>,
    filling: Vec<Object>,
    emptying: Vec<Object>,
}

/// Objects of a batch, and batches in a queue.
const BATCH: usize = 256;
const BATCHES: usize = 3;

impl Queue {
    fn is_full(&self) -> bool {
        self.batches.len() == BATCHES
    }

    fn put(&mut self, object: Object) {
        self.filling.push(object);
        if self.filling.len() == BATCH {
            self.batches.push_back(std::mem::take(&mut self.filling));
        }
    }

    fn take(&mut self) -> Option<Object> {
        if self.emptying.is_empty() {
            self.emptying = self.batches.pop_front()?;
        }
        self.emptying.pop()
    }

    /// Frees a few, or waits.
    fn consume(&mut self, world: &mut World) {
        for _ in 0..STEP {
            match self.take() {
                Some(object) => world.free(object),
                None => return world.idle(),
            }
        }
    }
}

/// Producers and consumers in pairs.
struct Pairs(Vec<Queue>);

impl Pairs {
    fn program(cpus: usize) -> Box<dyn Pattern> {
        Box::new(Pairs((0..cpus / 2).map(|_| Queue::default()).collect()))
    }
}

impl Pattern for Pairs {
    fn step(&mut self, world: &mut World, cpu: usize) {
        if !world.lives() {
            return world.begin();
        }
        let queue = &mut self.0[cpu / 2];
        if cpu % 2 == 1 {
            queue.consume(world);
        } else if queue.is_full() {
            world.idle();
        } else {
            (0..STEP).for_each(|_| queue.put(world.allocate(64)));
        }
    }
}

/// One producer for all.
struct Fan {
    queues: Vec<Queue>,
    next: usize,
}

impl Fan {
    fn program(cpus: usize) -> Box<dyn Pattern> {
        Box::new(Fan { queues: (1..cpus).map(|_| Queue::default()).collect(), next: 0 })
    }
}

impl Pattern for Fan {
    fn step(&mut self, world: &mut World, cpu: usize) {
        if !world.lives() {
            return world.begin();
        }
        if cpu > 0 {
            return self.queues[cpu - 1].consume(world);
        }
        // A batch for one after the other.
        for _ in 0..STEP {
            let queue = &mut self.queues[self.next];
            if queue.is_full() {
                return world.idle();
            }
            let size = world.rng.between(16, 512);
            queue.put(world.allocate(size));
            if queue.filling.is_empty() {
                self.next = (self.next + 1) % self.queues.len();
            }
        }
    }
}

/// Lines of threads that leave their objects to the next.
struct Lines {
    sets: Vec<Vec<Object>>,
    left: Vec<usize>,
}

impl Lines {
    fn program(cpus: usize) -> Box<dyn Pattern> {
        // Threads begin together and do not end together.
        let left = (0..cpus).map(|cpu| 200 + cpu * 197 % 400).collect();
        Box::new(Lines { sets: (0..cpus).map(|_| Vec::new()).collect(), left })
    }
}

impl Pattern for Lines {
    fn step(&mut self, world: &mut World, cpu: usize) {
        if !world.lives() {
            return world.begin();
        }
        if self.left[cpu] == 0 {
            self.left[cpu] = 400;
            world.end();
            // To start the next one takes time.
            return model().pass(20_000);
        }
        self.left[cpu] -= 1;
        let size = small(&mut world.rng);
        if let Some(old) = replace(world, &mut self.sets[cpu], 150, size) {
            world.free(old);
        }
    }
}

/// Short threads.
struct Short {
    sets: Vec<Vec<Object>>,
    growing: Vec<bool>,
}

impl Short {
    fn program(cpus: usize) -> Box<dyn Pattern> {
        Box::new(Short { sets: (0..cpus).map(|_| Vec::new()).collect(), growing: vec![true; cpus] })
    }
}

impl Pattern for Short {
    fn step(&mut self, world: &mut World, cpu: usize) {
        if !world.lives() {
            return world.begin();
        }
        let set = &mut self.sets[cpu];
        if self.growing[cpu] {
            let size = small(&mut world.rng);
            set.push(world.allocate(size));
            self.growing[cpu] = set.len() < 200;
        } else if let Some(object) = set.pop() {
            world.free(object);
        } else {
            self.growing[cpu] = true;
            world.end();
            model().pass(20_000);
        }
    }
}
