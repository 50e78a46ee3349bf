//! The lock order: each violation is detected and ends with one line, legal orders pass, waits are counted, and
//! `docs/locks.md` shows the order.

use crossfoot::lock::{
    COUNT, EVALUATED, Edge, Fork, Guard, Mutex, ORDER, Order, Rank, RankGuard, acquire_rank, dot, held, hold_row,
    let_go_row, mermaid, reasons, table,
};
use crossfoot::os::Platform;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

struct Home;

impl Platform for Home {
    fn yield_now() {
        thread::yield_now();
    }

    fn now() -> u64 {
        0
    }
}

/// An environment that counts yields, with a clock that advances by one at every look. For one test only.
struct Watched;

static YIELDS: AtomicU64 = AtomicU64::new(0);
static CLOCK: AtomicU64 = AtomicU64::new(0);

impl Platform for Watched {
    fn yield_now() {
        YIELDS.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
    }

    fn now() -> u64 {
        CLOCK.fetch_add(1, Ordering::SeqCst)
    }
}

fn mutex(rank: Rank) -> Mutex<Home, u64> {
    Mutex::new(rank, 0)
}

/// Prints a line if this build does not check the order.
fn checked(test: &str) -> bool {
    if !held::CHECKED {
        let line = format!("SKIPPED {test}: this build does not check the lock order\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    held::CHECKED
}

/// Runs `breach` and asserts that it dies with exactly `line` and leaves no lock held.
fn dies(line: &str, breach: impl FnOnce()) {
    let death = catch_unwind(AssertUnwindSafe(breach)).expect_err(line);
    let said = death.downcast_ref::<String>().expect("a formatted line");
    assert_eq!(said, line);
    held::none_held();
}

#[test]
fn acquiring_against_the_order() {
    if !checked("acquiring_against_the_order") {
        return;
    }
    let (heap, meta) = (mutex(Rank::Heap), mutex(Rank::Meta));
    dies("crossfoot: lock order: acquiring Heap while holding Meta: Heap comes before Meta", || {
        let _meta = meta.lock();
        let _heap = heap.lock();
    });
    dies("crossfoot: lock order: acquiring Heap while holding Meta: Heap comes before Meta", || {
        let _meta = meta.lock();
        let _heap = heap.try_lock();
    });
    // Not declared as a pair: it follows from others.
    let (boot, central) = (mutex(Rank::Boot), mutex(Rank::Central));
    dies("crossfoot: lock order: acquiring Boot while holding Central: Boot comes before Central", || {
        let _central = central.lock();
        let _boot = boot.lock();
    });
    assert_eq!(heap.contended() + meta.contended() + boot.contended() + central.contended(), 0);
}

#[test]
fn acquiring_twice() {
    if !checked("acquiring_twice") {
        return;
    }
    let heap = mutex(Rank::Heap);
    dies("crossfoot: lock order: acquiring Heap while holding Heap: taken twice by this thread", || {
        let _first = heap.lock();
        let _second = heap.lock();
    });
    dies("crossfoot: lock order: acquiring Posting while holding Posting: taken twice by this thread", || {
        let _first = acquire_rank(Rank::Posting);
        let _second = acquire_rank(Rank::Posting);
    });
}

#[test]
fn acquiring_two_of_one_rank() {
    if !checked("acquiring_two_of_one_rank") {
        return;
    }
    let centrals = [mutex(Rank::Central), mutex(Rank::Central)];
    let line = "crossfoot: lock order: acquiring Central while holding Central: \
        two locks of one rank are never held together";
    dies(line, || {
        let _first = centrals[0].lock();
        let _second = centrals[1].lock();
    });
}

#[test]
fn acquiring_an_undeclared_pair() {
    if !checked("acquiring_an_undeclared_pair") {
        return;
    }
    let (buffer, metrics) = (mutex(Rank::TraceBuffer), mutex(Rank::Metrics));
    let line = "crossfoot: lock order: acquiring Metrics while holding TraceBuffer: \
        no order is declared between them";
    dies(line, || {
        let _buffer = buffer.lock();
        let _metrics = metrics.lock();
    });
}

#[test]
fn releasing_what_is_not_held() {
    if !checked("releasing_what_is_not_held") {
        return;
    }
    dies("crossfoot: lock order: Books released but not held", || held::release(Rank::Books, 8));
    // Another lock of the rank is held; this one is not.
    dies("crossfoot: lock order: Central released but not held", || {
        let _other = held::acquire(Rank::Central, 16);
        held::release(Rank::Central, 8);
    });
    dies("crossfoot: lock order: Heap released but not held", || {
        held::note_in_line(Rank::Heap, 8);
        held::release(Rank::Heap, 8);
        held::release(Rank::Heap, 8);
    });
}

#[test]
fn declaring_what_may_not_be_acquired() {
    if !checked("declaring_what_may_not_be_acquired") {
        return;
    }
    let (heap, meta) = (mutex(Rank::Heap), mutex(Rank::Meta));
    dies("crossfoot: lock order: may acquire Heap while holding Meta: Heap comes before Meta", || {
        let _meta = meta.lock();
        heap.may_acquire();
    });
    let line = "crossfoot: lock order: may acquire Heap while holding Heap: \
        two locks of one rank are never held together";
    dies(line, || {
        let _heap = heap.lock();
        heap.may_acquire();
    });
    dies("crossfoot: lock order: may acquire Boot while holding Heap: Boot comes before Heap", || {
        let _heap = heap.lock();
        held::may_acquire(Rank::Boot);
    });
}

#[test]
fn relying_on_what_is_not_held() {
    if !checked("relying_on_what_is_not_held") {
        return;
    }
    let centrals = [mutex(Rank::Central), mutex(Rank::Central)];
    dies("crossfoot: lock order: Central must be held here; held: none", || centrals[0].assert_held());
    // Not even another lock of the same rank will do.
    dies("crossfoot: lock order: Central must be held here; held: Shared, Central", || {
        let _shared = acquire_rank(Rank::Shared);
        let _other = centrals[1].lock();
        centrals[0].assert_held();
    });
    dies("crossfoot: lock order: Heap must be held here; held: Central", || {
        let _central = centrals[0].lock();
        held::assert_held(Rank::Heap);
    });
}

#[test]
fn holding_what_must_not_be_held() {
    if !checked("holding_what_must_not_be_held") {
        return;
    }
    let heap = mutex(Rank::Heap);
    dies("crossfoot: lock order: Heap must not be held here", || {
        let _heap = heap.lock();
        held::assert_not_held(Rank::Heap);
    });
    dies("crossfoot: lock order: no lock may be held here; held: Trace, Heap", || {
        let _trace = acquire_rank(Rank::Trace);
        let _heap = heap.lock();
        held::none_held();
    });
}

#[test]
fn zero_bytes_are_an_empty_list() {
    lists::zero_bytes_are_empty();
}

#[test]
fn every_lock_held_is_looked_at() {
    lists::the_obstacle_may_be_anywhere();
}

/// Tests of the checker itself.
#[cfg(debug_assertions)]
mod lists {
    use crossfoot::lock::held::HeldLocks;
    use crossfoot::lock::{Rank, Ranks};

    pub fn zero_bytes_are_empty() {
        // SAFETY: this is what the type promises: an integer, and entries of an integer and a rank,
        // of which the first has the value zero.
        let mut list = unsafe { core::mem::zeroed::<HeldLocks>() };
        assert_eq!(list.ranks(), Ranks::NONE);
        for (address, &rank) in Rank::ALL.iter().enumerate() {
            // Whatever the order allows after what is there fits.
            let _ = list.acquire(rank, address);
        }
        assert!(list.holds(Rank::ALL[0]) && list.ranks().count() > 1);
    }

    /// Locks taken one by one form a chain, where looking at the last is enough; a line is no chain.
    pub fn the_obstacle_may_be_anywhere() {
        let mut list = HeldLocks::new();
        list.acquire_in_line(Rank::TraceBuffer, 1).unwrap();
        list.acquire_in_line(Rank::Metrics, 2).unwrap();
        let line = "crossfoot: lock order: acquiring Books while holding TraceBuffer: \
            no order is declared between them";
        assert_eq!(list.acquire(Rank::Books, 3).unwrap_err().to_string(), line);
        list.release(Rank::TraceBuffer, 1).unwrap();
        list.acquire(Rank::Books, 3).unwrap();
    }
}

#[cfg(not(debug_assertions))]
mod lists {
    pub fn zero_bytes_are_empty() {
        super::checked("zero_bytes_are_an_empty_list");
    }

    pub fn the_obstacle_may_be_anywhere() {
        super::checked("every_lock_held_is_looked_at");
    }
}

#[test]
fn the_longest_paths_are_passable() {
    let crossfoot = [Rank::Sysmon, Rank::Trace, Rank::Metrics, Rank::Books, Rank::Heap];
    let starting_a_trace = [Rank::Sysmon, Rank::Trace, Rank::TraceBuffer, Rank::Heap, Rank::Meta];
    let a_thread_without_a_cache = [Rank::Shared, Rank::Central, Rank::Heap, Rank::Meta, Rank::Posting];
    for path in [&crossfoot[..], &starting_a_trace, &a_thread_without_a_cache] {
        let locks: Vec<_> = path.iter().map(|&rank| mutex(rank)).collect();
        let mut guards: Vec<Guard<'_, Home, u64>> = locks.iter().map(|lock| lock.lock()).collect();
        locks.iter().for_each(|lock| lock.assert_held());
        path.iter().for_each(|&rank| held::assert_held(rank));
        // In the order of acquisition, the opposite of how scopes end.
        guards.drain(..).for_each(drop);
        held::none_held();
    }
}

#[test]
fn the_closure_is_a_strict_partial_order() {
    for a in Rank::ALL {
        assert!(!a.may_be_held_when_taking(a), "{} before itself", a.name());
        for b in Rank::ALL {
            for c in Rank::ALL {
                let through = a.may_be_held_when_taking(b) && b.may_be_held_when_taking(c);
                assert!(!through || a.may_be_held_when_taking(c), "{} {} {}", a.name(), b.name(), c.name());
            }
        }
    }
    let sorted = EVALUATED.sorted();
    let position = |rank| sorted.iter().position(|&r| r == rank).unwrap();
    for edge in ORDER {
        assert!(edge.first.may_be_held_when_taking(edge.then));
    }
    for a in Rank::ALL {
        for b in Rank::ALL {
            assert!(!a.may_be_held_when_taking(b) || position(a) < position(b));
            assert_eq!(a.may_be_held_when_taking(b), reaches(a, b), "{} {}", a.name(), b.name());
        }
    }
}

/// Returns whether declared pairs lead from `a` to `b`, by exhaustive search.
fn reaches(a: Rank, b: Rank) -> bool {
    ORDER.iter().any(|edge| edge.first == a && (edge.then == b || reaches(edge.then, b)))
}

#[test]
fn the_drawing_has_exactly_the_needed_edges() {
    let pairs = Rank::ALL.iter().flat_map(|&first| Rank::ALL.map(|then| Edge { first, then, why: "" }));
    let steps: Vec<Edge> = pairs.filter(|e| EVALUATED.is_step(e.first, e.then)).collect();
    let same = |edges: &[Edge]| {
        let order = Order::new(edges);
        Rank::ALL.iter().all(|&rank| order.before(rank) == EVALUATED.before(rank))
    };
    assert!(same(&steps));
    for missing in 0..steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(missing);
        assert!(!same(&fewer));
    }
    let drawing = dot().to_string();
    assert_eq!(drawing.matches(" -> ").count(), steps.len());
    for step in &steps {
        assert!(drawing.contains(&format!("    {} -> {};\n", step.first.name(), step.then.name())));
    }
}

#[test]
fn a_cycle_is_refused() {
    let edge = |first, then| Edge { first, then, why: "" };
    let short = [edge(Rank::Heap, Rank::Heap)];
    let long = [edge(Rank::Heap, Rank::Meta), edge(Rank::Meta, Rank::Trace), edge(Rank::Trace, Rank::Heap)];
    for (edges, name) in [(&short[..], "Heap"), (&long[..], "Trace")] {
        let refusal = catch_unwind(|| Order::new(edges).sorted()).expect_err("a cycle passed");
        let said = refusal.downcast_ref::<String>().expect("a formatted line");
        assert_eq!(*said, format!("the lock order has a cycle: {name} comes before itself"));
    }
    let turned = [edge(Rank::Meta, Rank::Heap), edge(Rank::Heap, Rank::Boot)];
    assert!(Order::new(&turned).allows(Rank::Meta, Rank::Boot));
}

#[test]
fn every_rank_is_part_of_the_order() {
    for rank in Rank::ALL {
        assert!(ORDER.iter().any(|edge| edge.first == rank || edge.then == rank), "{}", rank.name());
        assert!(rank == Rank::Posting || rank.may_be_held_when_taking(Rank::Posting), "{}", rank.name());
    }
    for (i, edge) in ORDER.iter().enumerate() {
        let same = |other: &&Edge| other.first == edge.first && other.then == edge.then;
        assert_eq!(ORDER.iter().filter(same).count(), 1, "pair {i} is declared twice");
    }
}

#[test]
fn one_thread_at_a_time() {
    const ROUNDS: u64 = 20_000;
    let counter = mutex(Rank::Heap);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let mut value = counter.lock();
                    let read = *value;
                    std::hint::black_box(&mut value);
                    *value = read + 1;
                }
            });
        }
    });
    assert_eq!(*counter.lock(), 4 * ROUNDS);
}

