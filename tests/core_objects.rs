//! Compares the objects of an allocator on the simulated OS, with the shipped constants, with a plain model: after any
//! sequence of calls by up to four caches the objects do not overlap, keep their content, and are all accounted for.

mod allocator;
#[path = "core_objects/checked.rs"]
mod checked;
#[path = "core_objects/misuse.rs"]
mod misuse;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::config::{MAX_ALIGN, MAX_REQUEST};
use crossfoot::malloc;
use crossfoot::os::sim::Sim;
use crossfoot::size_class::{CLASSES, Class, SMALL_MAX};
use crossfoot::units::{GIB, KIB, MIB, Pages};
use proptest::prelude::*;

use allocator::{Model, adopt, balanced_with_machine, empty, free, free_without_cache, holds, reads_zero, usable};

/// Caches that a sequence drives.
const CACHES: usize = 4;
/// The limit of live bytes, above which no request is made. The window holds several times as many.
const MOST: usize = 4 * GIB;

#[derive(Clone, Debug)]
enum Step {
    Allocate {
        cache: usize,
        size: usize,
    },
    /// Many of one size, so that spans fill and lists change.
    AllocateMany {
        cache: usize,
        size: usize,
        count: usize,
    },
    Zeroed {
        cache: usize,
        size: usize,
    },
    Aligned {
        cache: usize,
        size: usize,
        log: u32,
    },
    Reallocate {
        cache: usize,
        which: usize,
        size: usize,
    },
    /// To a size near the one it has.
    Resize {
        cache: usize,
        which: usize,
        by: f64,
    },
    /// Most often by a cache that does not own the object.
    Free {
        cache: usize,
        which: usize,
    },
    FreeMany {
        cache: usize,
        which: usize,
        count: usize,
    },
    FreeWithoutCache {
        which: usize,
    },
    Retire {
        cache: usize,
    },
    Release {
        pages: usize,
    },
    Check,
}

fn small() -> impl Strategy<Value = usize> {
    let edge = (0..CLASSES, 0..3usize).prop_map(|(c, i)| Class::from_index(c).size() + i - 1);
    prop_oneof![3 => 0..=128usize, 3 => 0..=1100usize, 3 => edge, 1 => 0..=SMALL_MAX + 1]
}

fn large() -> impl Strategy<Value = usize> {
    prop_oneof![4 => SMALL_MAX..256 * KIB, 2 => SMALL_MAX..4 * MIB, 1 => 512 * KIB..80 * MIB]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![80 => small(), 18 => large(), 1 => GIB / 4..GIB / 2]
}

fn step() -> impl Strategy<Value = Step> {
    let cache = 0..CACHES;
    let which = any::<usize>();
    prop_oneof![
        12 => (cache.clone(), size()).prop_map(|(cache, size)| Step::Allocate { cache, size }),
        6 => (cache.clone(), small(), 1..300usize)
            .prop_map(|(cache, size, count)| Step::AllocateMany { cache, size, count }),
        4 => (cache.clone(), size()).prop_map(|(cache, size)| Step::Zeroed { cache, size }),
        4 => (cache.clone(), size(), 0..=22u32).prop_map(|(cache, size, log)| Step::Aligned { cache, size, log }),
        5 => (cache.clone(), which, size()).prop_map(|(cache, which, size)| Step::Reallocate { cache, which, size }),
        5 => (cache.clone(), which, 0.3..3.0f64).prop_map(|(cache, which, by)| Step::Resize { cache, which, by }),
        20 => (cache.clone(), which).prop_map(|(cache, which)| Step::Free { cache, which }),
        8 => (cache.clone(), which, 1..400usize).prop_map(|(cache, which, count)| Step::FreeMany { cache, which, count }),
        2 => which.prop_map(|which| Step::FreeWithoutCache { which }),
        2 => cache.prop_map(|cache| Step::Retire { cache }),
        3 => (1..5000usize).prop_map(|pages| Step::Release { pages }),
        1 => Just(Step::Check),
    ]
}

/// An allocator and its model.
struct Both {
    allocator: Box<Allocator<Sim>>,
    /// The cache of each driver. Caches live as long as the allocator.
    caches: [Option<*const Cache>; CACHES],
    model: Model,
}

impl Both {
    fn new(sim: Sim) -> Both {
        Both { allocator: allocator::allocator(sim), caches: [None; CACHES], model: Model::default() }
    }

