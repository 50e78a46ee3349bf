//! How much one run has to do, and the threads that do it.

use crate::heap::Books;
use std::{sync::Barrier, thread};

/// One run: how many threads, and how much of the full work.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Threads that work at the same time.
    pub threads: usize,
    /// Work in percent of what the pattern is made for.
    pub percent: u64,
}

impl Job {
    /// The part of `total` units that falls to each thread. The total does not
    /// depend on the number of threads, so their rows can be compared.
    pub fn share(&self, total: u64) -> u64 {
        (total * self.percent / 100 / self.threads as u64).max(1)
    }

    /// Runs `work` once per thread, all starting together, and adds up their
    /// books. A single thread is the main thread: a process that never made a
    /// second one, which some allocators treat better.
    pub fn run(&self, work: impl Fn(usize) -> Books + Sync) -> Books {
        if self.threads == 1 {
            return work(0);
        }
        let start = Barrier::new(self.threads);
        let mut total = Books::new(0);
        thread::scope(|scope| {
            let (start, work) = (&start, &work);
            let crew: Vec<_> = (0..self.threads)
                .map(|index| {
                    scope.spawn(move || {
                        start.wait();
                        work(index)
                    })
                })
                .collect();
            for member in crew {
                total.merge(&member.join().expect("a worker never panics"));
            }
        });
        total
    }
}
