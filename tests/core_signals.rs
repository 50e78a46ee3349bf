//! Threads stopped by a signal at any point, handlers that read, and children of a fork: the accounts balance in each.

mod allocator;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::lock::Fork;
use crossfoot::malloc;
use crossfoot::mem_stats::MemStats;
use crossfoot::os::Linux;
use crossfoot::os::sim::Sim;
use crossfoot::stats::{Answer, Failures, Snapshot, Total, Totals};
use crossfoot::units::{KIB, Pages};

use allocator::{Rng, adopt, balanced, empty, free, retire};

fn linux() -> &'static Allocator<Linux> {
    Box::leak(allocator::allocator(Linux))
}

/// Returns how many identities fail.
fn failures(snapshot: &Snapshot) -> usize {
    let mut failures = Failures::default();
    snapshot.check(&mut failures);
    failures.iter().count() + failures.more()
}

/// Installs a handler.
fn on(signal: i32, handler: extern "C" fn(i32)) {
    // SAFETY: zero bytes are a valid action; the handler does only what a handler may.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    assert_eq!(result, 0);
}

/// Allocates and frees objects of all sizes.
fn churn(allocator: &Allocator<Linux>, cache: &Cache, rng: &mut Rng) {
    let sizes = [24, 3_000, 20 * KIB, 40 * KIB, 300 * KIB];
    let objects = [(); 8].map(|()| {
        let size = sizes[rng.below(sizes.len())];
        let at = malloc::allocate(allocator.bind(cache), size) as usize;
        assert!(at != 0, "no memory for {size} bytes");
        at
    });
    objects.into_iter().for_each(|at| free(allocator, cache, at));
    if rng.one_in(50) {
        allocator.heap().release(cache.writer(), Pages(16));
    }
}

/// Ends a test's threads, also if the test fails: otherwise it would wait for them forever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Resumes a stopped thread, also if the test fails.
struct LetGo;

impl Drop for LetGo {
    fn drop(&mut self) {
        HOLD.store(false, Ordering::SeqCst);
    }
}

/// The time limit of a test on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(300);

static HOLD: AtomicBool = AtomicBool::new(false);
static HELD: AtomicBool = AtomicBool::new(false);

extern "C" fn hold(_: i32) {
    HELD.store(true, Ordering::SeqCst);
    while HOLD.load(Ordering::SeqCst) {
        // SAFETY: a system call that a handler may make.
        unsafe { libc::usleep(50) };
    }
    HELD.store(false, Ordering::SeqCst);
}

/// Returns whether the long counts of a soak are used.
fn soaking() -> bool {
    std::env::var_os("CROSSFOOT_SOAK").is_some()
}

#[test]
fn a_stopped_thread_delays_no_reader() {
    on(libc::SIGUSR1, hold);
    let allocator = linux();
    let (stop, id) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut stops, mut inside, mut readings) = (0, 0, 0);
    let release = || {
        HOLD.store(false, Ordering::SeqCst);
        while HELD.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let (cache, mut rng) = (adopt(allocator), Rng(1));
            // Start-up is over, whose locks a reader would wait for.
            // SAFETY: no conditions.
            id.store(unsafe { libc::pthread_self() }, Ordering::SeqCst);
            while !stop.load(Ordering::Relaxed) {
                churn(allocator, cache, &mut rng);
            }
            retire(allocator, cache);
        });
        while id.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let (_stop, _let_go) = (Stop(&stop), LetGo);
        let stats = allocator.stats();
        let end = Instant::now() + TIMEOUT;
        let least = if soaking() { 1_000 } else { 300 };
        while (stops < least || inside < 20) && Instant::now() < end {
            HOLD.store(true, Ordering::SeqCst);
            // SAFETY: the thread lives until `stop` is set.
            assert_eq!(unsafe { libc::pthread_kill(id.load(Ordering::SeqCst), libc::SIGUSR1) }, 0);
            while !HELD.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            stops += 1;
            inside += stats.writers_inside();
            let (mut one, mut two, mut totals) = (Snapshot::new(), Snapshot::new(), Totals::new());
            // The thread stays stopped until these have returned: no reader waits for it. But if it is reading for the
            // stats page, it is the reader that another reader waits for.
            let answer = allocator.snapshot(&mut one);
            if answer != Some(Answer::Complete) {
                readings += 1;
                assert!(readings <= 1 + stops / 10, "{answer:?}, {readings} times of {stops}");
                release();
                continue;
            }
            assert_eq!(allocator.totals(&mut totals), Some(Answer::Complete));
            assert_eq!(allocator.snapshot(&mut two), Some(Answer::Complete));
            assert_eq!(failures(&one), 0);
            assert!(one == two && one.totals() == totals, "nothing happens meanwhile");
            release();
        }
    });
    eprintln!("stopped {stops} times, {inside} of them in the middle of an entry");
    assert!(inside >= 20, "stopped {stops} times, but only {inside} in the middle of an entry");
    empty(allocator);
}

