//! Small programs with data structures of their own: trees, strings, a store,
//! long numbers. They use Rust's collections, which end in `malloc`, `realloc`
//! and `free` as well.

use crate::{
    heap::{Books, demand},
    job::Job,
    random::Random,
};
use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::BuildHasherDefault,
};

/// A node of a binary tree with a key, as in an ordered map.
struct Node {
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
    key: u64,
}

impl Node {
    /// A complete tree of this depth over the keys from `low` on.
    fn build(depth: u32, low: u64) -> Option<Box<Node>> {
        if depth == 0 {
            return None;
        }
        let half = (1 << (depth - 1)) - 1;
        let left = Self::build(depth - 1, low);
        let right = Self::build(depth - 1, low + half + 1);
        Some(Box::new(Node { left, right, key: low + half }))
    }

    /// The sum of all keys.
    fn sum(&self) -> u64 {
        let below = |child: &Option<Box<Node>>| child.as_ref().map_or(0, |node| node.sum());
        below(&self.left) + below(&self.right) + self.key
    }
}

/// Builds, walks and drops binary trees: one of 65,535 nodes that stays, many
/// smaller ones that go. The shape is that of the binary-trees program of the
/// Computer Language Benchmarks Game, and of the oct-tree that barnes builds and
/// drops in each of its steps.
pub fn tree(job: &Job) -> Books {
    job.run(|index| {
        let stays = Node::build(16, 0).expect("the depth is not zero");
        for turn in 0..job.share(6_000) {
            let depth = 9 + turn as u32 % 6;
            let nodes = (1_u64 << depth) - 1;
            let goes = Node::build(depth, 0).expect("the depth is not zero");
            demand(goes.sum() == nodes * (nodes - 1) / 2, "a tree changed");
        }
        demand(stays.sum() == 65_535 * 65_534 / 2, "the tree that stays changed");
        Books::new(index)
    })
}

/// Text is written line by line, taken apart into words, the words are changed
/// and put together again: string handling as in gawk and perl, the programs of
/// Zorn and Grunwald's studies. Every string is an allocation, most are short,
/// and growing ones are reallocated.
pub fn strings(job: &Job) -> Books {
    job.run(|index| {
        let mut random = Random::new(index as u64);
        for _ in 0..job.share(16_000) {
            let mut text = String::new();
            for line in 0..40 {
                text += &format!("key{line}=");
                for _ in 0..random.between(2, 12) {
                    text += &format!("Word{:x},", random.power_law(16, 20));
                }
                text.push('\n');
            }
            let lines: Vec<Vec<String>> = text.lines().map(words).collect();
            let back: Vec<String> = lines.iter().map(|line| line.concat()).collect();
            demand(back.join("\n") + "\n" == text.to_lowercase(), "a string changed");
        }
        Books::new(index)
    })
}

/// The words of a line, in small letters, each with its separator.
fn words(line: &str) -> Vec<String> {
    line.split_inclusive(['=', ',']).map(str::to_lowercase).collect()
}

/// A length of a value by the mix that Atikoglu and others measured in
/// memcached's general pool (2012): few bytes mostly, up to 500 nearly always.
fn value_size(random: &mut Random) -> usize {
    match random.below(100) {
        0..40 => random.between(2, 16),
        40..90 => random.between(16, 500),
        90..99 => random.between(500, 2048),
        _ => random.between(2048, 8192),
    }
}

/// A key-value store of up to 40,000 keys in all: 60 % reads, each copied into a
/// reply of its own as a server does, 30 % writes, 10 % deletions. The values'
/// sizes follow [`value_size`].
pub fn key_value(job: &Job) -> Books {
    type Store = HashMap<Box<str>, Vec<u8>, BuildHasherDefault<DefaultHasher>>;
    job.run(|index| {
        let mut random = Random::new(index as u64);
        let mut store = Store::default();
        let keys = 40_000 / job.threads;
        for _ in 0..job.share(2_000_000) {
            let number = random.below(keys);
            let key = format!("user:{number}:profile");
            match random.below(10) {
                0..6 => {
                    let reply = store.get(key.as_str()).cloned().unwrap_or_default();
                    demand(reply.iter().all(|byte| *byte == number as u8), "a value changed");
                }
                6..9 => {
                    let value = vec![number as u8; value_size(&mut random)];
                    store.insert(key.into_boxed_str(), value);
                }
                _ => drop(store.remove(key.as_str())),
            }
        }
        Books::new(index)
    })
}

/// A long number, least significant digit first; every operation makes a new one.
type Number = Vec<u32>;

/// `number * factor + addend`.
fn multiply_add(number: &Number, factor: u32, addend: &Number) -> Number {
    let length = number.len().max(addend.len()) + 1;
    let digit = |digits: &Number, place: usize| u64::from(digits.get(place).copied().unwrap_or(0));
    let mut carry = 0;
    let mut result = Number::with_capacity(length);
    for place in 0..length {
        carry += digit(number, place) * u64::from(factor) + digit(addend, place);
        result.push(carry as u32);
        carry >>= 32;
    }
    while result.last() == Some(&0) {
        result.pop();
    }
    result
}

/// The product of two long numbers, one row at a time.
fn product(left: &Number, right: &Number) -> Number {
    left.iter().rev().fold(Number::new(), |sum, digit| {
        let mut shifted = Number::with_capacity(sum.len() + 1);
        shifted.push(0);
        shifted.extend_from_slice(&sum);
        multiply_add(right, *digit, &shifted)
    })
}

/// Continued fractions of square roots in long numbers of 4 to 40 bytes: the
/// work of cfrac, nearly all of whose objects are tiny and die at once. Each
/// approximation `p/q` is checked by `p² = n q² ± remainder`.
pub fn long_numbers(job: &Job) -> Books {
    job.run(|index| {
        for turn in 0..job.share(56_000) {
            let root = 1_000 + turn as u32 % 5_000;
            approximate(u64::from(root) * u64::from(root) + 7, root);
        }
        Books::new(index)
    })
}

/// Forty steps of the continued fraction of the square root of `n`, whose whole
/// part is `root`.
fn approximate(n: u64, root: u32) {
    let whole = u64::from(root);
    let (mut offset, mut rest, mut term) = (0_u64, 1_u64, whole);
    let (mut p, mut p_before): (Number, Number) = (vec![root], vec![1]);
    let (mut q, mut q_before): (Number, Number) = (vec![1], Vec::new());
    for step in 0..40 {
        offset = term * rest - offset;
        rest = (n - offset * offset) / rest;
        term = (whole + offset) / rest;
        let square = product(&p, &p);
        let scaled = multiply_add(&product(&q, &q), n as u32, &Number::new());
        let remainder = vec![rest as u32];
        let (high, low) = if step % 2 == 0 { (scaled, square) } else { (square, scaled) };
        demand(multiply_add(&low, 1, &remainder) == high, "a long number changed");
        let p_next = multiply_add(&p, term as u32, &p_before);
        p_before = std::mem::replace(&mut p, p_next);
        let q_next = multiply_add(&q, term as u32, &q_before);
        q_before = std::mem::replace(&mut q, q_next);
    }
}