#[test]
fn a_wait_yields_and_is_counted() {
    let lock = Mutex::<Watched, u64>::new(Rank::Heap, 0);
    let (taken, wait_for_taken) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = lock.lock();
            taken.send(()).unwrap();
            // Only a waiter that yields gets the lock in time.
            let start = Instant::now();
            while YIELDS.load(Ordering::SeqCst) == 0 && start.elapsed() < Duration::from_secs(180) {
                thread::yield_now();
            }
        });
        wait_for_taken.recv().unwrap();
        *lock.lock() += 1;
    });
    assert!(YIELDS.load(Ordering::SeqCst) > 0, "the waiter kept its CPU");
    // Two looks at the clock, one step between them; a lock that is free costs neither.
    assert_eq!((lock.contended(), lock.waited_nanos(), *lock.lock()), (1, 1, 1));
    assert_eq!(CLOCK.load(Ordering::SeqCst), 2);
    #[cfg(debug_assertions)]
    assert_eq!(lock.rank(), Rank::Heap);
}

#[test]
fn trying_does_not_wait() {
    let lock = mutex(Rank::Central);
    let guard = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(lock.try_lock().is_none());
            // A lock that was not taken leaves no note.
            held::none_held();
        });
    });
    drop(guard);
    assert!(lock.try_lock().is_some());
    assert!(lock.try_lock().is_some());
    assert_eq!(lock.contended(), 0);
}

