//! Calls that are made to fail.

use super::*;

#[test]
fn plans_fail_the_calls_that_they_name() {
    let sim = Sim::new();
    let ten = |sim: &Sim| -> Vec<usize> {
        (1..=10).map(|n| (n, sim.alloc(PAGE))).filter(|(_, r)| r.is_err()).map(|(n, _)| n).collect()
    };
    assert_eq!(ten(&sim), []);
    sim.fail_nth(3);
    sim.fail_nth_with(5, OsError::Errno(11));
    assert_eq!(ten(&sim), [3, 5]);
    assert_eq!(sim.log()[sim.log().len() - 6].result, Err(OsError::Errno(11)));
    assert_eq!(ten(&sim), [], "a plan for one call holds once");
    sim.fail_from(8);
    assert_eq!(ten(&sim), [8, 9, 10]);
    sim.fail_never();
    assert_eq!(ten(&sim), []);
    sim.fail_verb_with(Verb::Sparse, OsError::Unsupported);
    assert_eq!(ten(&sim), []);
    assert_eq!(sim.sparse(PAGE), Err(OsError::Unsupported));
    sim.fail_verb(Verb::Alloc);
    assert_eq!(sim.alloc(PAGE), Err(OsError::OutOfMemory));
    sim.fail_never();
    assert_eq!((sim.calls(), sim.injected()), (62, 2 + 3 + 2));
    assert_eq!((sim.count(Verb::Alloc), sim.count(Verb::Sparse)), (61, 1));
}

#[test]
fn a_random_plan_is_replayed_from_its_seed() {
    let run = |seed| {
        let sim = Sim::new();
        sim.fail_randomly(seed, 4);
        (0..400).map(|_| sim.alloc(PAGE).is_err()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let failed = run(3).iter().filter(|&&f| f).count();
    assert!((60..140).contains(&failed), "{failed} of 400 failed, wanted one in four");
}

#[test]
fn a_failed_call_changes_nothing() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base, 8 * PAGE, State::Ready);
    call!(sim, unused(base.plus(4 * PAGE), 4 * PAGE)).unwrap();
    bring(&sim, base.plus(8 * PAGE), PAGE, State::Reserved);
    let sparse = sim.sparse(PAGE).unwrap();
    write(base, 4 * PAGE, 5);
    let before = sim.ranges();
    sim.fail_from(1);
    assert!(sim.reserve(None, PAGE).is_err());
    assert!(sim.reserve(Some(base.plus(16 * PAGE)), PAGE).is_err());
    assert!(sim.alloc(PAGE).is_err() && sim.sparse(PAGE).is_err());
    assert!(call!(sim, map(base.plus(8 * PAGE), PAGE)).is_err());
    for verb in [Verb::Used, Verb::Fault, Verb::Free, Verb::HugePage, Verb::NoHugePage, Verb::Collapse] {
        assert_eq!(act(&sim, verb, base, 8 * PAGE), Err(OsError::OutOfMemory), "{verb:?}");
    }
    assert!(call!(sim, unused(base, PAGE)).is_err());
    assert!(call!(sim, guard(base, PAGE)).is_err());
    assert!(call!(sim, sparse_ready(sparse, 8)).is_err());
    assert!(call!(sim, move_pages(base, base.plus(2 * PAGE), PAGE)).is_err());
    assert_eq!(sim.ranges(), before);
    assert!(is_all(base, 4 * PAGE, 5));
    // What is illegal stays so, even where it would have failed.
    assert!(line_of(|| call!(sim, map(base, PAGE))).contains("found Ready"));
}

#[test]
fn the_limit_counts_what_is_ready_and_only_what_is_new() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base, 4 * PAGE, State::Ready);
    call!(sim, unused(base, 2 * PAGE)).unwrap();
    sim.limit_ready(3 * PAGE);
    assert_eq!(sim.alloc(2 * PAGE), Err(OsError::OutOfMemory));
    assert_eq!(call!(sim, used(base, 4 * PAGE)), Err(OsError::OutOfMemory));
    assert_eq!(call!(sim, used(base.plus(PAGE), 3 * PAGE)), Ok(()));
    assert_eq!(sim.ready_bytes(), 3 * PAGE);
    assert_eq!(call!(sim, used(base.plus(PAGE), 3 * PAGE)), Ok(()));
    sim.limit_ready(0);
    assert_eq!(call!(sim, used(base.plus(PAGE), PAGE)), Ok(()), "what is Ready stays so");
    assert_eq!((sim.injected(), sim.prepared_bytes()), (0, PAGE));
    assert!(sim.sparse(PAGE).is_ok() && sim.reserve(None, PAGE).is_ok());
}
