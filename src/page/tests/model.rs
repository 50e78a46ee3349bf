//! Compares the page allocator with a plain model, step by step.

use super::super::{CACHE_PAGES, CHUNK_PAGES, PageCache, Pages, Release, ReleaseShape};
use super::World;
use proptest::prelude::*;
use std::vec::Vec;

/// The model's state of a grown page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Page {
    taken: bool,
    resident: bool,
}

/// The pages of all chunks that the steps use, one after another.
struct Model {
    /// `None` is a page that was never grown.
    pages: Vec<Option<Page>>,
    /// The chunk numbers in the window that the steps use, sorted.
    places: Vec<usize>,
    /// Runs that the test holds: first page and length.
    held: Vec<(usize, usize)>,
}

impl Model {
    fn new(places: Vec<usize>) -> Model {
        Model { pages: std::vec![None; places.len() * CHUNK_PAGES], places, held: Vec::new() }
    }

    /// Returns the page number in the window of the page with index `index` in the model.
    fn real(&self, index: usize) -> usize {
        self.places[index / CHUNK_PAGES] * CHUNK_PAGES + index % CHUNK_PAGES
    }

    /// The inverse of `real`.
    fn index(&self, page: usize) -> Option<usize> {
        let place = self.places.binary_search(&(page / CHUNK_PAGES)).ok()?;
        Some(place * CHUNK_PAGES + page % CHUNK_PAGES)
    }

    fn grow(&mut self, chunk: usize, n: usize) {
        let fresh = Page { taken: false, resident: false };
        self.range(chunk * CHUNK_PAGES, n * CHUNK_PAGES).fill(Some(fresh));
    }

    /// Returns the `n` pages from `page` on, all in chunks that the steps use.
    fn range(&mut self, page: usize, n: usize) -> &mut [Option<Page>] {
        let index = self.index(page).expect("a page of a chunk that the steps use");
        &mut self.pages[index..index + n]
    }

    fn get(&self, page: usize) -> Option<Page> {
        self.pages[self.index(page)?]
    }

    fn is_free(&self, page: usize) -> bool {
        self.get(page).is_some_and(|p| !p.taken)
    }

    /// Returns all maximal runs of pages that are `wanted`.
    fn runs(&self, wanted: impl Fn(&Page) -> bool) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (chunk, &place) in self.places.iter().enumerate() {
            for i in 0..CHUNK_PAGES {
                if !self.pages[chunk * CHUNK_PAGES + i].as_ref().is_some_and(&wanted) {
                    continue;
                }
                let page = place * CHUNK_PAGES + i;
                match runs.last_mut() {
                    Some((start, n)) if *start + *n == page => *n += 1,
                    _ => runs.push((page, 1)),
                }
            }
        }
        runs
    }

    fn first_fit(&self, n: usize) -> Option<usize> {
        self.runs(|p| !p.taken).iter().find(|r| r.1 >= n).map(|r| r.0)
    }

    /// Takes the pages and returns how many were released.
    fn take(&mut self, page: usize, n: usize) -> usize {
        let mut released = 0;
        for p in self.range(page, n).iter_mut().flatten() {
            assert!(!p.taken, "taken twice");
            released += !p.resident as usize;
            *p = Page { taken: true, resident: true };
        }
        released
    }

    fn free(&mut self, page: usize, n: usize, released: bool) {
        for p in self.range(page, n).iter_mut().flatten() {
            assert!(p.taken);
            *p = Page { taken: false, resident: !released };
        }
    }

    fn count(&self) -> (Pages, Pages) {
        let count = |resident| {
            let pages = self.pages.iter().flatten();
            Pages(pages.filter(|p| !p.taken && p.resident == resident).count())
        };
        (count(true), count(false))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Grow {
        chunk: usize,
        n: usize,
    },
    Alloc(usize),
    AllocAligned(usize, u32),
    AllocAt {
        page: usize,
        n: usize,
    },
    /// Frees a held run, or its first or last part.
    Free {
        which: usize,
        cut: usize,
        first: bool,
    },
    /// Fills and uses a page cache, frees into it, and flushes it.
    Cache {
        takes: Vec<usize>,
        put_back: bool,
        stays: bool,
    },
    Release {
        at_most: usize,
        unit: u32,
        huge: bool,
        fails: bool,
    },
    SetReleased {
        page: usize,
        n: usize,
    },
    ClearReleased {
        page: usize,
        n: usize,
    },
}

