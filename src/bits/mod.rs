//! Bitmaps of 512 pages, and the search for runs in them.
//!
//! A chunk of the page heap has one bit per page. A set bit is a taken page, so every search here looks for
//! runs of zeros.
//!
//! `page` uses the bitmaps. This module uses no other. It touches no memory but its own, takes no lock, does
//! not allocate and does not recurse.
//!
//! Invariant: a position is below [`BITS`], and a range ends at or below it. A checked build asserts that. A
//! release build wraps the word index instead of panicking.

/// Bits of a [`PageBits`].
pub const BITS: usize = 512;
/// Bits of a word.
pub const WORD: usize = 64;
const WORDS: usize = BITS / WORD;

/// A bitmap of [`BITS`] bits. All-zero memory is a valid, empty bitmap.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PageBits {
    words: [u64; WORDS],
}

/// The result of a search for a run of zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZeroRun {
    /// The position of the run's first bit.
    pub start: usize,
    /// The first zero that the search met, at or below `start`.
    pub first_zero: usize,
}

/// The lengths of the runs of zeros at both ends and of the longest run, in bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ZeroRuns {
    /// The length of the run of zeros that begins at bit 0.
    pub start: usize,
    /// The length of the longest run of zeros.
    pub max: usize,
    /// The length of the run of zeros that ends at the last bit.
    pub end: usize,
}

impl PageBits {
    /// A bitmap without set bits.
    pub const EMPTY: PageBits = PageBits { words: [0; WORDS] };
    /// A bitmap with every bit set.
    pub const FULL: PageBits = PageBits { words: [u64::MAX; WORDS] };

    /// Returns whether bit `i` is set.
    #[inline]
    pub const fn get(&self, i: usize) -> bool {
        debug_assert!(i < BITS);
        self.words[i / WORD % WORDS] >> (i % WORD) & 1 != 0
    }

    /// Sets the `n` bits from `i` up.
    #[inline]
    pub fn set_range(&mut self, i: usize, n: usize) {
        each_word(i, n, |w, mask| self.words[w % WORDS] |= mask);
    }

    /// Clears the `n` bits from `i` up.
    #[inline]
    pub fn clear_range(&mut self, i: usize, n: usize) {
        each_word(i, n, |w, mask| self.words[w % WORDS] &= !mask);
    }

    /// Returns how many of the `n` bits from `i` up are set.
    #[inline]
    pub fn count_range(&self, i: usize, n: usize) -> usize {
        let mut count = 0;
        each_word(i, n, |w, mask| {
            count += (self.words[w % WORDS] & mask).count_ones() as usize;
        });
        count
    }

    /// Returns whether every word is `block`. A loop, since `==` would call a function that compares bytes.
    #[inline]
    pub fn is_all(&self, block: u64) -> bool {
        self.words.iter().fold(0, |other, word| other | (word ^ block)) == 0
    }

    /// Returns how many bits are set.
    #[inline]
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Returns the aligned block of 64 bits that holds bit `i`.
    #[inline]
    pub const fn block(&self, i: usize) -> u64 {
        debug_assert!(i < BITS);
        self.words[i / WORD % WORDS]
    }

    /// Sets the bits of `mask` in the block that holds bit `i`.
    #[inline]
    pub const fn set_in_block(&mut self, i: usize, mask: u64) {
        debug_assert!(i < BITS);
        self.words[i / WORD % WORDS] |= mask;
    }

    /// Clears the bits of `mask` in the block that holds bit `i`.
    #[inline]
    pub const fn clear_in_block(&mut self, i: usize, mask: u64) {
        debug_assert!(i < BITS);
        self.words[i / WORD % WORDS] &= !mask;
    }

    /// Applies `f` to the words of this bitmap and `other`, and returns the resulting bitmap.
    #[inline]
    pub fn zip(&self, other: &PageBits, f: impl Fn(u64, u64) -> u64) -> PageBits {
        let mut out = PageBits::EMPTY;
        for ((o, a), b) in out.words.iter_mut().zip(&self.words).zip(&other.words) {
            *o = f(*a, *b);
        }
        out
    }

    /// Returns the first run of `n` zeros that begins at or above `from`. Ignores the bits below `from`: a
    /// run that spans `from` counts from there.
    #[inline]
    pub fn find_zeros(&self, n: usize, from: usize) -> Option<ZeroRun> {
        debug_assert!(n != 0 && n <= BITS && from < BITS);
        let mut first_zero = None;
        let mut carried = 0;
        for w in from / WORD..WORDS {
            let mut taken = self.words[w % WORDS];
            if w == from / WORD {
                taken |= (1 << (from % WORD)) - 1;
            }
            if taken == u64::MAX {
                carried = 0;
                continue;
            }
            let at = w * WORD;
            let first_zero = *first_zero.get_or_insert(at + taken.trailing_ones() as usize);
            if carried + taken.trailing_zeros() as usize >= n {
                return Some(ZeroRun { start: at - carried, first_zero });
            }
            if taken == 0 {
                carried += WORD;
                continue;
            }
            if n < WORD
                && let Some(i) = find_ones(!taken, n)
            {
                return Some(ZeroRun { start: at + i, first_zero });
            }
            carried = taken.leading_zeros() as usize;
        }
        None
    }

