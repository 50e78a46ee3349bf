//! Stacks of whole kernels on the simulated system: what the books say of them, their guards, who gets which, and what
//! becomes of all that where the system refuses.

mod kernel;

use crossfoot::account::Account;
use crossfoot::boot::Kernel;
use crossfoot::cache::Cache;
use crossfoot::heap::Heap;
use crossfoot::os::sim::{Sim, State, Verb};
use crossfoot::os::{Os, OsError};
use crossfoot::stack_pool::Stack;
use crossfoot::units::{GIB, KIB, MIB, PAGE_SIZE, Pages};

use kernel::{Rng, adopt, balanced, balanced_with_machine, empty, free, retire};

fn heap<O: Os>(kernel: &Kernel<O>) -> &Heap<O> {
    kernel.caches().central().heap()
}

fn take<'a, O: Os>(kernel: &'a Kernel<O>, cache: &Cache, size: usize) -> Result<Stack<'a>, OsError> {
    kernel.stacks().take(heap(kernel), cache.writer(), size, None)
}

fn give<O: Os>(kernel: &Kernel<O>, cache: &Cache, stack: Stack<'_>) {
    // SAFETY: the tests take each stack of this kernel and use it no more.
    unsafe { kernel.stacks().give_back(heap(kernel), cache.writer(), stack) };
}

fn release<O: Os>(kernel: &Kernel<O>, cache: &Cache) {
    kernel.stacks().release(heap(kernel), cache.writer());
}

/// What the books have as stacks.
fn in_stacks(kernel: &Kernel<Sim>, cache: &Cache) -> usize {
    let balance = balanced_with_machine(kernel, Some(cache));
    balance.snapshot.account(Account::InStacks) as usize
}

/// A page below the stack that faults, and below it nothing that does; all of the stack may be touched.
fn is_guarded(kernel: &Kernel<Sim>, stack: &Stack<'_>) {
    let (sim, guard) = (kernel.os(), stack.span().base());
    let page = PAGE_SIZE.max(sim.physical_page_size());
    assert_eq!(stack.base(), guard.plus(page));
    assert_eq!(sim.state_at(guard), State::Guarded);
    assert_eq!(sim.state_at(guard.plus(page - 1)), State::Guarded);
    sim.touch(stack.base(), stack.size());
    assert!(stack.size().is_power_of_two() && stack.top().is_aligned(page));
}

#[test]
fn a_stack_is_a_guarded_span_and_stands_in_the_books() {
    for page in [4 * KIB, 16 * KIB, 64 * KIB] {
        let kernel = kernel::kernel(Sim::new().physical_page(page));
        let cache = adopt(&kernel);
        let least = PAGE_SIZE.max(page);
        let (mut stacks, mut expected) = (Vec::new(), 0);
        for size in [0, 1, 8 * KIB, 8 * KIB + 1, 60_000, 64 * KIB, MIB, 3 * MIB, 100 * MIB] {
            let stack = take(&kernel, cache, size).unwrap();
            assert_eq!(stack.size(), size.max(least).next_power_of_two(), "{size}");
            is_guarded(&kernel, &stack);
            kernel::fill(stack.base().0, stack.size(), size as u64);
            expected += stack.size() + least;
            assert_eq!(in_stacks(&kernel, cache), expected);
            stacks.push((stack, size as u64));
        }
        for (stack, id) in stacks {
            assert!(kernel::holds(stack.base().0, stack.size(), stack.size(), id));
            give(&kernel, cache, stack);
            balanced_with_machine(&kernel, Some(cache));
        }
        release(&kernel, cache);
        assert_eq!((in_stacks(&kernel, cache), kernel.stacks().listed()), (0, (0, 0)));
        assert_eq!(kernel.os().bytes_in(State::Guarded), 0);
        retire(&kernel, cache);
        empty(&kernel);
    }
}

#[test]
fn a_small_stack_is_kept_for_the_next_and_makes_no_call() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    for size in [8 * KIB, 64 * KIB, 256 * KIB] {
        let first = take(&kernel, cache, size).unwrap();
        give(&kernel, cache, first);
        let calls = kernel.os().calls();
        for _ in 0..10 {
            let stack = take(&kernel, cache, size).unwrap();
            assert_eq!(stack.base(), first.base());
            give(&kernel, cache, stack);
        }
        assert_eq!(kernel.os().calls(), calls);
    }
    assert_eq!(kernel.stacks().listed(), (3, 328 * KIB));
    // A large one is apart: its pages serve others at once.
    let large = take(&kernel, cache, 512 * KIB).unwrap();
    let (base, before) = (large.span().base(), in_stacks(&kernel, cache));
    give(&kernel, cache, large);
    assert_eq!(in_stacks(&kernel, cache), before - 520 * KIB);
    assert_eq!(kernel.os().state_at(base), State::Ready);
    release(&kernel, cache);
    retire(&kernel, cache);
    empty(&kernel);
}

