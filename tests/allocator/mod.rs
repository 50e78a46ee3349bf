//! Shared by the tests of whole allocators: a generator of numbers, the comparison of the accounts with the simulated
//! OS, and objects with known content.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::collections::BTreeMap;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::central::Central;
use crossfoot::heap::Heap;
use crossfoot::local;
use crossfoot::malloc::{self, Binding};
use crossfoot::mem_stats::Balance;
use crossfoot::os::Os;
use crossfoot::os::sim::Sim;
use crossfoot::stats::{Account, Total};
use crossfoot::units::{KIB, MIB, PAGE_SIZE};

/// SplitMix64. Any seed is good.
pub struct Rng(pub u64);

impl Rng {
    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`, which is not zero.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Returns true in one case of `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Returns an allocator at a fixed address.
pub fn allocator<O: Os>(os: O) -> Box<Allocator<O>> {
    Box::new(Allocator::new(os))
}

/// Returns a cache of an allocator made by [`allocator`].
pub fn adopt<O: Os>(allocator: &Allocator<O>) -> &Cache {
    // SAFETY: the kernel is in a box and outlives the cache.
    unsafe { allocator.adopt() }.expect("the machine refuses nothing now")
}

/// Asserts every identity while no other thread works.
pub fn balanced<O: Os>(allocator: &Allocator<O>, cache: Option<&Cache>) -> Balance {
    // SAFETY: the tests ask where nobody else is at work.
    let balance = unsafe { allocator.crossfoot_quiet(cache) }.expect("the kernel has started");
    assert!(balance.complete, "nobody was in the middle of an entry");
    let failures: Vec<String> = balance.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "unbalanced: {failures:#?}");
    balance
}

/// As [`balanced`], and compares the accounts with the simulated OS, which knows every page: identity 7.
pub fn balanced_with_machine(allocator: &Allocator<Sim>, cache: Option<&Cache>) -> Balance {
    let balance = balanced(allocator, cache);
    let (sim, stats) = (allocator.os(), &balance.snapshot);
    assert_eq!(sim.ready_bytes() as i64, stats.total(Total::MappedReady), "Ready at the machine against mapped_ready");
    assert_eq!(
        sim.prepared_bytes() as i64,
        stats.account(Account::HeapReleased),
        "Prepared at the machine against heap_released"
    );
    balance
}

/// Asserts that no object and no span is left and nothing is in transit, after everything was freed and every cache
/// retired.
pub fn empty<O: Os>(allocator: &Allocator<O>) {
    let balance = balanced(allocator, None);
    let stats = &balance.snapshot;
    for (class, c) in stats.classes() {
        assert_eq!((c.live(), c.in_transit(), c.span_bytes, c.vacant), (0, 0, 0, 0), "class {class:?}");
    }
    assert_eq!(stats.total(Total::LargeAllocs), stats.total(Total::LargeFrees));
    assert_eq!((stats.live_bytes(), stats.account(Account::HeapInUse)), (0, 0));
    // Spans of bitmaps are kept.
    let bitmaps = stats.account(Account::InBitmaps) as usize / PAGE_SIZE;
    assert_eq!((balance.walked.spans, balance.walked.records), (bitmaps, bitmaps));
}

/// Frees an object.
pub fn free<O: Os>(allocator: &Allocator<O>, cache: &Cache, at: usize) {
    // SAFETY: the tests free what they allocated and do not use it after.
    unsafe { malloc::free(allocator.bind(cache), at as *mut u8) }
}

/// A binding of a thread that has no cache and gets none.
struct Cacheless<'a, O: Os>(&'a Allocator<O>);

impl<O: Os> Clone for Cacheless<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Os> Copy for Cacheless<'_, O> {}

impl<O: Os> Binding for Cacheless<'_, O> {
    type Os = O;

    fn heap(&self) -> &Heap<O> {
        self.0.heap()
    }

    fn central(&self) -> &Central<O> {
        self.0.central()
    }

    /// The id of no thread that has a cache: those of tests are the addresses of their caches.
    fn thread_id(&self) -> usize {
        8
    }

    /// Test threads have no cache in the process's allocator.
    fn cache_or_empty(&self) -> *const Cache {
        local::cache_or_empty()
    }

    fn cache(&self) -> Option<&Cache> {
        None
    }

    fn cache_or_adopt(&self) -> Option<&Cache> {
        None
    }

    fn with_cache_to_free(&self, f: impl FnOnce(&Cache)) {
        self.0.caches().with_shared(|cache| {
            f(cache);
            cache.flush_pending(self.heap(), self.central());
        });
    }

    fn report_no_memory(&self) {}
}

/// Frees an object as a thread without a cache does.
pub fn free_without_cache<O: Os>(allocator: &Allocator<O>, at: usize) {
    // SAFETY: as above.
    unsafe { malloc::free(Cacheless(allocator), at as *mut u8) }
}

/// Changes an object's size, at least 1.
pub fn reallocate<O: Os>(allocator: &Allocator<O>, cache: &Cache, at: usize, size: usize, align: usize) -> usize {
    // SAFETY: the tests use the result instead, unless it is null.
    unsafe { malloc::reallocate(allocator.bind(cache), at as *mut u8, size, align) as usize }
}

/// Returns the usable bytes of an object.
pub fn usable<O: Os>(allocator: &Allocator<O>, at: usize) -> usize {
    // SAFETY: a live object.
    unsafe { malloc::usable_size(allocator.heap(), at as *mut u8) }
}