    /// Returns the lengths of the runs of zeros at both ends and of the longest run.
    #[inline]
    pub fn zero_runs(&self) -> ZeroRuns {
        let mut runs = ZeroRuns { start: BITS, max: 0, end: 0 };
        // Runs that touch the end of a word come first. If they are long, the search inside the words, which
        // costs more, has fewer candidates.
        for (w, &taken) in self.words.iter().enumerate() {
            if taken == 0 {
                runs.end += WORD;
                continue;
            }
            let reached = runs.end + taken.trailing_zeros() as usize;
            if runs.start == BITS {
                runs.start = w * WORD + taken.trailing_zeros() as usize;
            }
            runs.max = runs.max.max(reached);
            runs.end = taken.leading_zeros() as usize;
        }
        runs.max = runs.max.max(runs.end);
        // A run inside one word leaves a taken page on both sides.
        for &taken in &self.words {
            if runs.max >= WORD - 2 {
                break;
            }
            if has_ones(!taken, runs.max + 1) {
                runs.max = longest_ones(!taken);
            }
        }
        runs
    }

    /// Returns the first position and the length of the highest run of zeros.
    #[inline]
    pub fn last_zeros(&self) -> Option<(usize, usize)> {
        let mut end = None;
        for w in (0..WORDS).rev() {
            let mut taken = self.words[w % WORDS];
            let end = match end {
                Some(end) => end,
                None if taken == u64::MAX => continue,
                None => {
                    let high = taken.leading_ones();
                    let e = (w + 1) * WORD - high as usize;
                    // The taken bits above the run do not end it.
                    taken &= u64::MAX >> high;
                    *end.insert(e)
                }
            };
            if taken != 0 {
                let start = (w + 1) * WORD - taken.leading_zeros() as usize;
                return Some((start, end - start));
            }
        }
        end.map(|end| (0, end))
    }

    /// Sets every bit of each aligned group of `group` bits in which a bit is set.
    #[inline]
    pub fn spread(&mut self, group: usize) {
        for word in &mut self.words {
            *word = spread(*word, group);
        }
    }
}

/// Calls `f` for each word that the `n` bits from `i` up touch, with the word's index and the mask of these
/// bits.
#[inline(always)]
fn each_word(i: usize, n: usize, mut f: impl FnMut(usize, u64)) {
    debug_assert!(i <= BITS && n <= BITS - i);
    if n == 0 {
        return;
    }
    let last = i + n - 1;
    let (first_word, last_word) = (i / WORD, last / WORD);
    let low = u64::MAX << (i % WORD);
    let high = u64::MAX >> (WORD - 1 - last % WORD);
    if first_word == last_word {
        f(first_word, low & high);
        return;
    }
    f(first_word, low);
    for w in first_word + 1..last_word {
        f(w, u64::MAX);
    }
    f(last_word, high);
}

/// Returns the positions in `word` at which a run of `n` ones begins. `n` is from 1 to 64.
#[inline]
const fn run_starts(word: u64, n: usize) -> u64 {
    debug_assert!(n >= 1 && n <= WORD);
    let mut starts = word;
    // `starts` marks runs of `len` ones. ANDed with itself shifted by `step <= len`, it marks runs of `len +
    // step`.
    let mut len = 1;
    while len < n {
        let step = if len < n - len { len } else { n - len };
        starts &= starts >> step;
        len += step;
    }
    starts
}

/// Returns whether `word` holds a run of `n` ones. `n` is from 1 to 64.
#[inline]
const fn has_ones(word: u64, n: usize) -> bool {
    run_starts(word, n) != 0
}

/// Returns the lowest position of a run of `n` ones in `word`. `n` is from 1 to 64.
#[inline]
pub const fn find_ones(word: u64, n: usize) -> Option<usize> {
    let starts = run_starts(word, n);
    if starts == 0 { None } else { Some(starts.trailing_zeros() as usize) }
}

/// Returns the length of the longest run of ones in `word`.
#[inline]
pub const fn longest_ones(word: u64) -> usize {
    if word == 0 {
        return 0;
    }
    // Doubles while runs of that length exist, then adds the smaller powers that fit. `powers[p]` marks the
    // starts of runs of 2^p.
    let mut powers = [word; 6];
    let mut p = 0;
    while p < 5 {
        let longer = powers[p] & powers[p] >> (1 << p);
        if longer == 0 {
            break;
        }
        p += 1;
        powers[p] = longer;
    }
    let mut starts = powers[p];
    let mut len = 1 << p;
    // Six powers add up to 63; only the full word has a longer run.
    if word == u64::MAX {
        return WORD;
    }
    while p > 0 {
        p -= 1;
        let longer = starts & powers[p] >> len;
        if longer != 0 {
            starts = longer;
            len += 1 << p;
        }
    }
    len
}

/// Returns `word` with every aligned group of `group` bits filled if a bit of it is set. `group` is a power
/// of two from 1 to 64.
#[inline]
pub const fn spread(word: u64, group: usize) -> u64 {
    debug_assert!(group.is_power_of_two() && group <= WORD);
    let mut merged = word;
    let mut step = 1;
    while step < group {
        merged |= merged >> step;
        step <<= 1;
    }
    // The lowest bit of each group is now set if any bit of the group was. The product copies it over the
    // group without carries.
    let ones = u64::MAX >> (WORD - group);
    (merged & (u64::MAX / ones)).wrapping_mul(ones)
}

#[cfg(test)]
mod tests;
