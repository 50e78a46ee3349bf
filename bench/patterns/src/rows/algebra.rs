//! Symbolic algebra: terms that are derived, simplified and dropped.

use crate::{
    heap::{Books, demand},
    job::Job,
};

/// A term in one variable.
#[derive(Clone)]
enum Term {
    Number(i64),
    Variable,
    Sum(Box<Term>, Box<Term>),
    Product(Box<Term>, Box<Term>),
}

use Term::{Number, Product, Sum, Variable};

fn sum(left: Term, right: Term) -> Term {
    Sum(Box::new(left), Box::new(right))
}

fn product(left: Term, right: Term) -> Term {
    Product(Box::new(left), Box::new(right))
}

impl Term {
    /// The derivative, term by term, as the rules have it.
    fn derive(&self) -> Term {
        match self {
            Number(_) => Number(0),
            Variable => Number(1),
            Sum(left, right) => sum(left.derive(), right.derive()),
            Product(left, right) => {
                let (left, right) = (left.as_ref(), right.as_ref());
                sum(product(left.derive(), right.clone()), product(left.clone(), right.derive()))
            }
        }
    }

    /// The same without sums with nothing, products with one and nothing, and operations on numbers.
    fn simplify(self) -> Term {
        match self {
            Sum(left, right) => match (left.simplify(), right.simplify()) {
                (Number(left), Number(right)) => Number(left.wrapping_add(right)),
                (Number(0), same) | (same, Number(0)) => same,
                (left, right) => sum(left, right),
            },
            Product(left, right) => match (left.simplify(), right.simplify()) {
                (Number(left), Number(right)) => Number(left.wrapping_mul(right)),
                (Number(0), _) | (_, Number(0)) => Number(0),
                (Number(1), same) | (same, Number(1)) => same,
                (left, right) => product(left, right),
            },
            simple => simple,
        }
    }

    /// The value at a place.
    fn at(&self, place: i64) -> i64 {
        match self {
            Number(number) => *number,
            Variable => place,
            Sum(left, right) => left.at(place).wrapping_add(right.at(place)),
            Product(left, right) => left.at(place).wrapping_mul(right.at(place)),
        }
    }

    /// The values of the first three derivatives at a place, without terms: Taylor's coefficients, times factorials.
    fn derivatives_at(&self, place: i64) -> [i64; 4] {
        match self {
            Number(number) => [*number, 0, 0, 0],
            Variable => [place, 1, 0, 0],
            Sum(left, right) => {
                let (left, right) = (left.derivatives_at(place), right.derivatives_at(place));
                [0, 1, 2, 3].map(|order| left[order].wrapping_add(right[order]))
            }
            Product(left, right) => {
                let (left, right) = (left.derivatives_at(place), right.derivatives_at(place));
                const CHOOSE: [[i64; 4]; 4] = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 2, 1, 0], [1, 3, 3, 1]];
                [0, 1, 2, 3].map(|order| {
                    (0..=order).fold(0_i64, |total, of_left| {
                        let part = left[of_left].wrapping_mul(right[order - of_left]);
                        total.wrapping_add(part.wrapping_mul(CHOOSE[order][of_left]))
                    })
                })
            }
        }
    }
}

/// Terms of a polynomial are built, derived three times, simplified after each time, and checked against values that were
/// computed without terms. The polynomial `3xx + axx + bx + 5` is the one of deriv in Gabriel's Lisp benchmarks (1985),
/// here raised to the third power, so that the rule for products has work. Nearly all objects are nodes of 24 bytes that
/// live for one step.
pub fn derivatives(job: &Job) -> Books {
    job.run(|index| {
        for turn in 0..job.share(10_000) {
            let (a, b) = (turn as i64 % 97, turn as i64 % 89);
            let square = |factor| product(Number(factor), product(Variable, Variable));
            let line = sum(product(Number(b), Variable), Number(5));
            let base = sum(sum(square(3), square(a)), line);
            let mut term = product(base.clone(), product(base.clone(), base));
            let expected = term.derivatives_at(7);
            for value in &expected[1..] {
                term = term.derive().simplify();
                demand(term.at(7) == *value, "a term changed");
            }
        }
        Books::new(index)
    })
}
