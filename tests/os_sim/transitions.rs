//! Legal and illegal transitions.

use proptest::prelude::*;

use super::*;
use crossfoot::units::MIB;

/// Returns the state after `verb` on a page in `from` by the table of `os`, or `None` if it is illegal.
fn table(verb: Verb, from: State) -> Option<State> {
    use State::{Guarded, None as Unmapped, Prepared, Ready, Reserved, Sparse, SparseReady};
    match (verb, from) {
        (Verb::Map, Reserved) => Some(Prepared),
        (Verb::Used, Prepared | Ready) => Some(Ready),
        (Verb::Unused, Ready) => Some(Prepared),
        (Verb::Fault, Prepared | Ready) => Some(Reserved),
        (Verb::Free, Reserved | Prepared | Ready | Sparse | SparseReady) => Some(Unmapped),
        (Verb::HugePage | Verb::NoHugePage | Verb::Collapse, Prepared | Ready) => Some(from),
        (Verb::Guard, Ready) => Some(Guarded),
        (Verb::Unguard, Guarded) => Some(Ready),
        (Verb::SparseReady, Sparse | SparseReady) => Some(SparseReady),
        _ => None,
    }
}

const ON_A_RANGE: [Verb; 11] = [
    Verb::Map,
    Verb::Used,
    Verb::Unused,
    Verb::Fault,
    Verb::Free,
    Verb::Guard,
    Verb::Unguard,
    Verb::HugePage,
    Verb::NoHugePage,
    Verb::Collapse,
    Verb::SparseReady,
];

#[test]
fn every_verb_from_every_state_as_the_table_says() {
    use State::{Guarded, Prepared, Ready, Reserved, Sparse, SparseReady};
    let states = [State::None, Reserved, Prepared, Ready, Sparse, SparseReady, Guarded];
    for verb in ON_A_RANGE {
        for from in states {
            let sim = Sim::new();
            let size = 4 * PAGE;
            let at = if matches!(from, State::Sparse | State::SparseReady) {
                let at = sim.sparse(size).unwrap();
                if from == State::SparseReady {
                    call!(sim, sparse_ready(at, size)).unwrap();
                }
                at
            } else {
                bring(&sim, sim.place().base, size, from);
                sim.place().base
            };
            match table(verb, from) {
                Some(to) => {
                    assert_eq!(act(&sim, verb, at, size), Ok(()), "{verb:?} from {from}");
                    assert_eq!(sim.state_at(at), to, "{verb:?} from {from}");
                }
                None => {
                    let line = line_of(|| act(&sim, verb, at, size));
                    let start = format!(
                        "sim: {} of [{at:?}, {end:?}): found {from} at [{at:?}, {end:?}), required ",
                        verb.name(),
                        end = at.plus(size),
                    );
                    assert!(line.starts_with(&start), "{line}\n{start}");
                    assert_eq!(sim.state_at(at), from, "a refused {verb:?} changed the state");
                }
            }
        }
    }
}

#[test]
fn the_line_names_the_part_that_is_wrong() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base, 4 * PAGE, State::Reserved);
    call!(sim, map(base, 2 * PAGE)).unwrap();
    call!(sim, used(base, PAGE)).unwrap();
    let line = line_of(|| call!(sim, used(base, 3 * PAGE)));
    let (a, b, c) = (base, base.plus(2 * PAGE), base.plus(3 * PAGE));
    let expected = format!("sim: used of [{a:?}, {c:?}): found Reserved at [{b:?}, {c:?}), required Prepared or Ready");
    assert_eq!(line, expected);
    // Nothing changed, not even the part that was right.
    assert_eq!(sim.state_at(base.plus(PAGE)), State::Prepared);
    assert_eq!(sim.calls(), 3);
}