#[test]
fn a_row_is_held_without_a_guard() {
    let row = [mutex(Rank::Central), mutex(Rank::Central), mutex(Rank::Central)];
    let taken = || thread::scope(|s| s.spawn(|| row.each_ref().map(|l| l.try_lock().is_none())).join().unwrap());
    assert_eq!(taken(), [false; 3]);
    hold_row(&row, &Fork::outside());
    held::assert_held(Rank::Central);
    assert_eq!(taken(), [true; 3]);
    // What comes later may still be taken.
    drop(mutex(Rank::Heap).lock());
    // SAFETY: this thread took this row above.
    unsafe { let_go_row(&row, &Fork::outside(), false) };
    held::none_held();
    assert_eq!(taken(), [false; 3]);
}

#[test]
fn a_fork_holds_every_rank() {
    let all: Vec<_> = EVALUATED.sorted().iter().map(|&rank| [mutex(rank), mutex(rank)]).collect();
    all.iter().for_each(|row| hold_row(row, &Fork::outside()));
    Rank::ALL.iter().for_each(|&rank| held::assert_held(rank));
    // SAFETY: this thread took these rows above.
    all.iter().for_each(|row| unsafe { let_go_row(row, &Fork::outside(), false) });
    held::none_held();
    assert!(all.iter().flatten().all(|lock| lock.try_lock().is_some()));
}

