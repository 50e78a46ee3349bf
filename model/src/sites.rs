//! The sites: places in the shipped source with an ordering stronger than relaxed. Records which were executed, and
//! which one is weakened.
//!
//! The state is per OS thread, since loom runs a whole model on one.

use core::fmt;
use core::panic::Location;
use core::sync::atomic::Ordering;
use std::cell::RefCell;
use std::collections::HashSet;

/// A place in a source file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Spot {
    /// The file, as the compiler names it.
    pub file: &'static str,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl From<&'static Location<'static>> for Spot {
    fn from(at: &'static Location<'static>) -> Self {
        Spot { file: at.file(), line: at.line(), column: at.column() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.rsplit('/').next().unwrap_or(self.file);
        write!(f, "{name}:{}:{}", self.line, self.column)
    }
}

/// The operation of a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A load.
    Load,
    /// A store.
    Store,
    /// A compare-exchange that succeeded.
    Exchange,
    /// A compare-exchange that failed.
    ExchangeFailed,
    /// A CPU fence.
    Fence,
    /// A compiler fence.
    CompilerFence,
    /// The reader's fence that reaches every thread. The caller makes it; it is not in the shipped files.
    HeavyFence,
}

/// A site: a place and the ordering that is written there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Site {
    /// The place.
    pub spot: Spot,
    /// The operation.
    pub kind: Kind,
    /// The ordering in the source.
    pub ordering: Ordering,
    /// The purpose, for a fence that serves two. Else empty.
    pub during: &'static str,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.spot, self.kind, self.ordering)?;
        if self.during.is_empty() { Ok(()) } else { write!(f, " ({})", self.during) }
    }
}

/// The weakening of a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Weaker {
    /// Another ordering is used.
    To(Ordering),
    /// The operation is skipped.
    Gone,
    /// A compiler fence is skipped: the compiler moves the last store before it, at one of these places, after the next
    /// load.
    Late(Vec<Spot>),
}

impl fmt::Display for Weaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weaker::To(ordering) => write!(f, "{ordering:?}"),
            Weaker::Gone => write!(f, "gone"),
            Weaker::Late(stores) => {
                let lines: Vec<_> = stores.iter().map(|store| store.line.to_string()).collect();
                write!(f, "gone, stores late: {}", lines.join(" "))
            }
        }
    }
}

impl Weaker {
    fn moves(&self, store: Spot) -> bool {
        matches!(self, Weaker::Late(stores) if stores.contains(&store))
    }
}

/// A weakened site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutant {
    /// The site.
    pub site: Site,
    /// Its weakening.
    pub weaker: Weaker,
}

/// The sites that runs executed.
#[derive(Clone, Default, Debug)]
pub struct Record {
    /// All sites.
    pub sites: HashSet<Site>,
    /// For each compiler fence, the last stores before it.
    pub stores_before: HashSet<(Site, Spot)>,
}

impl Record {
    /// Adds the sites of another run.
    pub fn merge(&mut self, other: Record) {
        self.sites.extend(other.sites);
        self.stores_before.extend(other.stores_before);
    }

    /// Returns every weakening of every site, by place.
    pub fn mutants(&self) -> Vec<Mutant> {
        let mut sites: Vec<_> = self.sites.iter().copied().collect();
        sites.sort_by_key(|s| (s.spot, s.kind, s.during, s.ordering as u8));
        let mutants = sites.into_iter().flat_map(|site| self.weaker(site).into_iter().map(move |w| (site, w)));
        mutants.map(|(site, weaker)| Mutant { site, weaker }).collect()
    }

    fn weaker(&self, site: Site) -> Vec<Weaker> {
        use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
        let gone = [Weaker::Gone];
        let to = |orderings: &[Ordering]| orderings.iter().map(|&o| Weaker::To(o)).collect::<Vec<_>>();
        match (site.kind, site.ordering) {
            (Kind::CompilerFence, _) => {
                let before = self.stores_before.iter().filter(|(fence, _)| *fence == site);
                let mut late: Vec<_> = before.map(|(_, store)| *store).collect();
                late.sort();
                vec![Weaker::Late(late)]
            }
            (Kind::Fence, SeqCst) => [to(&[AcqRel]), gone.to_vec()].concat(),
            (Kind::Fence, AcqRel) => [to(&[Acquire, Release]), gone.to_vec()].concat(),
            (Kind::Fence | Kind::HeavyFence, _) => gone.to_vec(),
            (_, SeqCst) => to(match site.kind {
                Kind::Store => &[Release],
                Kind::Exchange => &[AcqRel],
                _ => &[Acquire],
            }),
            (_, AcqRel) => to(&[Acquire, Release]),
            (_, _) => to(&[Relaxed]),
        }
    }
}

#[derive(Default)]
struct Control {
    record: Option<Record>,
    mutant: Option<Mutant>,
}

thread_local! {
    static CONTROL: RefCell<Control> = RefCell::default();
}

/// From now on this thread weakens one site, or none, and records nothing.
pub fn weaken(mutant: Option<Mutant>) {
    CONTROL.set(Control { record: None, mutant });
}

/// From now on this thread weakens nothing, and records sites.
pub fn record() {
    CONTROL.set(Control { record: Some(Record::default()), mutant: None });
}

/// Returns the sites that were recorded since.
pub fn recorded() -> Record {
    CONTROL.take().record.unwrap_or_default()
}

/// Records a site, and returns its weakening in this run.
pub(crate) fn meet(site: Site) -> Option<Weaker> {
    if site.ordering == Ordering::Relaxed {
        return None;
    }
    CONTROL.with_borrow_mut(|control| {
        if let Some(record) = &mut control.record {
            record.sites.insert(site);
        }
        control.mutant.as_ref().filter(|mutant| mutant.site == site).map(|mutant| mutant.weaker.clone())
    })
}

/// Records the last store before a compiler fence.
pub(crate) fn meet_store_before(fence: Site, store: Spot) {
    CONTROL.with_borrow_mut(|control| {
        if let Some(record) = &mut control.record {
            record.stores_before.insert((fence, store));
        }
    });
}

/// Returns whether this run moves the store at this place past a skipped compiler fence.
pub(crate) fn is_late(store: Spot) -> bool {
    CONTROL.with_borrow(|control| control.mutant.as_ref().is_some_and(|m| m.weaker.moves(store)))
}
