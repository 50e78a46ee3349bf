//! Large objects, growth, zeroed and aligned memory.

use crate::{
    heap::{Block, Books},
    job::Job,
    random::Random,
};

/// Objects of 5 to 25 MiB, of which 8 live at a time in all, each touched once
/// per page: malloc-large of mimalloc-bench, which uses the same sizes. Most of
/// the time is the kernel's, unless the allocator keeps memory for the next one.
pub fn first_touch(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let mut live: Vec<Option<Block>> = Vec::new();
        live.resize_with((8 / job.threads).max(1), || None);
        for _ in 0..job.share(240) {
            let slot = random.below(live.len());
            if let Some(old) = live[slot].take() {
                books.give(old);
            }
            let block = books.take(random.between(5 << 20, 25 << 20));
            block.touch_pages();
            live[slot] = Some(block);
        }
        live.into_iter().flatten().for_each(|block| books.give(block));
        books
    })
}

/// Objects of 64 KiB to 32 MiB by a power law, each octave half as frequent as
/// the one below, so that all octaves have the same share of the bytes; 64 live
/// at a time in all, each touched once per page. The idea is that of malloc-large,
/// over the whole range of sizes that allocators serve neither from their classes
/// nor, all of them, from the system.
pub fn large_range(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let mut live: Vec<Option<Block>> = Vec::new();
        live.resize_with(64 / job.threads, || None);
        for _ in 0..job.share(16_000) {
            let slot = random.below(live.len());
            if let Some(old) = live[slot].take() {
                books.give(old);
            }
            let block = books.take(random.power_law(64 << 10, 8));
            block.touch_pages();
            live[slot] = Some(block);
        }
        live.into_iter().flatten().for_each(|block| books.give(block));
        books
    })
}

/// Buffers that grow by half their size until they have 64 KiB, 64 of them side
/// by side, so that none finds its neighbourhood free by luck: vectors and
/// string builders under construction.
pub fn grow_many(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        for _ in 0..job.share(1_800) {
            let mut buffers: Vec<_> = (0..64).map(|_| Some(books.take(16))).collect();
            for _ in 0..64 * 20 {
                let slot = random.below(buffers.len());
                let buffer = buffers[slot].take().expect("every place is filled");
                let size = buffer.size();
                let size = if size > 64 << 10 { 16 } else { size + size / 2 };
                buffers[slot] = Some(books.resize(buffer, size));
            }
            buffers.into_iter().flatten().for_each(|block| books.give(block));
        }
        books
    })
}

/// One buffer that doubles from 16 bytes to 64 MiB with every new page touched:
/// reading input of unknown length. Rewards `mremap`.
pub fn grow_one(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        for _ in 0..job.share(30) {
            let mut buffer = books.take(16);
            while buffer.size() < 64 << 20 {
                let size = buffer.size() * 2;
                buffer = books.resize(buffer, size);
                buffer.touch_pages();
            }
            books.give(buffer);
        }
        books
    })
}

/// Zeroed objects that all live to the end, 16 bytes to 64 KiB by a power law:
/// memory fresh from the system, which need not be zeroed again.
pub fn calloc_fresh(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let count = job.share(1_600_000);
        let live: Vec<_> = (0..count).map(|_| books.take_zeroed(random.power_law(16, 12), 512)).collect();
        live.into_iter().for_each(|block| books.give(block));
        books
    })
}

/// Zeroed objects of 16 bytes to 4 KiB among 1,000 live ones, every one written
/// in full before it is freed: recycled memory, which must be zeroed.
pub fn calloc_recycled(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let mut live: Vec<_> = (0..1000).map(|_| books.take_zeroed(64, 8)).collect();
        for _ in 0..job.share(16_000_000) {
            let slot = random.below(live.len());
            let fresh = books.take_zeroed(random.power_law(16, 8), 64);
            fresh.fill();
            books.give(std::mem::replace(&mut live[slot], fresh));
        }
        live.into_iter().for_each(|block| books.give(block));
        books
    })
}

/// `posix_memalign` at 16 to 4,096 bytes, powers of two, with sizes from 16 to
/// 8,192 bytes among 1,000 live objects: vector code and page buffers.
pub fn aligned(job: &Job) -> Books {
    job.run(|index| {
        let mut books = Books::new(index);
        let mut random = Random::new(index as u64);
        let fresh = |books: &mut Books, random: &mut Random| {
            let alignment = random.power_law(16, 7).next_power_of_two().min(4096);
            books.take_aligned(alignment, random.power_law(16, 8))
        };
        let mut live: Vec<_> = (0..1000).map(|_| fresh(&mut books, &mut random)).collect();
        for _ in 0..job.share(12_000_000) {
            let slot = random.below(live.len());
            let next = fresh(&mut books, &mut random);
            books.give(std::mem::replace(&mut live[slot], next));
        }
        live.into_iter().for_each(|block| books.give(block));
        books
    })
}