#[test]
fn a_range_must_be_whole_pages_of_the_machine() {
    for page in [4 * KIB, 16 * KIB, 64 * KIB] {
        let sim = Sim::new().physical_page(page);
        assert_eq!(sim.physical_page_size(), page);
        let base = sim.place().base;
        bring(&sim, base, 4 * page, State::Ready);
        let half = page / 2;
        for (at, size) in [(base.plus(half), page), (base, page + half), (base, half)] {
            let line = line_of(|| call!(sim, unused(at, size)));
            let expected = format!(
                "sim: unused of [{at:?}, {:?}): found address or size off the physical page, \
                 required multiples of {page}",
                at.plus(size)
            );
            assert_eq!(line, expected);
        }
        assert!(line_of(|| sim.alloc(half)).contains("off the physical page"));
        assert!(line_of(|| sim.reserve(None, half)).contains("off the physical page"));
        assert!(line_of(|| sim.alloc(0)).contains("found an empty range"));
        assert!(line_of(|| call!(sim, used(base, 0))).contains("found an empty range"));
        let at = sim.alloc(page).unwrap();
        assert!(at.is_aligned(page));
    }
}

#[test]
fn a_range_must_lie_in_the_machine_and_a_wanted_place_in_the_window() {
    let sim = Sim::new().window(64 * MIB);
    let window = sim.place();
    let line = line_of(|| call!(sim, map(Addr(PAGE), PAGE)));
    assert!(line.contains("found an address outside the simulated OS"), "{line}");
    let line = line_of(|| call!(sim, map(window.base, usize::MAX & !(PAGE - 1))));
    assert!(line.contains("found an address outside the simulated OS"), "{line}");
    let last = window.base.plus(window.size - PAGE);
    assert_eq!(sim.reserve(Some(last), PAGE), Ok(last));
    let line = line_of(|| sim.reserve(Some(last), 2 * PAGE));
    assert!(line.contains("found the end of the window inside"), "{line}");
}

#[test]
fn a_taken_place_is_an_answer_and_changes_nothing() {
    let sim = Sim::new();
    let base = sim.place().base;
    bring(&sim, base.plus(PAGE), PAGE, State::Reserved);
    assert_eq!(sim.reserve(Some(base), 2 * PAGE), Err(OsError::Taken));
    assert_eq!((sim.state_at(base), sim.reserved_bytes()), (State::None, PAGE));
    call!(sim, free(base.plus(PAGE), PAGE)).unwrap();
    assert_eq!(sim.reserve(Some(base), 2 * PAGE), Ok(base));
}

proptest! {
    /// Random calls on a few pages against an array with one state per page.
    #[test]
    fn states_agree_with_a_plain_array(calls in prop::collection::vec((0..12usize, 0..24usize, 1..9usize), 1..120)) {
        const PAGES: usize = 32;
        let sim = Sim::new();
        let base = sim.place().base;
        let mut model = [State::None; PAGES];
        for (what, first, count) in calls {
            let (at, size) = (base.plus(first * PAGE), count * PAGE);
            let pages = first..first + count;
            if what == 0 {
                let free = model[pages.clone()].iter().all(|&s| s == State::None);
                prop_assert_eq!(sim.reserve(Some(at), size), if free { Ok(at) } else { Err(OsError::Taken) });
                if free {
                    model[pages].fill(State::Reserved);
                }
            } else {
                let verb = ON_A_RANGE[what - 1];
                let after: Option<Vec<State>> = model[pages.clone()].iter().map(|&s| table(verb, s)).collect();
                match after {
                    Some(after) => {
                        prop_assert_eq!(act(&sim, verb, at, size), Ok(()));
                        model[pages.clone()].copy_from_slice(&after);
                        for page in pages.filter(|&p| model[p] == State::Ready) {
                            write(base.plus(page * PAGE), PAGE, 1);
                        }
                    }
                    None => {
                        let line = line_of(|| act(&sim, verb, at, size));
                        prop_assert!(line.contains(", required "));
                    }
                }
            }
            for (page, &state) in model.iter().enumerate() {
                prop_assert_eq!(sim.state_at(base.plus(page * PAGE)), state);
            }
            for state in [State::Reserved, State::Prepared, State::Ready, State::Guarded] {
                let pages = model.iter().filter(|&&s| s == state).count();
                prop_assert_eq!(sim.bytes_in(state), pages * PAGE);
            }
            let borders = model.chunk_by(|a, b| a == b).filter(|run| run[0] != State::None).count();
            prop_assert_eq!(sim.ranges().len(), borders, "neighbours in one state are one entry");
        }
    }
}
