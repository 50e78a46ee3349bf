//! Fault plans: they make calls fail. A test arms them and may combine them.

use std::vec::Vec;

use super::calls::Verb;
use crate::os::OsError;

/// The armed plans. A call fails if any of them matches; plans by number take precedence.
pub(super) struct Plan {
    /// Single calls, by their number among fallible calls.
    nth: Vec<(u64, OsError)>,
    /// All fallible calls from this number on.
    from: Option<(u64, OsError)>,
    /// All calls of these verbs.
    verbs: Vec<(Verb, OsError)>,
    /// All calls of this verb for more than this number of bytes.
    larger: Option<(Verb, usize)>,
    /// One call in `one_in`, by a generator.
    random: Option<Random>,
}

struct Random {
    state: u64,
    one_in: u64,
}

impl Plan {
    /// Returns a plan in which no call fails.
    pub(super) const fn new() -> Plan {
        Plan { nth: Vec::new(), from: None, verbs: Vec::new(), larger: None, random: None }
    }

    /// Makes call number `number` fail. The first call is 1.
    pub(super) fn fail_at(&mut self, number: u64, error: OsError) {
        self.nth.push((number, error));
    }

    /// Makes call number `number` and all later calls fail.
    pub(super) fn fail_from(&mut self, number: u64, error: OsError) {
        self.from = Some((number, error));
    }

    /// Makes all calls of `verb` fail.
    pub(super) fn fail_verb(&mut self, verb: Verb, error: OsError) {
        self.verbs.push((verb, error));
    }

    /// Makes all calls of `verb` for more than `size` bytes fail.
    pub(super) fn fail_above(&mut self, verb: Verb, size: usize) {
        self.larger = Some((verb, size));
    }

    /// Makes one call in `one_in` fail, decided by `seed`.
    pub(super) fn fail_randomly(&mut self, seed: u64, one_in: u64) {
        self.random = Some(Random { state: seed, one_in });
    }

    /// Returns the error of call number `number`, for `size` bytes, or `None` if it does not fail. Must be called exactly once
    /// for each fallible call, so that a random plan can be replayed.
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
    /// Returns whether the next call fails. The generator is SplitMix64, for which every seed is good, also zero.
    fn strikes(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).is_multiple_of(self.one_in)
    }
}
