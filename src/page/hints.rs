//! Where in the root a search for `n` pages may begin.
//!
//! The root of a large window is long. Most of it may be full, or not grown where arenas lie far apart. The
//! hints record by run length which entries earlier searches skipped, so that later searches skip them at
//! once.

/// Each length up to this one has a class of its own. Above it, each power of two is divided into four
/// classes.
const EXACT: usize = 64;
const EXACT_LOG: usize = EXACT.ilog2() as usize;
/// Binary logarithm of the longest length that has a class: the pages of the largest window.
const LONGEST_LOG: usize = if usize::BITS == 64 { 34 } else { 19 };
const CLASSES: usize = EXACT + 4 * (LONGEST_LOG - EXACT_LOG);

/// `below[class(n)]` is the root entry below which no run of `n` pages or more begins. It may be too low and
/// is never too high. It never falls from one class to the next.
pub(super) struct Hints {
    below: [u32; CLASSES],
}

impl Hints {
    pub(super) const fn new() -> Hints {
        Hints { below: [0; CLASSES] }
    }

    /// Returns the entry below which no run of `n` pages or more begins. `n` is not 0.
    #[inline]
    pub(super) fn begin(&self, n: usize) -> usize {
        self.below[class(n)] as usize
    }

    /// Records that no run of `n` pages or more begins below `entry`.
    #[inline]
    pub(super) fn raise(&mut self, n: usize, entry: usize) {
        let c = class(n);
        let shorter = (length(c) < n) as usize;
        for below in self.below.iter_mut().skip(c + shorter) {
            if *below as usize >= entry {
                return;
            }
            *below = entry as u32;
        }
    }

    /// Records that a run of `n` pages may begin at `entry`.
    #[inline]
    pub(super) fn lower(&mut self, n: usize, entry: usize) {
        if n == 0 {
            return;
        }
        for below in self.below[..=class(n)].iter_mut().rev() {
            if *below as usize <= entry {
                return;
            }
            *below = entry as u32;
        }
    }

    /// Returns whether the hints never fall from one class to the next.
    pub(super) fn is_valid(&self) -> bool {
        self.below.is_sorted()
    }
}

/// Returns the class with the longest lengths that are at most `n`, which is not 0.
#[inline]
const fn class(n: usize) -> usize {
    debug_assert!(n != 0);
    if n <= EXACT {
        return n.saturating_sub(1) % CLASSES;
    }
    let log = n.ilog2() as usize;
    let class = EXACT - 1 + 4 * (log - EXACT_LOG) + (n >> (log - 2) & 3);
    if class < CLASSES { class } else { CLASSES - 1 }
}

/// Returns the shortest length of a class.
#[inline]
const fn length(class: usize) -> usize {
    if class < EXACT {
        return class + 1;
    }
    let above = class - (EXACT - 1);
    (4 + above % 4) << (EXACT_LOG + above / 4 - 2)
}

/// Returns the shortest length of the class of `n`, which is not 0. Searches record their result for it.
#[inline]
pub(super) const fn class_start(n: usize) -> usize {
    length(class(n))
}

const _: () = {
    let mut c = 0;
    while c < CLASSES - 1 {
        assert!(class(length(c)) == c && class(length(c + 1) - 1) == c, "classes in order");
        c += 1;
    }
};
