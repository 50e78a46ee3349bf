//! Stacks of allocators on the simulated OS: their accounts, guards and reuse, and failures of system calls.

mod allocator;

use crossfoot::allocator::Allocator;
use crossfoot::cache::Cache;
use crossfoot::heap::Heap;
use crossfoot::os::sim::{Sim, State, Verb};
use crossfoot::os::{Memory, Os, OsError};
use crossfoot::stack_pool::Stack;
use crossfoot::stats::Account;
use crossfoot::units::{GIB, KIB, MIB, PAGE_SIZE, Pages};

use allocator::{Rng, adopt, balanced, balanced_with_machine, empty, free, retire};

fn heap<O: Os>(allocator: &Allocator<O>) -> &Heap<O> {
    allocator.heap()
}

fn take<'a, O: Os>(allocator: &'a Allocator<O>, cache: &Cache, size: usize) -> Result<Stack<'a>, OsError> {
    allocator.stacks().take(heap(allocator), cache.writer(), size, None)
}

fn give<O: Os>(allocator: &Allocator<O>, cache: &Cache, stack: Stack<'_>) {
    // SAFETY: the tests take each stack of this kernel and use it no more.
    unsafe { allocator.stacks().give_back(heap(allocator), cache.writer(), stack) };
}

fn release<O: Os>(allocator: &Allocator<O>, cache: &Cache) {
    allocator.stacks().release(heap(allocator), cache.writer());
}

/// Returns the stack bytes in the accounts.
fn in_stacks(allocator: &Allocator<Sim>, cache: &Cache) -> usize {
    let balance = balanced_with_machine(allocator, Some(cache));
    balance.snapshot.account(Account::InStacks) as usize
}

/// Asserts that the page below the stack faults and that all of the stack can be accessed.
fn is_guarded(allocator: &Allocator<Sim>, stack: &Stack<'_>) {
    let (sim, guard) = (allocator.os(), stack.span().base());
    let page = PAGE_SIZE.max(sim.physical_page_size());
    assert_eq!(stack.base(), guard.plus(page));
    assert_eq!(sim.state_at(guard), State::Guarded);
    assert_eq!(sim.state_at(guard.plus(page - 1)), State::Guarded);
    sim.touch(stack.base(), stack.size());
    assert!(stack.size().is_power_of_two() && stack.top().is_aligned(page));
}

#[test]
fn a_stack_is_a_guarded_span_in_the_accounts() {
    for page in [4 * KIB, 16 * KIB, 64 * KIB] {
        let allocator = allocator::allocator(Sim::new().physical_page(page));
        let cache = adopt(&allocator);
        let least = PAGE_SIZE.max(page);
        let (mut stacks, mut expected) = (Vec::new(), 0);
        for size in [0, 1, 8 * KIB, 8 * KIB + 1, 60_000, 64 * KIB, MIB, 3 * MIB, 100 * MIB] {
            let stack = take(&allocator, cache, size).unwrap();
            assert_eq!(stack.size(), size.max(least).next_power_of_two(), "{size}");
            is_guarded(&allocator, &stack);
            allocator::fill(stack.base().0, stack.size(), size as u64);
            expected += stack.size() + least;
            assert_eq!(in_stacks(&allocator, cache), expected);
            stacks.push((stack, size as u64));
        }
        for (stack, id) in stacks {
            assert!(allocator::holds(stack.base().0, stack.size(), stack.size(), id));
            give(&allocator, cache, stack);
            balanced_with_machine(&allocator, Some(cache));
        }
        release(&allocator, cache);
        assert_eq!((in_stacks(&allocator, cache), allocator.stacks().listed()), (0, (0, 0)));
        assert_eq!(allocator.os().bytes_in(State::Guarded), 0);
        retire(&allocator, cache);
        empty(&allocator);
    }
}

#[test]
fn a_small_stack_is_kept_for_the_next_and_makes_no_call() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    for size in [8 * KIB, 64 * KIB, 256 * KIB] {
        let first = take(&allocator, cache, size).unwrap();
        give(&allocator, cache, first);
        let calls = allocator.os().calls();
        for _ in 0..10 {
            let stack = take(&allocator, cache, size).unwrap();
            assert_eq!(stack.base(), first.base());
            give(&allocator, cache, stack);
        }
        assert_eq!(allocator.os().calls(), calls);
    }
    assert_eq!(allocator.stacks().listed(), (3, 328 * KIB));
    // A large stack is not kept: its pages are free at once.
    let large = take(&allocator, cache, 512 * KIB).unwrap();
    let (base, before) = (large.span().base(), in_stacks(&allocator, cache));
    give(&allocator, cache, large);
    assert_eq!(in_stacks(&allocator, cache), before - 520 * KIB);
    assert_eq!(allocator.os().state_at(base), State::Ready);
    release(&allocator, cache);
    retire(&allocator, cache);
    empty(&allocator);
}