static READ: AtomicPtr<Allocator<Linux>> = AtomicPtr::new(std::ptr::null_mut());
static HANDLED: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);
static NEWEST: AtomicI64 = AtomicI64::new(0);

extern "C" fn read_last(_: i32) {
    // SAFETY: set to a kernel that is never dropped.
    let Some(allocator) = (unsafe { READ.load(Ordering::Acquire).as_ref() }) else { return };
    let mut snapshot = Snapshot::new();
    match allocator.last_snapshot(&mut snapshot) {
        Some(Answer::Stale { .. }) => {
            HANDLED.fetch_add(1, Ordering::Relaxed);
            // Each is at least as new as the last one; one without an age is older than all.
            let allocs = snapshot.total(Total::LargeAllocs);
            let newer = allocs >= NEWEST.swap(allocs, Ordering::Relaxed) && snapshot.total(Total::TotalMapped) > 0;
            WRONG.fetch_add(failures(&snapshot) as u64 + u64::from(!newer), Ordering::Relaxed);
        }
        _ => _ = WRONG.fetch_add(1, Ordering::Relaxed),
    }
}

#[test]
fn a_signal_handler_reads_wherever_it_interrupts() {
    on(libc::SIGUSR2, read_last);
    let allocator = linux();
    // The first snapshot, so that there is a last one.
    retire(allocator, adopt(allocator));
    assert_eq!(allocator.snapshot(&mut Snapshot::new()), Some(Answer::Complete));
    READ.store(std::ptr::from_ref(allocator).cast_mut(), Ordering::Release);
    let (stop, id) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: no conditions.
            id.store(unsafe { libc::pthread_self() }, Ordering::SeqCst);
            let (cache, mut rng) = (adopt(allocator), Rng(2));
            while !stop.load(Ordering::Relaxed) {
                churn(allocator, cache, &mut rng);
                // Interrupted while it reads and publishes too, with the books' lock held.
                (0..10)
                    .for_each(|_| assert!(allocator.snapshot(&mut Snapshot::new()).is_some_and(Answer::is_complete)));
            }
            retire(allocator, cache);
        });
        while id.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let _stop = Stop(&stop);
        let end = Instant::now() + TIMEOUT;
        let mut sent = 0;
        // Signals that come while one is pending are one.
        while (sent < 5_000 || HANDLED.load(Ordering::Relaxed) <= 1_000) && Instant::now() < end {
            // SAFETY: the thread lives until `stop` is set.
            assert_eq!(unsafe { libc::pthread_kill(id.load(Ordering::SeqCst), libc::SIGUSR2) }, 0);
            sent += 1;
            thread::sleep(Duration::from_micros(30));
        }
    });
    let (handled, wrong) = (HANDLED.load(Ordering::Relaxed), WRONG.load(Ordering::Relaxed));
    assert!(handled > 1_000 && wrong == 0, "{handled} handlers read, {wrong} of them wrongly");
    empty(allocator);
}

/// The work of the child, without the C library's locks, which other threads may have held. Returns 0 if its accounts
/// balance.
fn child(allocator: &Allocator<Linux>) -> i32 {
    let Some(balance) = allocator.crossfoot(None) else { return 1 };
    if !balance.complete {
        return 2;
    }
    if !balance.failures.is_empty() {
        for failure in balance.failures.iter() {
            crossfoot::report::line(format_args!("child: {failure}"));
        }
        return 3;
    }
    // The child goes on working, and its books with it.
    // SAFETY: the kernel is never dropped.
    let Ok(cache) = (unsafe { allocator.adopt() }) else { return 4 };
    let mut rng = Rng(3);
    (0..50).for_each(|_| churn(allocator, cache, &mut rng));
    let (mut snapshot, mut stats) = (Snapshot::new(), MemStats::new());
    if allocator.snapshot(&mut snapshot) != Some(Answer::Complete) || failures(&snapshot) != 0 {
        return 5;
    }
    match allocator.mem_stats(Some(cache), &mut stats) {
        Some(Answer::Complete) => 0,
        _ => 6,
    }
}