fn run_length() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..10usize, 2 => 1..100usize, 1 => 1..1500usize, 1 => 1..10_000usize]
}

fn step(chunks: usize) -> impl Strategy<Value = Step> {
    let page = 0..chunks * CHUNK_PAGES;
    prop_oneof![
        1 => (0..chunks, 1..5usize).prop_map(|(chunk, n)| Step::Grow { chunk, n }),
        8 => run_length().prop_map(Step::Alloc),
        2 => (run_length(), 0..12u32).prop_map(|(n, a)| Step::AllocAligned(n, a)),
        2 => (page.clone(), run_length()).prop_map(|(page, n)| Step::AllocAt { page, n }),
        8 => (any::<usize>(), prop_oneof![Just(0), run_length()], any::<bool>())
            .prop_map(|(which, cut, first)| Step::Free { which, cut, first }),
        2 => (proptest::collection::vec(1..70usize, 0..9), any::<bool>(), any::<bool>())
            .prop_map(|(takes, put_back, stays)| Step::Cache { takes, put_back, stays }),
        3 => (run_length(), 0..5u32, any::<bool>(), proptest::bool::weighted(0.2))
            .prop_map(|(at_most, unit, huge, fails)| Step::Release { at_most, unit, huge, fails }),
        1 => (page.clone(), run_length()).prop_map(|(page, n)| Step::SetReleased { page, n }),
        1 => (page, run_length()).prop_map(|(page, n)| Step::ClearReleased { page, n }),
    ]
}

struct Both<const LEVELS: usize> {
    world: World<LEVELS>,
    model: Model,
}