#[test]
fn at_most_a_mebibyte_of_stacks_is_kept() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let stacks: Vec<_> = (0..200).map(|i| take(&allocator, cache, (8 * KIB) << (i % 6)).unwrap()).collect();
    let out: usize = stacks.iter().map(Stack::size).sum();
    assert!(out > 4 * MIB);
    for stack in stacks {
        give(&allocator, cache, stack);
        assert!(allocator.stacks().listed().1 <= MIB);
    }
    let (count, bytes) = allocator.stacks().listed();
    assert!(bytes > MIB - 256 * KIB, "{bytes}");
    assert_eq!(in_stacks(&allocator, cache), bytes + count * PAGE_SIZE);
    release(&allocator, cache);
    assert_eq!(in_stacks(&allocator, cache), 0);
    // The pages are the heap's, and go back to the system.
    assert!(heap(&allocator).release(cache.writer(), Pages(usize::MAX)).bytes() >= out);
    balanced_with_machine(&allocator, Some(cache));
    retire(&allocator, cache);
    empty(&allocator);
}

#[test]
fn impossible_stack_sizes_are_refused() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    for size in [usize::MAX, usize::MAX / 2, isize::MAX as usize, isize::MAX as usize / 2 + 1, GIB << 16] {
        assert!(take(&allocator, cache, size).is_err(), "{size}");
        balanced_with_machine(&allocator, Some(cache));
    }
    retire(&allocator, cache);
    empty(&allocator);
}

#[test]
fn a_guard_that_is_refused_leaves_nothing() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    allocator.os().fail_verb_with(Verb::Guard, OsError::Unsupported);
    for size in [8 * KIB, MIB] {
        assert!(matches!(take(&allocator, cache, size), Err(OsError::Unsupported)));
        assert_eq!((in_stacks(&allocator, cache), allocator.stacks().listed()), (0, (0, 0)));
    }
    retire(&allocator, cache);
    empty(&allocator);
}

#[test]
fn a_guard_that_stays_keeps_its_stack_listed() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let (small, large) = (take(&allocator, cache, 8 * KIB).unwrap(), take(&allocator, cache, 2 * MIB).unwrap());
    let all = in_stacks(&allocator, cache);
    allocator.os().fail_verb(Verb::Unguard);
    give(&allocator, cache, small);
    give(&allocator, cache, large);
    release(&allocator, cache);
    assert_eq!((in_stacks(&allocator, cache), allocator.stacks().listed()), (all, (2, 8 * KIB)));
    // They are still stacks, each for a request of its size.
    assert_ne!(take(&allocator, cache, MIB).unwrap().base(), large.base());
    let again = [take(&allocator, cache, 2 * MIB).unwrap(), take(&allocator, cache, 1).unwrap()];
    assert_eq!(again.map(|stack| stack.base()), [large.base(), small.base()]);
    is_guarded(&allocator, &again[0]);
    allocator.os().fail_never();
    again.into_iter().for_each(|stack| give(&allocator, cache, stack));
    release(&allocator, cache);
    assert_eq!(in_stacks(&allocator, cache), MIB + PAGE_SIZE, "one was not given back");
    // A stack address is in no object.
    assert_eq!(allocator.stacks().listed(), (0, 0));
}

