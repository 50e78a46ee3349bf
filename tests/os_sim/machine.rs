//! Windows, addresses, hooks, fence, log and clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crossfoot::os::sim::Call;
use crossfoot::os::{Fence, Identity, Memory, Platform};
use crossfoot::units::{GIB, MIB};

use super::*;

#[test]
fn sixteen_tebibytes_cost_nothing_and_hold_at_both_ends() {
    const SIZE: usize = 16 << 40;
    let sim = Sim::new().window(SIZE);
    let window = sim.place();
    assert_eq!(window.size, SIZE);
    assert!(window.base.plus(SIZE).0 <= 1 << 47);
    assert_eq!(sim.reserve(Some(window.base), SIZE), Ok(window.base));
    call!(sim, map(window.base, SIZE)).unwrap();
    for at in [window.base, window.base.plus(SIZE / 2), window.base.plus(SIZE - 64 * MIB)] {
        call!(sim, used(at, 64 * MIB)).unwrap();
        write(at.plus(64 * MIB - PAGE), PAGE, 1);
    }
    assert_eq!(sim.ready_bytes(), 3 * 64 * MIB);
    assert_eq!(sim.prepared_bytes(), SIZE - 3 * 64 * MIB);
    assert_eq!(sim.ranges().len(), 5);
    call!(sim, free(window.base, SIZE)).unwrap();
    assert_eq!(sim.ranges(), []);
}

#[test]
fn a_machine_lies_below_its_address_bits() {
    for bits in [32, 39, 40, 44, 47] {
        let sim = Sim::new().address_bits(bits).window(256 * MIB);
        let (window, block) = (sim.place(), sim.alloc(PAGE).unwrap());
        assert!(window.base.plus(window.size).0 <= 1 << bits && block.0 < 1 << bits, "{bits}: {window:?}");
    }
}

#[test]
fn machines_on_many_threads_are_apart_and_give_their_memory_back() {
    // Six rounds of four hold more than the address space, unless each gives back what it had.
    for _ in 0..6 {
        let threads: Vec<_> = (1..=4)
            .map(|mark| {
                std::thread::spawn(move || {
                    let sim = Sim::new().window(8 << 40);
                    bring(&sim, sim.place().base, 16 * PAGE, State::Ready);
                    write(sim.place().base, 16 * PAGE, mark);
                    (mark, sim)
                })
            })
            .collect();
        let machines: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for (mark, sim) in &machines {
            assert!(is_all(sim.place().base, 16 * PAGE, *mark));
            assert_eq!(sim.ready_bytes(), 16 * PAGE);
        }
    }
}