#[test]
fn no_more_than_a_mebibyte_is_kept() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    let stacks: Vec<_> = (0..200).map(|i| take(&kernel, cache, (8 * KIB) << (i % 6)).unwrap()).collect();
    let out: usize = stacks.iter().map(Stack::size).sum();
    assert!(out > 4 * MIB);
    for stack in stacks {
        give(&kernel, cache, stack);
        assert!(kernel.stacks().listed().1 <= MIB);
    }
    let (count, bytes) = kernel.stacks().listed();
    assert!(bytes > MIB - 256 * KIB, "{bytes}");
    assert_eq!(in_stacks(&kernel, cache), bytes + count * PAGE_SIZE);
    release(&kernel, cache);
    assert_eq!(in_stacks(&kernel, cache), 0);
    // The pages are the heap's, and go back to the system.
    assert!(heap(&kernel).release(cache.writer(), Pages(usize::MAX)).bytes() >= out);
    balanced_with_machine(&kernel, Some(cache));
    retire(&kernel, cache);
    empty(&kernel);
}

#[test]
fn what_no_memory_could_serve_is_refused() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    for size in [usize::MAX, usize::MAX / 2, isize::MAX as usize, isize::MAX as usize / 2 + 1, GIB << 16] {
        assert!(take(&kernel, cache, size).is_err(), "{size}");
        balanced_with_machine(&kernel, Some(cache));
    }
    retire(&kernel, cache);
    empty(&kernel);
}

#[test]
fn a_guard_that_is_refused_leaves_nothing() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    kernel.os().fail_verb_with(Verb::Guard, OsError::Unsupported);
    for size in [8 * KIB, MIB] {
        assert!(matches!(take(&kernel, cache, size), Err(OsError::Unsupported)));
        assert_eq!((in_stacks(&kernel, cache), kernel.stacks().listed()), (0, (0, 0)));
    }
    retire(&kernel, cache);
    empty(&kernel);
}

#[test]
fn a_guard_that_stays_keeps_its_stack_listed() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    let (small, large) = (take(&kernel, cache, 8 * KIB).unwrap(), take(&kernel, cache, 2 * MIB).unwrap());
    let all = in_stacks(&kernel, cache);
    kernel.os().fail_verb(Verb::Unguard);
    give(&kernel, cache, small);
    give(&kernel, cache, large);
    release(&kernel, cache);
    assert_eq!((in_stacks(&kernel, cache), kernel.stacks().listed()), (all, (2, 8 * KIB)));
    // They are stacks still, each for who asks for its size.
    assert_ne!(take(&kernel, cache, MIB).unwrap().base(), large.base());
    let again = [take(&kernel, cache, 2 * MIB).unwrap(), take(&kernel, cache, 1).unwrap()];
    assert_eq!(again.map(|stack| stack.base()), [large.base(), small.base()]);
    is_guarded(&kernel, &again[0]);
    kernel.os().fail_never();
    again.into_iter().for_each(|stack| give(&kernel, cache, stack));
    release(&kernel, cache);
    assert_eq!(in_stacks(&kernel, cache), MIB + PAGE_SIZE, "one was not given back");
    // The object of a stack's address is none.
    assert_eq!(kernel.stacks().listed(), (0, 0));
}