impl<const LEVELS: usize> Both<LEVELS> {
    /// Returns a window of `window` chunks. Steps refer to chunks by their index in `places`.
    fn new(window: usize, places: Vec<usize>) -> Self {
        Both { world: World::with_chunks(window, &[]), model: Model::new(places) }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
            self.world.check();
            assert_eq!(self.world.heap.count(), self.model.count(), "after {step:?}");
        }
        self.drain();
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Grow { chunk, n } => self.grow(chunk, n),
            Step::Alloc(n) => {
                let expected = self.model.first_fit(n);
                let got = self.world.heap.alloc(Pages(n));
                assert_eq!(got.map(|g| self.world.page(g.0)), expected, "first fit of {n}");
                self.took(got, n);
            }
            Step::AllocAligned(n, log) => self.alloc_aligned(n, 1 << log),
            Step::AllocAt { page, n } => {
                let page = self.model.real(page);
                let free = (page..page + n).all(|p| self.model.is_free(p));
                let at = self.world.at(0, page);
                assert_eq!(self.world.heap.all_free(at, Pages(n)), free);
                let got = self.world.heap.alloc_range_at(at, Pages(n));
                assert_eq!(got.is_some(), free);
                self.took(got.map(|released| (at, released)), n);
            }
            Step::Free { which, cut, first } => self.free(which, cut, first),
            Step::Cache { ref takes, put_back, stays } => self.cache(takes, put_back, stays),
            Step::Release { at_most, unit, huge, fails } => {
                let huge = Pages(if huge { 256 } else { 0 });
                let unit = Pages(1 << unit);
                self.release(ReleaseShape { at_most: Pages(at_most), unit, huge }, fails);
            }
            Step::SetReleased { page, n } => self.mark(page, n, true),
            Step::ClearReleased { page, n } => self.mark(page, n, false),
        }
    }

    fn grow(&mut self, chunk: usize, n: usize) {
        let at = self.model.places[chunk];
        let n = (0..n)
            .take_while(|k| self.model.places.get(chunk + k) == Some(&(at + k)))
            .take_while(|k| self.model.get((at + k) * CHUNK_PAGES).is_none())
            .count();
        if n > 0 {
            self.world.grow(at, n);
            self.model.grow(at, n);
        }
    }

    fn took(&mut self, got: Option<(crate::units::Addr, Pages)>, n: usize) {
        let Some((addr, released)) = got else { return };
        let page = self.world.page(addr);
        assert_eq!(self.model.take(page, n), released.0, "released pages of the run");
        self.model.held.push((page, n));
        assert!(self.world.heap.is_allocated(addr) && !self.world.heap.is_free(addr));
    }

    fn alloc_aligned(&mut self, n: usize, align: usize) {
        // The window's base is aligned to more than any of these.
        let enough = self.model.first_fit(n + align - 1).map(|p| p.next_multiple_of(align));
        let lucky = self.model.first_fit(n).filter(|p| p % align == 0);
        let got = self.world.heap.alloc_aligned(Pages(n), Pages(align));
        assert_eq!(got.map(|g| self.world.page(g.0)), enough.or(lucky));
        self.took(got, n);
    }

    fn free(&mut self, which: usize, cut: usize, first: bool) {
        if self.model.held.is_empty() {
            return;
        }
        let which = which % self.model.held.len();
        let (page, n) = self.model.held.swap_remove(which);
        let (mut at, mut len) = (page, n);
        if cut > 0 && cut < n {
            len = cut;
            if first {
                self.model.held.push((page + cut, n - cut));
            } else {
                at = page + n - cut;
                self.model.held.push((page, n - cut));
            }
        }
        self.world.heap.free(self.world.at(0, at), Pages(len));
        self.model.free(at, len, false);
    }

    fn cache(&mut self, takes: &[usize], put_back: bool, stays: bool) {
        let lowest = self.model.first_fit(1);
        let mut cache = self.world.heap.allocate_to_cache(Pages(1));
        let Some(lowest) = lowest else {
            assert_eq!(cache, PageCache::EMPTY);
            return;
        };
        let block = lowest / CACHE_PAGES * CACHE_PAGES;
        let mut free: Vec<bool> = (0..CACHE_PAGES).map(|i| self.model.is_free(block + i)).collect();
        self.world.check();
        assert!(free.iter().enumerate().all(|(i, _)| !self.world.heap.is_free(self.world.at(0, block + i))));
        for (k, &n) in takes.iter().enumerate() {
            let expected = (0..CACHE_PAGES).find(|&i| i + n <= CACHE_PAGES && free[i..i + n].iter().all(|&f| f));
            let got = cache.alloc(Pages(n));
            assert_eq!(got.map(|g| self.world.page(g.0) - block), expected);
            let (Some(i), Some((addr, released))) = (expected, got) else { continue };
            free[i..i + n].fill(false);
            assert_eq!(self.model.take(block + i, n), released.0);
            if put_back && k % 2 == 0 {
                assert!(cache.free(addr, Pages(n)));
                free[i..i + n].fill(true);
                self.model.free(block + i, n, false);
            } else {
                self.model.held.push((block + i, n));
            }
        }
        if stays {
            // Another part of the heap changes while the cache keeps its pages.
            let hidden: Vec<usize> = (0..CACHE_PAGES).filter(|&i| free[i]).map(|i| block + i).collect();
            self.while_hidden(&hidden);
        }
        cache.flush(&mut self.world.heap);
    }

    /// Takes and frees a page while `hidden` pages are in a cache.
    fn while_hidden(&mut self, hidden: &[usize]) {
        if let Some((addr, _)) = self.world.heap.alloc(Pages(1)) {
            let page = self.world.page(addr);
            assert!(!hidden.contains(&page), "a page of a cache was taken");
            self.model.take(page, 1);
            self.world.heap.free(addr, Pages(1));
            self.model.free(page, 1, false);
        }
        self.world.check();
    }

    fn release(&mut self, want: ReleaseShape, fails: bool) {
        let unit = want.unit.0;
        let run = loop {
            match self.world.heap.take_for_release(want) {
                Release::Run(addr, pages) => break Some((self.world.page(addr), pages.0)),
                Release::Again => {}
                Release::Nothing => break None,
            }
        };
        // The run ends with the highest free resident unit.
        let units =
            |page: usize| (page..page + unit).all(|p| self.model.get(p).is_some_and(|p| !p.taken && p.resident));
        let all = (0..self.model.pages.len()).rev().map(|index| self.model.real(index));
        let highest = all.filter(|p| p % unit == 0).find(|&p| units(p));
        // A search with a larger unit may have unmarked a chunk for good, and the steps change the unit,
        // which no heap does. So the test only checks that a found run is valid.
        let Some((page, n)) = run else { return };
        assert!(highest.is_some_and(|h| h + unit >= page + n));
        assert!(page % unit == 0 && n % unit == 0 && n > 0);
        assert!((page..page + n).step_by(unit).all(units));
        assert!(n <= want.at_most.0.max(unit) || want.huge.0 > 0 && page % want.huge.0 == 0);
        assert!(self.world.heap.is_allocated(self.world.at(0, page)));
        self.world.check();
        let at = self.world.at(0, page);
        if fails {
            self.world.heap.free(at, Pages(n));
        } else {
            self.world.heap.give_back_released(at, Pages(n));
            assert_eq!(self.world.heap.released_in(at, Pages(n)), Pages(n));
        }
        self.model.take(page, n);
        self.model.free(page, n, !fails);
    }

    fn mark(&mut self, page: usize, n: usize, released: bool) {
        let page = self.model.real(page);
        let n = (page..page + n).take_while(|&p| self.model.is_free(p)).count();
        if n == 0 {
            return;
        }
        let at = self.world.at(0, page);
        if released {
            self.world.heap.set_released(at, Pages(n));
        } else {
            self.world.heap.clear_released(at, Pages(n));
        }
        for p in self.model.range(page, n).iter_mut().flatten() {
            p.resident = !released;
        }
    }

    /// Checks the walk over free resident pages, then frees everything and releases it.
    fn drain(&mut self) {
        let mut seen = Vec::new();
        let mut from = self.world.base;
        while let Some((addr, pages)) = self.world.heap.next_unreleased(from, Pages(100)) {
            assert!(addr >= from && pages.0 <= 100);
            seen.extend((0..pages.0).map(|i| self.world.page(addr) + i));
            from = addr.plus(pages.bytes());
        }
        let resident: Vec<usize> =
            self.model.runs(|p| !p.taken && p.resident).iter().flat_map(|&(page, n)| page..page + n).collect();
        assert_eq!(seen, resident);
        for (page, n) in core::mem::take(&mut self.model.held) {
            self.world.heap.free(self.world.at(0, page), Pages(n));
            self.model.free(page, n, false);
        }
        // Marks each chunk again, so that no chunk skipped before stays unmarked.
        for (page, n) in self.model.runs(|p| !p.taken) {
            self.world.heap.clear_released(self.world.at(0, page), Pages(n));
        }
        let want = ReleaseShape { at_most: Pages(512), unit: Pages(1), huge: Pages(0) };
        let mut above = usize::MAX;
        loop {
            match self.world.heap.take_for_release(want) {
                Release::Run(addr, pages) => {
                    assert_eq!(pages, Pages(512));
                    assert!(self.world.page(addr) < above, "runs come from high addresses down");
                    above = self.world.page(addr);
                    self.world.heap.give_back_released(addr, pages);
                }
                Release::Again => {}
                Release::Nothing => break,
            }
        }
        self.world.check();
        let all = Pages(self.model.pages.iter().flatten().count());
        assert_eq!(self.world.heap.count(), (Pages(0), all), "all free and released");
    }
}