/// Retires a cache.
pub fn retire<O: Os>(allocator: &Allocator<O>, cache: &Cache) {
    // SAFETY: the tests drive the cache by hand and forget it here.
    unsafe { allocator.retire(cache) }
}

/// The seed of an object's content, and its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The seed of the content.
    pub id: u64,
    /// The requested bytes.
    pub size: usize,
    /// The usable bytes.
    pub usable: usize,
    /// The requested alignment.
    pub align: usize,
}

/// Up to this size every byte of an object is written and compared.
const WHOLE: usize = 64 * KIB;
/// Above it, one word in this many bytes, and at most [`STAMPS`] words.
const STRIDE: usize = 4 * KIB;
const STAMPS: usize = 300;

/// Returns the words of a large object that are written and compared: the first, the last, some between.
fn stamps(size: usize) -> impl Iterator<Item = usize> {
    let stride = STRIDE.max((size / STAMPS).next_multiple_of(STRIDE));
    (0..size - 15).step_by(stride).chain([size - 8])
}

fn byte(id: u64) -> u8 {
    (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 | 1
}

fn bytes<'a>(at: usize, size: usize) -> &'a [u8] {
    // SAFETY: the tests read live objects only.
    unsafe { std::slice::from_raw_parts(at as *const u8, size) }
}

/// Writes the content that `id` stands for over the first `size` bytes of an object.
pub fn fill(at: usize, size: usize, id: u64) {
    let p = at as *mut u8;
    // SAFETY: the object is live and has that many bytes.
    unsafe {
        if size <= WHOLE {
            p.write_bytes(byte(id), size);
            if size >= 16 {
                p.cast::<u64>().write_unaligned(id);
                p.add(size - 8).cast::<u64>().write_unaligned(!id);
            }
        } else {
            stamps(size).for_each(|i| p.add(i).cast::<u64>().write_unaligned(id ^ i as u64));
        }
    }
}

/// Whether an object that was filled with `size` bytes still holds the first `kept` of them.
pub fn holds(at: usize, size: usize, kept: usize, id: u64) -> bool {
    let word = |i: usize| u64::from_ne_bytes(bytes(at + i, 8).try_into().expect("eight bytes"));
    if size > WHOLE {
        return stamps(size).filter(|i| i + 8 <= kept).all(|i| word(i) == id ^ i as u64);
    }
    let b = [byte(id); 64];
    let all = |from: usize, to: usize| bytes(at + from, to - from).chunks(64).all(|c| *c == b[..c.len()]);
    if size < 16 {
        return all(0, kept);
    }
    let first = kept < 8 || word(0) == id;
    let last = kept < size || word(size - 8) == !id;
    let (from, to) = (8.min(kept), kept.min(size - 8));
    first && last && all(from, to.max(from))
}

/// Whether fresh zeroed memory reads as zero: everywhere up to a mebibyte, else where objects are written.
pub fn reads_zero(at: usize, size: usize) -> bool {
    static ZEROS: [u8; 64 * KIB] = [0; 64 * KIB];
    if size <= MIB {
        return bytes(at, size).chunks(ZEROS.len()).all(|c| *c == ZEROS[..c.len()]);
    }
    stamps(size).all(|i| bytes(at + i, 8) == &ZEROS[..8])
}

/// The live objects, as a plain model keeps them.
#[derive(Default)]
pub struct Model {
    /// By address.
    pub live: BTreeMap<usize, Live>,
    /// Bytes of them all.
    pub bytes: usize,
    next: u64,
}

impl Model {
    /// Takes a new object in: it may not touch another, and is filled.
    pub fn insert(&mut self, at: usize, size: usize, usable: usize, align: usize) {
        self.next += 1;
        let live = Live { id: self.next, size, usable, align };
        assert!(at.is_multiple_of(align.max(16)), "{at:#x} of {size} bytes is not aligned to {align}");
        assert!(usable >= size, "{usable} bytes are no room for {size}");
        let end = at.checked_add(usable).expect("objects end inside the address space");
        if let Some((below, other)) = self.live.range(..end).next_back() {
            assert!(below + other.usable <= at, "{live:?} at {at:#x} overlaps {other:?} at {below:#x}");
        }
        fill(at, size, live.id);
        self.live.insert(at, live);
        self.bytes += usable;
    }

    /// Takes an object out, unless its content is not what it was.
    pub fn remove(&mut self, at: usize) -> Live {
        let live = self.live.remove(&at).expect("a live object");
        assert!(holds(at, live.size, live.size, live.id), "{live:?} at {at:#x} was written over");
        self.bytes -= live.usable;
        live
    }

    /// The object that `which` chooses.
    pub fn pick(&self, which: usize) -> Option<usize> {
        let (&first, _) = self.live.first_key_value()?;
        let (&last, _) = self.live.last_key_value()?;
        // Any address between, then the next object: large objects have neighbours too.
        let from = if which.is_multiple_of(2) {
            first + (which >> 1) % (last - first + 1)
        } else {
            return self.live.keys().nth((which >> 1) % self.live.len()).copied();
        };
        self.live.range(from..).next().map(|(&at, _)| at)
    }

    /// Compares the content of every object.
    pub fn verify(&self) {
        for (&at, live) in &self.live {
            assert!(holds(at, live.size, live.size, live.id), "{live:?} at {at:#x} was written over");
        }
    }
}
