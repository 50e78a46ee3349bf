//! The identities of metrics, as docs/metrics.md lists them, evaluated.

use crossfoot::metrics::IDENTITIES;

/// A term of an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// A number.
    Number,
    /// All numbers of a vector, or all counts of a histogram, together.
    Elements,
    /// The sum of a histogram.
    Sum,
}

/// Asserts each identity if `figure` knows all its terms, and returns their number.
#[track_caller]
pub fn hold(figure: impl Fn(Of, &str) -> Option<i128>) -> usize {
    let term = |term: &str| match term.trim() {
        t if t.starts_with('Σ') => figure(Of::Elements, t.trim_start_matches('Σ')),
        t if t.starts_with('∫') => figure(Of::Sum, t.trim_start_matches('∫')),
        t => figure(Of::Number, t),
    };
    let side = |side: &str| side.split(" + ").map(term).sum::<Option<i128>>();
    let known = |identity: &&&str| {
        let (left, right) = identity.split_once(" = ").or(identity.split_once(" ≥ ")).expect("two sides");
        let (Some(a), Some(b)) = (side(left), side(right)) else { return false };
        let holds = if identity.contains(" = ") { a == b } else { a >= b };
        assert!(holds, "{identity}: {a} against {b}");
        true
    };
    IDENTITIES.iter().filter(known).count()
}
