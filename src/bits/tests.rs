//! Compares bitmaps with arrays of booleans.

use super::{BITS, PageBits, WORD, ZeroRun, ZeroRuns, find_ones, longest_ones, spread};
use proptest::prelude::*;
use std::vec::Vec;

fn bits(taken: &[(usize, usize)]) -> PageBits {
    let mut bits = PageBits::EMPTY;
    for &(i, n) in taken {
        bits.set_range(i, n);
    }
    bits
}

/// Set ranges, the wanted number of zeros, where the search begins, the expected result.
type FindRow = (&'static str, &'static [(usize, usize)], usize, usize, Option<(usize, usize)>);

const FIND_ROWS: &[FindRow] = &[
    ("empty", &[], 1, 0, Some((0, 0))),
    ("empty, all", &[], 512, 0, Some((0, 0))),
    ("empty, from", &[], 10, 501, Some((501, 501))),
    ("empty, too far", &[], 12, 501, None),
    ("full", &[(0, 512)], 1, 0, None),
    ("last bit", &[(0, 511)], 1, 0, Some((511, 511))),
    ("last bit, from", &[(0, 511)], 1, 511, Some((511, 511))),
    ("hole too small", &[(0, 3), (5, 3)], 3, 0, Some((8, 3))),
    ("hole fits", &[(0, 3), (6, 3)], 3, 0, Some((3, 3))),
    ("hole below", &[(0, 3), (6, 3)], 3, 4, Some((9, 4))),
    ("word's edge", &[(0, 60), (68, 100)], 8, 0, Some((60, 60))),
    ("word's edge, too small", &[(0, 60), (67, 100)], 8, 0, Some((167, 60))),
    ("a whole word", &[(0, 64), (128, 384)], 64, 0, Some((64, 64))),
    ("a word and one", &[(0, 64), (129, 383)], 65, 0, Some((64, 64))),
    ("over two edges", &[(0, 63), (129, 383)], 66, 0, Some((63, 63))),
    ("one short over two edges", &[(0, 63), (129, 383)], 67, 0, None),
    ("a word but one, at the end", &[(0, 449)], 63, 0, Some((449, 449))),
    ("at the end", &[(0, 400), (401, 11)], 100, 0, Some((412, 400))),
];

#[test]
fn finds_the_first_run() {
    for &(name, taken, n, from, found) in FIND_ROWS {
        let found = found.map(|(start, first_zero)| ZeroRun { start, first_zero });
        assert_eq!(bits(taken).find_zeros(n, from), found, "{name}");
    }
}

/// Set ranges; the runs of zeros at the start, the longest, at the end.
type SumRow = (&'static str, &'static [(usize, usize)], (usize, usize, usize));

#[test]
fn sums_up_runs() {
    let rows: &[SumRow] = &[
        ("empty", &[], (512, 512, 512)),
        ("full", &[(0, 512)], (0, 0, 0)),
        ("first taken", &[(0, 1)], (0, 511, 511)),
        ("last taken", &[(511, 1)], (511, 511, 0)),
        ("one free in a word", &[(0, 9), (10, 502)], (0, 1, 0)),
        ("61 over an edge, 62 in a word", &[(0, 4), (65, 64), (191, 321)], (0, 62, 0)),
        ("most of a word", &[(0, 1), (63, 449)], (0, 62, 0)),
        ("longest in a later word", &[(2, 8), (12, 60), (102, 410)], (2, 30, 0)),
        ("longest over an edge", &[(2, 58), (80, 432)], (2, 20, 0)),
        ("longest at the end", &[(2, 498)], (2, 12, 12)),
    ];
    for &(name, taken, (start, max, end)) in rows {
        assert_eq!(bits(taken).zero_runs(), ZeroRuns { start, max, end }, "{name}");
    }
}

#[test]
fn words_at_their_limits() {
    assert_eq!(longest_ones(0), 0);
    assert_eq!(longest_ones(u64::MAX), 64);
    assert_eq!(longest_ones(u64::MAX >> 1), 63);
    assert_eq!(find_ones(u64::MAX, 64), Some(0));
    assert_eq!(find_ones(u64::MAX << 1, 64), None);
    assert_eq!(find_ones(1 << 63, 1), Some(63));
    assert_eq!(spread(1 << 63, 64), u64::MAX);
    assert_eq!(spread(0x0100_0000_8000_0001, 8), 0xff00_0000_ff00_00ff);
    assert_eq!(spread(5, 1), 5);
}