/// Returns chunk numbers side by side, and far ones: in another child of each level.
fn far_places() -> Vec<usize> {
    let mut places: Vec<usize> = (4..12).collect();
    places.extend([63, 64, 65, 511, 512, 4095, 4096, 4097]);
    places.extend(8 * 4096 - 1..8 * 4096 + 3);
    places.extend((1 << 25) - 4..1 << 25);
    places
}

/// Runs the steps on a heap of which the chunks in `grown` are grown.
fn runs<const LEVELS: usize>(window: usize, places: Vec<usize>, grown: &[bool], steps: &[Step]) {
    let mut both = Both::<LEVELS>::new(window, places);
    for (chunk, _) in grown.iter().enumerate().filter(|(_, grown)| **grown) {
        both.grow(chunk, 1);
    }
    both.run(steps);
}

fn steps(chunks: usize) -> impl Strategy<Value = (Vec<bool>, Vec<Step>)> {
    (proptest::collection::vec(proptest::bool::weighted(0.4), chunks), proptest::collection::vec(step(chunks), 1..60))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn five_levels_side_by_side((grown, steps) in steps(20)) {
        runs::<5>(20, (0..20).collect(), &grown, &steps);
    }

    #[test]
    fn five_levels_far_apart((grown, steps) in steps(24)) {
        runs::<5>(1 << 25, far_places(), &grown, &steps);
    }

    #[test]
    fn one_level_side_by_side((grown, steps) in steps(20)) {
        runs::<1>(20, (0..20).collect(), &grown, &steps);
    }

    #[test]
    fn one_level_far_apart((grown, steps) in steps(11)) {
        let places = std::vec![0, 1, 2, 3, 100, 101, 510, 511, 512, 1022, 1023];
        runs::<1>(1024, places, &grown, &steps);
    }

    #[test]
    fn three_levels_far_apart((grown, steps) in steps(16)) {
        runs::<3>(8192, far_places().into_iter().take(16).collect(), &grown, &steps);
    }
}
