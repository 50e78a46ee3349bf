//! A set of live objects in which random members are replaced.

use crate::{heap::Books, job::Job, random::Random};

/// Fills `slots` places and then replaces a random one `turns` times, with sizes
/// from `size`; frees all in the end.
fn replace(index: usize, slots: usize, turns: u64, size: impl Fn(&mut Random) -> usize) -> Books {
    let mut books = Books::new(index);
    let mut random = Random::new(index as u64);
    let mut live: Vec<_> = (0..slots).map(|_| books.take(size(&mut random))).collect();
    for _ in 0..turns {
        let fresh = books.take(size(&mut random));
        let slot = random.below(slots);
        let old = std::mem::replace(&mut live[slot], fresh);
        books.give(old);
    }
    live.into_iter().for_each(|block| books.give(block));
    books
}

/// 20,000 live objects in all, sizes evenly from 8 to 1,000 bytes: the sizes of
/// larson, without its threads.
pub fn even(job: &Job) -> Books {
    job.run(|index| {
        let slots = 20_000 / job.threads;
        replace(index, slots, job.share(18_000_000), |random| random.between(8, 1000))
    })
}

/// 100,000 live objects in all, sizes from 8 bytes to 4 KiB by a power law: many
/// small ones, few large ones, as in alloc-test (which draws sizes from a Pareto
/// distribution) and in every measured program.
pub fn power_law(job: &Job) -> Books {
    job.run(|index| {
        let slots = 100_000 / job.threads;
        replace(index, slots, job.share(18_000_000), |random| random.power_law(8, 8))
    })
}

/// 4,000 live objects in all, sizes evenly from 16 to 16,000 bytes: the range of
/// rpmalloc's benchmark (rptest), which leaves the small classes behind.
pub fn medium(job: &Job) -> Books {
    job.run(|index| {
        let slots = 4_000 / job.threads;
        replace(index, slots, job.share(6_000_000), |random| random.between(16, 16_000))
    })
}