    /// Returns the cache of driver `i`, which may have to adopt one.
    fn cache(&mut self, i: usize) -> &'static Cache {
        let allocator = &self.allocator;
        let cache = *self.caches[i].get_or_insert_with(|| core::ptr::from_ref(adopt(allocator)));
        // SAFETY: caches live as long as the kernel, which no step outlives.
        unsafe { &*cache }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Allocate { cache, size } => self.allocate(cache, size, 1),
            Step::AllocateMany { cache, size, count } => (0..count).for_each(|_| self.allocate(cache, size, 1)),
            Step::Zeroed { cache, size } => self.zeroed(cache, size),
            Step::Aligned { cache, size, log } => self.allocate(cache, size, 1 << log),
            Step::Reallocate { cache, which, size } => self.reallocate(cache, which, size),
            Step::Resize { cache, which, by } => {
                let old = self.model.pick(which).map_or(0, |at| self.model.live[&at].size);
                self.reallocate(cache, which, (old as f64 * by) as usize);
            }
            Step::Free { cache, which } => self.free(cache, which),
            Step::FreeMany { cache, which, count } => {
                (0..count).for_each(|i| self.free(cache, which.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
            }
            Step::FreeWithoutCache { which } => {
                if let Some(at) = self.model.pick(which) {
                    self.model.remove(at);
                    free_without_cache(&self.allocator, at);
                }
            }
            Step::Retire { cache } => self.retire(cache),
            Step::Release { pages } => {
                let writer = self.cache(0).writer();
                let heap = self.allocator.heap();
                assert!(heap.release(writer, Pages(pages)).0 <= pages + 16, "whole physical pages at the most");
            }
            Step::Check => self.check(),
        }
    }

    fn fits(&self, size: usize) -> bool {
        self.model.bytes + size < MOST
    }

    fn allocate(&mut self, cache: usize, size: usize, align: usize) {
        let cache = self.cache(cache);
        if !self.fits(size + align) {
            return;
        }
        let bound = self.allocator.bind(cache);
        let p = match align {
            1 => malloc::allocate(bound, size),
            _ => malloc::allocate_aligned(bound, size, align),
        };
        self.insert(p as usize, size, align);
    }

    fn zeroed(&mut self, cache: usize, size: usize) {
        let cache = self.cache(cache);
        if self.fits(size) {
            let at = malloc::allocate_zeroed(self.allocator.bind(cache), size) as usize;
            assert!(at != 0 && reads_zero(at, size), "{size} bytes at {at:#x} are not zero");
            self.insert(at, size, 1);
        }
    }

    fn insert(&mut self, at: usize, size: usize, align: usize) {
        assert_ne!(at, 0, "there is room for {size} bytes aligned to {align}");
        let usable = usable(&self.allocator, at);
        self.model.insert(at, size, usable, align);
    }

    fn reallocate(&mut self, cache: usize, which: usize, size: usize) {
        let cache = self.cache(cache);
        let Some(at) = self.model.pick(which).filter(|_| self.fits(size)) else { return };
        let old = self.model.remove(at);
        let size = size.max(1);
        let new = allocator::reallocate(&self.allocator, cache, at, size, 1);
        assert_ne!(new, 0, "there is room for {size} bytes");
        assert!(holds(new, old.size, old.size.min(size), old.id), "{old:?} lost content on its way to {size} bytes");
        self.insert(new, size, 1);
    }

    fn free(&mut self, cache: usize, which: usize) {
        let cache = self.cache(cache);
        if let Some(at) = self.model.pick(which) {
            self.model.remove(at);
            free(&self.allocator, cache, at);
        }
    }

    fn retire(&mut self, i: usize) {
        if let Some(cache) = self.caches[i].take() {
            // SAFETY: as in `cache`.
            allocator::retire(&self.allocator, unsafe { &*cache });
        }
    }

    fn check(&mut self) {
        self.model.verify();
        let cache = self.cache(0);
        let balance = balanced_with_machine(&self.allocator, Some(cache));
        // Objects in transit are live in the accounts; objects in an outbox are not sent yet.
        assert!(balance.snapshot.live_bytes() >= 0);
        assert!(balance.walked.large_bytes >= self.large_bytes());
        assert_eq!(balance.walked.large_bytes, self.large_bytes(), "large objects go back at once, whoever frees them");
    }

    fn large_bytes(&self) -> usize {
        let page = |live: &&allocator::Live| live.usable > SMALL_MAX || live.align > 8 * KIB;
        self.model.live.values().filter(page).map(|live| live.usable).sum()
    }

    /// Frees the rest, each object by another cache than the one before, and retires the caches.
    fn finish(mut self) {
        self.check();
        let rest: Vec<usize> = self.model.live.keys().copied().collect();
        for (i, at) in rest.into_iter().enumerate() {
            self.model.remove(at);
            let cache = self.cache(i % CACHES);
            free(&self.allocator, cache, at);
        }
        balanced_with_machine(&self.allocator, None);
        (0..CACHES).for_each(|i| self.retire(i));
        empty(&self.allocator);
        balanced_with_machine(&self.allocator, None);
    }
}

