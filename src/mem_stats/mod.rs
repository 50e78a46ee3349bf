//! Reading the books: a snapshot, the same added up a second way, and the comparison of both.
//!
//! `global` calls it at exit, tests at their end, `metrics` gives names to what it finds.
//!
//! [`read`] takes the books' lock only. [`crossfoot`] takes the books', the caches' and the heap's
//! lock, in this order, so that nobody moves what it compares. Nothing allocates; [`crossfoot`] needs
//! about 16 KiB of stack.
//!
//! Invariant: a figure that disagrees is reported, never repaired.

use crate::account::{ACCOUNTS, Account, Failures, Snapshot, Total};
use crate::cache::Cache;
use crate::heap::{Client, Still, Walked};
use crate::os::Os;
use crate::size_class::{CLASSES, Class};
use crate::span::Span;
use crate::thread::Caches;
use crate::units::Addr;

/// What [`crossfoot`] found.
pub struct Balance {
    /// The snapshot that was checked.
    pub snapshot: Snapshot,
    /// Whether the snapshot is complete; if not, a thread was stopped in an entry, and only identities within the
    /// last complete snapshot were checked.
    pub complete: bool,
    /// What the walk over every span found.
    pub walked: Walked,
    /// The identities that failed.
    pub failures: Failures,
    /// Caches that were ever made.
    pub caches: usize,
}

/// One consistent snapshot, with its identities 1 to 5 unchecked. Returns whether it is complete.
pub fn read<O: Os>(caches: &Caches<O>, out: &mut Snapshot) -> bool {
    let heap = caches.central().heap();
    heap.books().read(heap.vm().os(), out)
}

/// Everything added up by walking every span, with the books closed and the page heap's lock held. `None`: a
/// thread was stopped in the middle of a movement.
///
/// No other thread allocates or frees meanwhile.
pub fn read_slow<O: Os>(caches: &Caches<O>) -> Option<Walked> {
    let heap = caches.central().heap();
    let mut reader = heap.books().reader();
    let walked = reader.close(heap.vm().os()).then(|| walk(caches, &heap.hold_still(), true));
    reader.open();
    walked
}

/// The walk, together with what is in the caches' hands.
fn walk<O: Os>(caches: &Caches<O>, still: &Still<'_, O>, objects: bool) -> Walked {
    let mut walked = still.walk(objects);
    let mut add = |client: &Client| {
        // SAFETY: the books are closed and the heap's lock is held.
        let (pages, records) = unsafe { client.in_hand() };
        walked.accounts[Account::HeapFree as usize] += pages.bytes();
        walked.records -= records;
    };
    caches.each(|cache| add(cache.client()));
    walked
}

/// Checks every identity. Objects are compared too where no other thread allocates or frees: because the
/// caller knows (`quiet`), or because no other thread has a cache.
///
/// `cache` is the calling thread's, if it has one.
pub fn crossfoot<O: Os>(caches: &Caches<O>, cache: Option<&Cache>, quiet: bool) -> Balance {
    if let Some(cache) = cache {
        cache.post_all(caches.central());
    }
    let heap = caches.central().heap();
    let mut reader = heap.books().reader();
    let still_writers = reader.close(heap.vm().os());
    let pool = caches.hold_still();
    let still = heap.hold_still();
    let mut snapshot = Snapshot::new();
    let complete = reader.read(heap.vm().os(), &mut snapshot) && still_writers;
    let alone = caches.made() - pool.idle() <= usize::from(cache.is_some());
    let objects = complete && (quiet || alone);
    let walked = walk(caches, &still, objects);
    let mut failures = Failures::default();
    snapshot.check(&mut failures);
    if complete {
        compare_accounts(heap.vm().accounts(), &snapshot, &mut failures);
        compare_walk(&walked, &snapshot, &mut failures);
        if objects {
            compare_objects(caches, &walked, &snapshot, &mut failures);
        }
    }
    failures.require(still.is_valid(), "page summaries = page bitmaps", None, 0, 1);
    reader.open();
    Balance { snapshot, complete, walked, failures, caches: caches.made() }
}

/// The low-level accounts against the consistent statistics.
fn compare_accounts(accounts: &crate::account::Accounts, snapshot: &Snapshot, failures: &mut Failures) {
    for account in Account::ALL {
        failures.equal(account.name(), accounts.get(account) as i64, snapshot.account(account));
    }
    failures.equal("mapped_ready", accounts.mapped_ready() as i64, snapshot.total(Total::MappedReady));
    failures.equal("total_mapped", accounts.total() as i64, snapshot.total(Total::TotalMapped));
}

/// What the walk found against the snapshot: identity 6.
fn compare_walk(walked: &Walked, snapshot: &Snapshot, failures: &mut Failures) {
    let paged = Account::SpanSys as usize;
    const _: () = assert!((Account::SpanSys as usize) < ACCOUNTS, "accounts before span_sys are those of pages");
    for account in Account::ALL.into_iter().take(paged) {
        failures.equal("pages walked = account", walked.accounts[account as usize] as i64, snapshot.account(account));
    }
    for (i, class) in snapshot.classes.iter().enumerate() {
        let found = walked.class_bytes[i] as i64;
        failures.require(found == class.span_bytes, "spans walked = bytes of class", Some(i), found, class.span_bytes);
    }
    failures.equal("large objects walked = large", walked.large_bytes as i64, snapshot.large_bytes());
    let large = snapshot.total(Total::LargeAllocs) - snapshot.total(Total::LargeFrees);
    failures.equal("large objects walked = large allocations - frees", walked.large_objects as i64, large);
    failures.equal("spans walked = span records", walked.spans as i64, walked.records as i64);
    let records = (walked.records * size_of::<Span>()) as i64;
    let sys = snapshot.account(Account::SpanSys);
    failures.require(records <= sys, "span records <= span_sys", None, records, sys);
}

/// Objects, one by one, where nobody allocates or frees.
fn compare_objects<O: Os>(caches: &Caches<O>, walked: &Walked, snapshot: &Snapshot, failures: &mut Failures) {
    let mut allocs = [0u64; CLASSES];
    let mut posted = [0u64; CLASSES];
    let mut hand = [0u64; CLASSES];
    let mut arrived = [0u64; CLASSES];
    caches.each(|cache| {
        for class in Class::all() {
            allocs[class.index()] += cache.allocs(class) as u64;
            posted[class.index()] += cache.posted(class) as u64;
            hand[class.index()] += cache.in_hand(class) as u64;
        }
        cache.each_arrived(|object, count| {
            if let Some(span) = caches.central().heap().span_of(Addr::of(object)) {
                arrived[span.class().index()] += count as u64;
            }
        });
    });
    for class in Class::all() {
        let i = class.index();
        let c = &snapshot.classes[i];
        let live = allocs[i] as i64 - (c.frees + c.received + walked.unposted_frees[i]) as i64;
        let found = walked.outstanding[i] as i64 - hand[i] as i64;
        failures.require(live == found, "allocations - frees = objects found", Some(i), live, found);
        let (sum, global) = (posted[i] as i64, c.allocs as i64);
        failures.require(sum == global, "allocations of all caches = allocations", Some(i), sum, global);
        let (found, sent) = (arrived[i] as i64, c.in_transit());
        failures.require(found == sent, "objects in inboxes = sent - received", Some(i), found, sent);
    }
}