#[test]
fn both_sides_of_a_fork_balance() {
    let allocator = linux();
    crossfoot::report::set_sink(Linux::print, Linux::abort);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let (cache, mut rng) = (adopt(allocator), Rng(seed));
                while !stop.load(Ordering::Relaxed) {
                    churn(allocator, cache, &mut rng);
                }
                retire(allocator, cache);
            });
        }
        let _stop = Stop(&stop);
        while allocator.caches().made() < 4 {
            thread::yield_now();
        }
        let (rounds, mut complete) = (if soaking() { 200 } else { 60 }, 0);
        for round in 0..rounds {
            let fork = Fork::outside();
            allocator.before_fork(&fork, None);
            // SAFETY: the child calls nothing but the kernel and `_exit`.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: on the thread that called `before_fork`.
                unsafe { allocator.after_fork(&fork, None, true) };
                let status = child(allocator);
                // SAFETY: no conditions.
                unsafe { libc::_exit(status) };
            }
            // SAFETY: on the thread that called `before_fork`.
            unsafe { allocator.after_fork(&fork, None, false) };
            assert!(pid > 0);
            let mut status = 0;
            // SAFETY: an out parameter.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(status, 0, "round {round}: exit status {}", libc::WEXITSTATUS(status));
            let balance = allocator.crossfoot(None).expect("the kernel has started");
            assert!(balance.failures.is_empty(), "round {round}");
            complete += u32::from(balance.complete);
        }
        // On a busy machine a thread may be without its CPU in the middle of a movement for longer than a crossfoot waits.
        assert!(complete >= rounds / 2, "{complete} of {rounds} crossfoots compared everything");
    });
    balanced(allocator, None);
    empty(allocator);
}

/// As in the child of a fork: the local pages of a vanished thread belong to the heap again, unless it was just moving
/// some.
#[test]
fn a_child_has_the_pages_that_others_held() {
    for moving in [false, true] {
        let allocator: &'static Allocator<Sim> = Box::leak(allocator::allocator(Sim::new()));
        let (rests, arrived) = channel();
        thread::spawn(move || {
            let cache = adopt(allocator);
            let stay = move || {
                rests.send(()).expect("somebody waits");
                loop {
                    thread::park();
                }
            };
            // The first allocation makes the heap grow, the second fills the local pages.
            for size in [24, 200] {
                assert!(!malloc::allocate(allocator.bind(cache), size).is_null());
            }
            if !moving {
                stay();
            }
            Sim::stop_halfway(stay);
            // Another class takes its span from the local pages.
            malloc::allocate(allocator.bind(cache), 3_000);
        });
        arrived.recv_timeout(Duration::from_secs(60)).expect("the thread came to where it stays");
        let held = || {
            let mut pages = 0;
            // SAFETY: the owner does not move any more.
            allocator.caches().each(|cache| pages += unsafe { cache.client().local_pages() }.0.0);
            pages
        };
        let before = held();
        assert!(before > 0);
        let fork = Fork::outside();
        allocator.before_fork(&fork, None);
        // SAFETY: this thread called `before_fork`.
        unsafe { allocator.after_fork(&fork, None, true) };
        assert_eq!(held(), if moving { before } else { 0 });
        if !moving {
            balanced(allocator, None);
        }
    }
}

/// The process exits in a handler that interrupted its first reading: there is no earlier snapshot, and the interrupted
/// reading never releases its lock.
#[test]
fn an_exit_inside_the_first_reading_has_a_snapshot() {
    let allocator = linux();
    let cache = adopt(allocator);
    let p = malloc::allocate(allocator.bind(cache), 100);
    assert!(!p.is_null());
    let reading = allocator.stats().reader();
    let balance = allocator.crossfoot_at_once(true).expect("it has started");
    assert_eq!(balance.answer, Answer::Complete);
    assert!(balance.failures.is_empty() && balance.interrupted && !balance.complete);
    assert!(balance.snapshot.total(Total::MappedReady) > 0, "it is not empty");
    drop(reading);
    free(allocator, cache, p.addr());
    retire(allocator, cache);
}