/// Legal programs behave the same with and without checks.
fn run_all(sim: Sim, check: bool, steps: &[Step]) {
    let mut both = Both::new(sim);
    both.allocator.set_check(check);
    steps.iter().for_each(|step| both.run(step));
    both.finish();
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn objects_of_4_kib_physical_pages(check: bool, steps in prop::collection::vec(step(), 1..200)) {
        run_all(Sim::new().physical_page(4 * KIB), check, &steps);
    }
}

proptest! {
    #![proptest_config(config(25))]

    #[test]
    fn objects_of_16_kib_physical_pages(check: bool, steps in prop::collection::vec(step(), 1..200)) {
        run_all(Sim::new().physical_page(16 * KIB), check, &steps);
    }

    #[test]
    fn objects_of_64_kib_physical_pages(check: bool, steps in prop::collection::vec(step(), 1..200)) {
        run_all(Sim::new().physical_page(64 * KIB).without_fence(), check, &steps);
    }
}

#[test]
fn every_size_of_small_objects_and_its_alignment() {
    let mut both = Both::new(Sim::new());
    for size in 0..=SMALL_MAX + 16 {
        both.allocate(size % CACHES, size, 1);
        if size % 64 == 63 {
            (0..60).for_each(|i| both.free((size + i) % CACHES, i * 2 + 1));
        }
    }
    both.finish();
}

#[test]
fn alignments_up_to_a_gibibyte() {
    for physical in [4, 64] {
        let mut both = Both::new(Sim::new().physical_page(physical * KIB));
        let mut align = 1;
        while align <= MAX_ALIGN {
            for (i, size) in [0, 1, 24, 100, 4097, 40_000, 3 * MIB].into_iter().enumerate() {
                both.allocate(i % CACHES, size, align);
            }
            align *= 2;
        }
        let cache = both.cache(0);
        let bound = both.allocator.bind(cache);
        assert!(malloc::allocate_aligned(bound, 1, 2 * MAX_ALIGN).is_null(), "no more than that");
        both.finish();
    }
}

#[test]
fn impossible_requests_are_refused() {
    let mut both = Both::new(Sim::new());
    let cache = both.cache(0);
    both.allocate(0, 100, 1);
    both.allocate(0, 100_000, 1);
    for size in [usize::MAX, usize::MAX - 4096, MAX_REQUEST + 1, MAX_REQUEST, MAX_REQUEST - 8191, 1 << 47, 65 * GIB] {
        let bound = both.allocator.bind(cache);
        assert!(malloc::allocate(bound, size).is_null(), "{size:#x}");
        assert!(malloc::allocate_zeroed(bound, size).is_null(), "{size:#x}");
        for align in [32, 8 * KIB, MIB, MAX_ALIGN] {
            assert!(malloc::allocate_aligned(bound, size, align).is_null(), "{size:#x} aligned to {align}");
        }
        for &at in both.model.live.keys() {
            assert_eq!(allocator::reallocate(&both.allocator, cache, at, size, 1), 0, "{size:#x}");
        }
        both.check();
    }
    both.finish();
}

#[test]
fn a_cache_that_retires_leaves_its_objects_to_the_next() {
    let mut both = Both::new(Sim::new());
    for round in 0..20 {
        let i = round % CACHES;
        both.run(&Step::AllocateMany { cache: i, size: 48 + round, count: 700 });
        both.run(&Step::Retire { cache: i });
        both.run(&Step::FreeMany { cache: (i + 1) % CACHES, which: round * 17, count: 400 });
        both.run(&Step::FreeWithoutCache { which: round });
        both.check();
    }
    assert!(both.allocator.caches().made() <= CACHES, "a retired cache is adopted before another is made");
    both.finish();
}

/// In the child of a fork, a new thread may have the thread id of a vanished one that was changing its lists. It frees
/// into those spans and leaves the lists alone.
#[test]
fn a_thread_with_the_id_of_an_exited_thread() {
    let allocator = allocator::allocator(Sim::new());
    let (gone, here) = (adopt(&allocator), adopt(&allocator));
    here.set_thread_id(gone.thread_id());
    let objects: Vec<usize> = (0..3_000).map(|_| misuse::allocate(&allocator, gone, 48)).collect();
    // One of each 50, so that no span is full.
    let (first, rest): (Vec<_>, Vec<_>) = objects.into_iter().enumerate().partition(|(i, _)| i % 50 == 0);
    first.into_iter().for_each(|(_, at)| free(&allocator, gone, at));
    let spans = balanced_with_machine(&allocator, None).walked.spans;
    assert!(spans > 5, "{spans} spans");
    rest.into_iter().for_each(|(_, at)| free(&allocator, here, at));
    assert_eq!(balanced_with_machine(&allocator, None).walked.spans, spans, "nobody gave one back");
    allocator::retire(&allocator, here);
    allocator::retire(&allocator, gone);
    empty(&allocator);
}
