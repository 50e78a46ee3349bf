//! Which calls are made to fail: plans that a test arms, and that it can combine.

use std::vec::Vec;

use super::calls::Verb;
use crate::os::OsError;

/// The armed plans. A call fails if any of them says so; plans by number come first.
pub(super) struct Plan {
    /// Single calls, by their number among the fallible ones.
    nth: Vec<(u64, OsError)>,
    /// Every fallible call from this number on.
    from: Option<(u64, OsError)>,
    /// Every call of these verbs.
    verbs: Vec<(Verb, OsError)>,
    /// Every call of this verb for more bytes than these.
    larger: Option<(Verb, usize)>,
    /// One call in so many, by the state of the generator.
    random: Option<Random>,
}

struct Random {
    state: u64,
    one_in: u64,
}

impl Plan {
    /// No call fails.
    pub(super) const fn new() -> Plan {
        Plan { nth: Vec::new(), from: None, verbs: Vec::new(), larger: None, random: None }
    }

    /// Call number `number` (the first of all is 1) fails.
    pub(super) fn fail_at(&mut self, number: u64, error: OsError) {
        self.nth.push((number, error));
    }

    /// Call number `number` and every later one fails.
    pub(super) fn fail_from(&mut self, number: u64, error: OsError) {
        self.from = Some((number, error));
    }

    /// Every call of `verb` fails.
    pub(super) fn fail_verb(&mut self, verb: Verb, error: OsError) {
        self.verbs.push((verb, error));
    }

    /// Every call of `verb` for more than `size` bytes fails.
    pub(super) fn fail_above(&mut self, verb: Verb, size: usize) {
        self.larger = Some((verb, size));
    }

    /// One call in `one_in` fails, as `seed` wills.
    pub(super) fn fail_randomly(&mut self, seed: u64, one_in: u64) {
        self.random = Some(Random { state: seed, one_in });
    }

    /// What call number `number`, for `size` bytes, fails with, if it is to fail. Asked exactly once per
    /// fallible call, or the random plan could not be replayed.
    pub(super) fn verdict(&mut self, number: u64, verb: Verb, size: usize) -> Option<OsError> {
        let by_chance = self.random.as_mut().is_some_and(Random::strikes);
        if let Some(at) = self.nth.iter().position(|&(n, _)| n == number) {
            return Some(self.nth.swap_remove(at).1);
        }
        if let Some((from, error)) = self.from
            && number >= from
        {
            return Some(error);
        }
        if let Some(&(_, error)) = self.verbs.iter().find(|&&(v, _)| v == verb) {
            return Some(error);
        }
        let too_large = self.larger.is_some_and(|(v, most)| v == verb && size > most);
        (by_chance || too_large).then_some(OsError::OutOfMemory)
    }
}

impl Random {
    /// Draws the next number. The generator is SplitMix64: any seed is good, zero included.
    fn strikes(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).is_multiple_of(self.one_in)
    }
}