/// Words as heaps produce them: runs of all lengths, not independent random bits.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        any::<u64>(),
        (0..64u32, 0..64u32).prop_map(|(a, b)| (u64::MAX << a) ^ (u64::MAX << b)),
        (0..64u32, 0..64u32, any::<u64>())
            .prop_map(|(a, b, c)| ((u64::MAX << a) ^ (u64::MAX << b)) | c & c >> 7 & c >> 13),
    ]
}

fn page_bits() -> impl Strategy<Value = PageBits> {
    proptest::array::uniform8(word()).prop_map(|words| PageBits { words })
}

fn plain(bits: &PageBits) -> Vec<bool> {
    (0..BITS).map(|i| bits.get(i)).collect()
}

/// The runs of `false`, as `(start, length)`.
fn zero_runs(plain: &[bool]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut start = None;
    for i in 0..=plain.len() {
        let zero = plain.get(i) == Some(&false);
        match start {
            None if zero => start = Some(i),
            Some(s) if !zero => {
                runs.push((s, i - s));
                start = None;
            }
            _ => {}
        }
    }
    runs
}

fn range() -> impl Strategy<Value = (usize, usize)> {
    (0..=BITS).prop_flat_map(|i| (Just(i), 0..=BITS - i))
}

proptest! {
    #[test]
    fn ranges_agree(mut b in page_bits(), (i, n) in range(), set in any::<bool>()) {
        let mut p = plain(&b);
        prop_assert_eq!(b.count_range(i, n), p[i..i + n].iter().filter(|&&x| x).count());
        if set { b.set_range(i, n) } else { b.clear_range(i, n) }
        p[i..i + n].fill(set);
        prop_assert_eq!(plain(&b), &p[..]);
        prop_assert_eq!(b.count(), p.iter().filter(|&&x| x).count());
    }

    #[test]
    fn runs_agree(b in page_bits()) {
        let p = plain(&b);
        let runs = zero_runs(&p);
        let sum = ZeroRuns {
            start: runs.iter().find(|r| r.0 == 0).map_or(0, |r| r.1),
            max: runs.iter().map(|r| r.1).max().unwrap_or(0),
            end: runs.iter().find(|r| r.0 + r.1 == BITS).map_or(0, |r| r.1),
        };
        prop_assert_eq!(b.zero_runs(), sum);
        prop_assert_eq!(b.last_zeros(), runs.last().copied());
    }

    #[test]
    fn searches_agree(b in page_bits(), n in 1..=BITS, short in 1..80usize, from in 0..BITS) {
        let mut p = plain(&b);
        p[..from].fill(true);
        let runs = zero_runs(&p);
        for n in [n, short] {
            let found = runs.iter().find(|r| r.1 >= n)
                .map(|r| ZeroRun { start: r.0, first_zero: runs[0].0 });
            prop_assert_eq!(b.find_zeros(n, from), found);
        }
    }

    #[test]
    fn words_agree(w in word(), n in 1..=WORD, group in 0..=6u32) {
        let inverted: Vec<bool> = (0..WORD).map(|i| w >> i & 1 == 0).collect();
        let runs = zero_runs(&inverted);
        prop_assert_eq!(find_ones(w, n), runs.iter().find(|r| r.1 >= n).map(|r| r.0));
        prop_assert_eq!(longest_ones(w), runs.iter().map(|r| r.1).max().unwrap_or(0));
        let group = 1 << group;
        for i in 0..WORD {
            let at = i / group * group;
            let any = (at..at + group).any(|k| w >> k & 1 != 0);
            prop_assert_eq!(spread(w, group) >> i & 1 != 0, any);
        }
    }

    #[test]
    fn blocks_agree(mut b in page_bits(), i in 0..BITS, mask in word(), set in any::<bool>()) {
        let mut p = plain(&b);
        let at = i / WORD * WORD;
        for k in 0..WORD {
            prop_assert_eq!(b.block(i) >> k & 1 != 0, p[at + k]);
            if mask >> k & 1 != 0 {
                p[at + k] = set;
            }
        }
        if set { b.set_in_block(i, mask) } else { b.clear_in_block(i, mask) }
        prop_assert_eq!(plain(&b), p);
    }

    #[test]
    fn spreading_agrees(mut b in page_bits(), group in 0..=6u32) {
        let p = plain(&b);
        let group = 1usize << group;
        b.spread(group);
        for i in 0..BITS {
            let at = i / group * group;
            prop_assert_eq!(b.get(i), p[at..at + group].contains(&true));
        }
    }
}