/// Takes, gives back and releases at random beside objects; every call of the system fails in turn.
fn run(fail: Option<u64>) -> (u64, usize) {
    let kernel = kernel::kernel(Sim::new().physical_page(16 * KIB));
    let cache = adopt(&kernel);
    let start = kernel.os().calls();
    if let Some(n) = fail {
        kernel.os().fail_nth(n);
    }
    let (mut rng, mut stacks, mut objects, mut refused) = (Rng(7), Vec::new(), Vec::new(), 0);
    for _ in 0..160 {
        match rng.below(10) {
            0..4 => match take(&kernel, cache, 1 << (10 + rng.below(12))) {
                Ok(stack) => {
                    is_guarded(&kernel, &stack);
                    let id = rng.next();
                    kernel::fill(stack.base().0, stack.size(), id);
                    stacks.push((stack, id));
                }
                Err(_) => refused += 1,
            },
            4..7 if !stacks.is_empty() => {
                let (stack, id) = stacks.swap_remove(rng.below(stacks.len()));
                assert!(kernel::holds(stack.base().0, stack.size(), stack.size(), id));
                give(&kernel, cache, stack);
            }
            7 if rng.one_in(8) => {
                release(&kernel, cache);
                heap(&kernel).release(cache.writer(), Pages(rng.below(200)));
            }
            8 => {
                let size = 1 + rng.below(200 * KIB);
                let at = crossfoot::api::allocate(kernel.caches().central(), cache, size) as usize;
                if at != 0 {
                    kernel::fill(at, size, size as u64);
                    objects.push((at, size));
                }
            }
            _ if !objects.is_empty() => {
                let (at, size) = objects.swap_remove(rng.below(objects.len()));
                assert!(kernel::holds(at, size, size, size as u64));
                free(&kernel, cache, at);
            }
            _ => {}
        }
        if kernel.os().injected() > 0 && rng.one_in(4) || rng.one_in(50) {
            balanced_with_machine(&kernel, Some(cache));
        }
    }
    let calls = kernel.os().calls() - start;
    stacks.into_iter().for_each(|(stack, _)| give(&kernel, cache, stack));
    objects.into_iter().for_each(|(at, _)| free(&kernel, cache, at));
    release(&kernel, cache);
    // Where the refusal came last, once more.
    release(&kernel, cache);
    assert_eq!((in_stacks(&kernel, cache), kernel.os().bytes_in(State::Guarded)), (0, 0));
    retire(&kernel, cache);
    empty(&kernel);
    (calls, refused)
}

#[test]
fn every_call_fails_once() {
    let (calls, refused) = run(None);
    assert!(calls > 60 && refused == 0, "{calls} calls, {refused} refused");
    let refused: usize = (1..=calls).map(|n| run(Some(n)).1).sum();
    assert!(refused > 20, "{refused}");
}

#[test]
fn threads_take_and_give_back() {
    let kernel = kernel::kernel(Sim::new());
    let keeper = adopt(&kernel);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let kernel = &kernel;
            scope.spawn(move || {
                let (cache, mut rng, mut mine) = (adopt(kernel), Rng(seed), Vec::new());
                for _ in 0..500 {
                    if rng.one_in(2) && mine.len() < 20 {
                        let stack = take(kernel, cache, 1 << (12 + rng.below(8))).unwrap();
                        kernel::fill(stack.base().0, stack.size(), seed);
                        mine.push(stack);
                    } else if let Some(stack) = mine.pop() {
                        assert!(kernel::holds(stack.base().0, stack.size(), stack.size(), seed));
                        give(kernel, cache, stack);
                    }
                    if rng.one_in(100) {
                        release(kernel, cache);
                    }
                }
                mine.into_iter().for_each(|stack| give(kernel, cache, stack));
                retire(kernel, cache);
            });
        }
        for _ in 0..30 {
            let balance = kernel.crossfoot(Some(keeper)).expect("it has started");
            assert!(balance.failures.is_empty());
            std::thread::yield_now();
        }
    });
    release(&kernel, keeper);
    assert_eq!(in_stacks(&kernel, keeper), 0);
    retire(&kernel, keeper);
    empty(&kernel);
}

#[test]
fn whoever_can_do_without_does_not_wait_for_ever() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    let still = heap(&kernel).hold_still();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| kernel.stacks().take(heap(&kernel), cache.writer(), 1, Some(1_000_000)).is_err());
        assert!(asked.join().expect("it came back"));
    });
    drop(still);
    let stack = kernel.stacks().take(heap(&kernel), cache.writer(), 1, Some(1_000_000)).expect("nobody is in the way");
    give(&kernel, cache, stack);
    balanced(&kernel, Some(cache));
}

#[test]
fn an_address_in_a_stack_is_no_object() {
    let kernel = kernel::kernel(Sim::new());
    let cache = adopt(&kernel);
    let stack = take(&kernel, cache, 64 * KIB).unwrap();
    for at in [stack.base().0, stack.top().0 - 16, stack.span().base().0] {
        let line = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| free(&kernel, cache, at))).unwrap_err();
        let line = line.downcast_ref::<String>().expect("a formatted line");
        assert_eq!(*line, format!("crossfoot: free({at:#x}): not an object"));
    }
}