/// Takes, returns and releases stacks at random beside objects, with every system call failing in turn.
fn run(fail: Option<u64>) -> (u64, usize) {
    let allocator = allocator::allocator(Sim::new().physical_page(16 * KIB));
    let cache = adopt(&allocator);
    let start = allocator.os().calls();
    if let Some(n) = fail {
        allocator.os().fail_nth(n);
    }
    let (mut rng, mut stacks, mut objects, mut refused) = (Rng(7), Vec::new(), Vec::new(), 0);
    for _ in 0..160 {
        match rng.below(10) {
            0..4 => match take(&allocator, cache, 1 << (10 + rng.below(12))) {
                Ok(stack) => {
                    is_guarded(&allocator, &stack);
                    let id = rng.next();
                    allocator::fill(stack.base().0, stack.size(), id);
                    stacks.push((stack, id));
                }
                Err(_) => refused += 1,
            },
            4..7 if !stacks.is_empty() => {
                let (stack, id) = stacks.swap_remove(rng.below(stacks.len()));
                assert!(allocator::holds(stack.base().0, stack.size(), stack.size(), id));
                give(&allocator, cache, stack);
            }
            7 if rng.one_in(8) => {
                release(&allocator, cache);
                heap(&allocator).release(cache.writer(), Pages(rng.below(200)));
            }
            8 => {
                let size = 1 + rng.below(200 * KIB);
                let at = crossfoot::malloc::allocate(allocator.bind(cache), size) as usize;
                if at != 0 {
                    allocator::fill(at, size, size as u64);
                    objects.push((at, size));
                }
            }
            _ if !objects.is_empty() => {
                let (at, size) = objects.swap_remove(rng.below(objects.len()));
                assert!(allocator::holds(at, size, size, size as u64));
                free(&allocator, cache, at);
            }
            _ => {}
        }
        if allocator.os().injected() > 0 && rng.one_in(4) || rng.one_in(50) {
            balanced_with_machine(&allocator, Some(cache));
        }
    }
    let calls = allocator.os().calls() - start;
    stacks.into_iter().for_each(|(stack, _)| give(&allocator, cache, stack));
    objects.into_iter().for_each(|(at, _)| free(&allocator, cache, at));
    release(&allocator, cache);
    // Once more where the failure came last.
    release(&allocator, cache);
    assert_eq!((in_stacks(&allocator, cache), allocator.os().bytes_in(State::Guarded)), (0, 0));
    retire(&allocator, cache);
    empty(&allocator);
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
    let allocator = allocator::allocator(Sim::new());
    let keeper = adopt(&allocator);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let allocator = &allocator;
            scope.spawn(move || {
                let (cache, mut rng, mut mine) = (adopt(allocator), Rng(seed), Vec::new());
                for _ in 0..500 {
                    if rng.one_in(2) && mine.len() < 20 {
                        let stack = take(allocator, cache, 1 << (12 + rng.below(8))).unwrap();
                        allocator::fill(stack.base().0, stack.size(), seed);
                        mine.push(stack);
                    } else if let Some(stack) = mine.pop() {
                        assert!(allocator::holds(stack.base().0, stack.size(), stack.size(), seed));
                        give(allocator, cache, stack);
                    }
                    if rng.one_in(100) {
                        release(allocator, cache);
                    }
                }
                mine.into_iter().for_each(|stack| give(allocator, cache, stack));
                retire(allocator, cache);
            });
        }
        for _ in 0..30 {
            let balance = allocator.crossfoot(Some(keeper)).expect("it has started");
            assert!(balance.failures.is_empty());
            std::thread::yield_now();
        }
    });
    release(&allocator, keeper);
    assert_eq!(in_stacks(&allocator, keeper), 0);
    retire(&allocator, keeper);
    empty(&allocator);
}

#[test]
fn optional_waits_for_the_pool_are_bounded() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let still = heap(&allocator).stop_all();
    std::thread::scope(|scope| {
        let asked =
            scope.spawn(|| allocator.stacks().take(heap(&allocator), cache.writer(), 1, Some(1_000_000)).is_err());
        assert!(asked.join().expect("it came back"));
    });
    drop(still);
    let stack =
        allocator.stacks().take(heap(&allocator), cache.writer(), 1, Some(1_000_000)).expect("nobody is in the way");
    give(&allocator, cache, stack);
    balanced(&allocator, Some(cache));
}

#[test]
fn an_address_in_a_stack_is_no_object() {
    let allocator = allocator::allocator(Sim::new());
    let cache = adopt(&allocator);
    let stack = take(&allocator, cache, 64 * KIB).unwrap();
    for at in [stack.base().0, stack.top().0 - 16, stack.span().base().0] {
        let line = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| free(&allocator, cache, at))).unwrap_err();
        let line = line.downcast_ref::<String>().expect("a formatted line");
        assert_eq!(*line, format!("crossfoot: free({at:#x}): not an object"));
    }
}