#[test]
fn addresses_follow_from_the_calls_alone() {
    let run = || {
        let sim = Sim::new();
        let base = sim.place().base;
        let a = sim.alloc(3 * PAGE).unwrap();
        let b = sim.reserve(None, GIB).unwrap();
        call!(sim, free(a, 3 * PAGE)).unwrap();
        let c = sim.sparse(PAGE).unwrap();
        let d = sim.alloc(PAGE).unwrap();
        assert!(a.0 >= base.plus(64 * GIB).0, "outside the window");
        [a, b, c, d].map(|addr| addr.since(base))
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    let [a, b, c, d] = first;
    assert!(a + 3 * PAGE < b && b + GIB < c && c + PAGE < d, "a gap lies between any two: {first:?}");
}

#[test]
fn a_place_of_the_machines_choice_can_be_taken_up_again() {
    // As an aligned reservation does: reserves more than is wanted, releases it, and takes the aligned part.
    let sim = Sim::new();
    let first = sim.reserve(None, 128 * MIB).unwrap();
    call!(sim, free(first, 128 * MIB)).unwrap();
    let wanted = first.align_up(64 * MIB);
    assert_eq!(sim.reserve(Some(wanted), 64 * MIB), Ok(wanted));
    assert_eq!(sim.reserve(Some(wanted), 64 * MIB), Err(OsError::Taken));
    let next = sim.alloc(PAGE).unwrap();
    assert!(next > wanted.plus(64 * MIB));
}

#[test]
fn an_area_that_is_full_is_out_of_memory() {
    let sim = Sim::new().window(64 * MIB).extra(64 * MIB);
    assert_eq!(sim.alloc(64 * MIB), Err(OsError::OutOfMemory), "the gaps need room too");
    assert_eq!(sim.reserve(None, usize::MAX & !(PAGE - 1)), Err(OsError::OutOfMemory));
    let at = sim.alloc(64 * MIB - 2 * PAGE).unwrap();
    assert_eq!(sim.sparse(PAGE), Err(OsError::OutOfMemory));
    call!(sim, free(at, 64 * MIB - 2 * PAGE)).unwrap();
    assert_eq!(sim.alloc(64 * MIB - 2 * PAGE), Ok(at));
    assert_eq!((sim.calls(), sim.injected()), (6, 0));
}

#[test]
fn a_hook_sees_each_call_before_it_happens_and_may_hold_it() {
    let sim = Arc::new(Sim::new());
    let base = sim.place().base;
    bring(&sim, base, PAGE, State::Prepared);
    let (arrived, wait_for_arrival) = mpsc::channel();
    let (go, wait_to_go) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new((arrived, wait_to_go));
    sim.on_call(move |verb, addr, size| {
        if verb == Verb::Used {
            let gate = gate.lock().unwrap();
            gate.0.send((addr, size)).unwrap();
            gate.1.recv().unwrap();
        }
    });
    let writer = {
        let sim = sim.clone();
        std::thread::spawn(move || call!(sim, used(base, PAGE)))
    };
    assert_eq!(wait_for_arrival.recv_timeout(Duration::from_secs(60)), Ok((base, PAGE)));
    assert_eq!(sim.state_at(base), State::Prepared);
    assert!(sim.alloc(PAGE).is_ok(), "others go on meanwhile");
    go.send(()).unwrap();
    assert_eq!(writer.join().unwrap(), Ok(()));
    assert_eq!(sim.state_at(base), State::Ready);
    sim.no_hook();
    call!(sim, used(base, PAGE)).unwrap();

    let seen = Arc::new(AtomicUsize::new(0));
    let (count, machine) = (seen.clone(), Arc::downgrade(&sim));
    sim.on_call(move |_, _, _| {
        // No lock is held: the hook may look.
        assert!(machine.upgrade().unwrap().calls() > 0);
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert!(sim.register_fence() && sim.fence_all());
    sim.print(b"x");
    let a = sim.alloc(PAGE).unwrap();
    call!(sim, huge_page(a, PAGE)).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 5);
}

#[test]
fn a_fence_needs_its_registration() {
    let sim = Sim::new();
    assert!(line_of(|| assert!(sim.fence_all())).contains("no fence registered"));
    assert!(sim.register_fence() && sim.fence_all());
    sim.fail_fence();
    assert!(!sim.fence_all(), "a filter was installed");
    let sim = Sim::new().without_fence();
    assert!(!sim.register_fence());
    assert!(line_of(|| assert!(sim.fence_all())).contains("no fence registered"));
    assert_eq!((sim.calls(), sim.count(Verb::RegisterFence)), (0, 1), "these are not fallible");
}

#[test]
fn the_log_holds_the_last_calls() {
    let sim = Sim::new();
    for _ in 0..300 {
        sim.alloc(PAGE).unwrap();
    }
    let base = sim.place().base;
    sim.reserve(Some(base), PAGE).unwrap();
    assert_eq!(sim.reserve(Some(base), PAGE), Err(OsError::Taken));
    sim.print(b"books ");
    sim.print(b"balance\n");
    let log = sim.log();
    assert_eq!(log.len(), 256);
    let call = |verb, addr, size, result| Call { verb, addr, size, result };
    let last = [
        call(Verb::Reserve, base, PAGE, Ok(())),
        call(Verb::Reserve, base, PAGE, Err(OsError::Taken)),
        call(Verb::Print, Addr::NULL, 6, Ok(())),
        call(Verb::Print, Addr::NULL, 8, Ok(())),
    ];
    assert_eq!(log[252..], last);
    assert_eq!(sim.printed(), "books balance\n");
}

#[test]
fn the_clock_goes_on_and_never_back() {
    let before = Sim::now();
    assert!(Sim::now() > before);
    Sim::advance(1_000_000);
    assert!(Sim::now() > before + 1_000_000);
}