#[test]
fn a_row_obeys_the_order() {
    if !checked("a_row_obeys_the_order") {
        return;
    }
    let row = [mutex(Rank::Central), mutex(Rank::Central)];
    let line = "crossfoot: lock order: acquiring Central in line while holding StackPool: \
        Central does not stand behind StackPool";
    dies(line, || {
        let _stacks = acquire_rank(Rank::StackPool);
        hold_row(&row, &Fork::outside());
    });
    let line = "crossfoot: lock order: acquiring Central in line while holding Central: \
        Central does not stand behind Central";
    dies(line, || {
        let _central = row[1].lock();
        hold_row(&row, &Fork::outside());
    });
    dies("crossfoot: lock order: Central released but not held", || {
        // SAFETY: it is not, and that is seen before anything is released.
        unsafe { let_go_row(&row, &Fork::outside(), false) };
    });
}

#[test]
fn nothing_of_the_checker_remains() {
    let word = size_of::<usize>();
    if held::CHECKED {
        assert!(size_of::<Guard<'_, Home, u64>>() > word && size_of::<RankGuard>() > 0);
    } else {
        assert!(size_of::<Guard<'_, Home, u64>>() <= 3 * word && size_of::<RankGuard>() == 0);
    }
    // Three counters and the word that names the holder; in checked builds the rank.
    assert!(size_of::<Mutex<Home, ()>>() <= 4 * 8 + if held::CHECKED { word } else { 0 });
}

const BEGIN: &str = "<!-- generated from src/lock/rank.rs; CROSSFOOT_BLESS=1 cargo test --test core_lock_order -->\n";
const END: &str = "<!-- end of the generated part -->\n";

#[test]
fn the_document_shows_the_order() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/locks.md");
    let text = std::fs::read_to_string(path).expect(path);
    let (head, rest) = text.split_once(BEGIN).expect("docs/locks.md lost the line where the generated part begins");
    let (shown, tail) = rest.split_once(END).expect("docs/locks.md lost the line where the generated part ends");
    let (drawing, ranks, pairs) = (mermaid(), table(), reasons());
    let fresh = format!(
        "## The {COUNT} ranks\n\n{ranks}\n## The drawing\n\n\
         An arrow leads from a lock to the next that may be taken. A thread may skip locks on a path.\n\n\
         ```mermaid\n{drawing}```\n\n## Why each pair\n\n{pairs}"
    );
    if std::env::var_os("CROSSFOOT_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, format!("{head}{BEGIN}{fresh}{END}{tail}")).expect(path);
    } else {
        assert!(shown == fresh, "docs/locks.md shows another order; CROSSFOOT_BLESS=1 writes it anew:\n{fresh}");
    }
}
