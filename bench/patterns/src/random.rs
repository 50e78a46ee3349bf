//! Numbers that look random and are the same in every run.

/// The xorshift64* generator: three shifts and a multiplication, so that the
/// numbers cost little beside the allocations they decide.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for this seed; seeds that are close give unrelated numbers.
    pub fn new(seed: u64) -> Self {
        let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Random((mixed ^ mixed >> 29) | 1)
    }

    /// Sixty-four random bits, the upper ones better than the lower ones.
    #[inline(always)]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number in `0..bound`.
    #[inline(always)]
    pub fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// A number in `low..=high`.
    #[inline(always)]
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    #[inline(always)]
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A size from `low << 0` to `low << doublings`, each doubling half as
    /// frequent as the one before: a discrete power law with exponent 2.
    #[inline(always)]
    pub fn power_law(&mut self, low: usize, doublings: u32) -> usize {
        let bits = self.next();
        let octave = ((bits as u32) | 1 << doublings).trailing_zeros().min(doublings);
        let base = low << octave;
        base + (((bits >> 32) * base as u64) >> 32) as usize
    }
}
