//! Decides which memory gets huge pages, by how much of its earlier memory the program touched.
//!
//! A huge page makes one page fault of 512, and takes 2 MiB at the first touch of any of its bytes. So it is asked for
//! only where memory that was taken before, for the same kind of demand, turned out to be touched nearly everywhere.
//! New memory without such evidence stays in small pages, and becomes the *probe*: when memory is wanted again, the
//! system says how much of the probe is resident. A dense probe gives credit for four times as many bytes of huge pages
//! as are known to be dense; once it is used up, the last piece of a range stays in small pages as the next probe. A
//! sparse probe takes all credit away. [Decision 0019](../../docs/decisions/0019-huge-pages-by-touch.md) has the
//! measurements.
//!
//! `grow` and `remap_free_pages` ask here. What is noted lies under the page heap's lock; the OS is asked, and
//! advised, without it.
//!
//! Invariant: a probe was never advised to have huge pages, since all of a huge page is resident.

use super::{Heap, Use};
use crate::config::SUMMARY_LEVELS;
use crate::os::Os;
use crate::page::PageAlloc;
use crate::span::Span;
use crate::units::{Addr, MIB, PAGE_SIZE, Pages};

/// The pages of the heap.
type HeapPages = PageAlloc<SUMMARY_LEVELS>;

/// A huge page of x86-64.
pub(super) const PIECE: usize = 2 * MIB;

/// The most bytes wanted at once that may get huge pages: a larger object may be a table that is touched here and there,
/// where every touch would cost a huge page.
pub(super) const HUGE_TO: usize = 32 * MIB;

/// How many bytes of credit a known dense byte gives, and the most credit: what a program can waste that is dense at
/// first and sparse later. With 2, the bench's `large-touch` has twice as many page faults.
const CREDIT: usize = 4;
const CREDIT_MOST: usize = 2 * HUGE_TO;

/// How many 32ths of a probe are resident if it is dense. Three quarters of what large objects lie in: memory grows by a
/// third at the most. More than half of what spans of small objects lie in, which fill up later.
const LARGE_DENSE: usize = 24;
const SMALL_DENSE: usize = 17;

/// The kind of a demand for memory. Each kind has its own evidence: a program that touches all of its small objects may
/// have buffers that it hardly uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Demand {
    /// Spans of small objects.
    Small,
    /// Large objects.
    Large,
}

const DEMANDS: usize = Demand::Large as usize + 1;

impl Demand {
    /// Returns the kind of a demand, or `None` if such memory gets no huge pages. Of a stack, the far end may never be
    /// touched.
    fn of(what: Use) -> Option<Demand> {
        match what {
            Use::Manual(_) => None,
            Use::Small(_) => Some(Demand::Small),
            Use::Large => Some(Demand::Large),
        }
    }
}

/// A range of memory of the heap that was never touched when it was noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) start: Addr,
    pub(super) size: usize,
}

/// The evidence about the memory of one kind of demand.
#[derive(Clone, Copy)]
struct Evidence {
    /// Bytes that were seen to be dense, and those that got huge pages since; half of that after a sparse probe.
    dense: usize,
    /// How many more bytes may get huge pages.
    credit: usize,
    /// Whether the last probe was dense.
    trusted: bool,
    /// Memory in small pages that is looked at next time, and what was looked at last time and was sparse: another
    /// thread may just be writing it.
    probes: Probes,
}

/// The younger one first.
type Probes = [Option<Range>; 2];

impl Evidence {
    const NONE: Evidence = Evidence { dense: 0, credit: 0, trusted: false, probes: [None; 2] };

    /// Takes note that `dense` bytes of the probes were dense.
    fn learn(&mut self, dense: usize) {
        self.trusted = dense >= PIECE;
        self.dense = if self.trusted { self.dense.saturating_add(dense) } else { self.dense / 2 };
        self.credit = if self.trusted { self.dense.saturating_mul(CREDIT).min(CREDIT_MOST) } else { 0 };
    }

    /// Learns from the probes, and keeps the younger one if it is sparse so far.
    fn learn_from(&mut self, probes: Probes, dense: [usize; 2]) {
        let ([younger, older], [seen, seen_later]) = (probes, dense);
        if younger.is_some() || older.is_some() {
            self.learn(seen.saturating_add(seen_later));
            self.probes = [None, younger.filter(|_| seen < PIECE)];
        }
    }

    /// Decides how many bytes at the start of `range` get huge pages. The rest may become the probe.
    fn spend(&mut self, range: Range) -> usize {
        let mut huge = range.size.min(self.credit) / PIECE * PIECE;
        if huge < range.size && self.trusted && self.dense.saturating_mul(CREDIT) >= range.size {
            // Dense so far: all but one piece, which says whether it is so still.
            huge = (range.size - 1) / PIECE * PIECE;
        }
        self.credit = self.credit.saturating_sub(huge);
        self.dense = self.dense.saturating_add(huge);
        let rest = range.size - huge;
        let [younger, _] = &mut self.probes;
        if rest >= PIECE && younger.is_none() {
            *younger = Some(Range { start: range.start.plus(huge), size: rest });
        }
        huge
    }
}

/// The evidence about how densely memory is touched. Protected by the page heap's lock.
pub(super) struct Density {
    evidence: [Evidence; DEMANDS],
    /// The last growth of the heap, if it is not decided on yet.
    grown: Option<Range>,
    /// Whether any memory was ever advised to have huge pages.
    advised: bool,
    /// Whether nothing is asked and nothing advised.
    off: bool,
}

/// Memory on which to decide, and the probe to look at before.
#[derive(Clone, Copy)]
pub(super) struct Question {
    range: Range,
    /// How many bytes behind the range go with it: the rest of a piece that the object has a part of.
    tail: usize,
    /// Whether the tail gets huge pages if all of the range does.
    sure: bool,
    demand: Demand,
    probes: Probes,
}

impl Question {
    /// Memory that gets no huge pages.
    fn small(range: Range) -> Question {
        let nothing = Range { size: 0, ..range };
        Question { range: nothing, tail: range.size, sure: false, demand: Demand::Large, probes: [None; 2] }
    }
}

impl Density {
    pub(super) const fn new() -> Density {
        Density { evidence: [Evidence::NONE; DEMANDS], grown: None, advised: false, off: false }
    }

    fn of(&mut self, demand: Demand) -> &mut Evidence {
        let [small, large] = &mut self.evidence;
        match demand {
            Demand::Small => small,
            Demand::Large => large,
        }
    }

    /// Notes that the heap grew by `size` bytes at `start`.
    pub(super) fn note_grown(&mut self, start: Addr, size: usize) {
        self.grown = Some(Range { start, size });
    }

    /// Returns what the heap grew by last, once.
    pub(super) fn take_grown(&mut self) -> Option<Range> {
        self.grown.take().filter(|_| !self.off)
    }

    /// Returns the question whether what the heap grew by, for `span`, gets huge pages. Returns `None` if it did not grow.
    pub(super) fn question(&mut self, heap: &HeapPages, what: Use, span: Option<&Span>) -> Option<Question> {
        let (range, demand) = (self.take_grown()?, Demand::of(what));
        let (Some(demand), Some(span)) = (demand.filter(|_| range.size <= HUGE_TO), span) else {
            return Some(Question::small(range));
        };
        if demand == Demand::Large && span.pages().bytes() >= PIECE {
            // The object's own pieces are decided on later. As long as there is credit, what is before and behind them
            // goes with them.
            let evidence = self.of(demand);
            let sure = evidence.trusted && evidence.credit >= range.size;
            return Some(Question { sure, ..Question::small(range) });
        }
        Some(self.ask(heap, span.base(), range, 0, demand))
    }

    /// As [`Density::question`], for the whole pieces of one large object, and `tail` bytes of the heap behind them.
    pub(super) fn question_large(
        &mut self,
        heap: &HeapPages,
        span: &Span,
        pieces: Range,
        tail: usize,
    ) -> Option<Question> {
        (!self.off).then(|| self.ask(heap, span.base(), pieces, tail, Demand::Large))
    }

    /// Forgets all evidence, since memory goes back to the OS: what comes then may be another kind of work. Returns
    /// whether any memory was ever advised to have huge pages.
    pub(super) fn forget(&mut self) -> bool {
        self.evidence = [Evidence::NONE; DEMANDS];
        self.advised
    }

    /// Takes the probes out, so that one thread looks at them; not as long as a quarter of the younger one was never
    /// taken before the pages from `taken` on.
    fn ask(&mut self, heap: &HeapPages, taken: Addr, range: Range, tail: usize, demand: Demand) -> Question {
        let probes = &mut self.of(demand).probes;
        let is_early = |probe: Range| {
            let end = probe.start.plus(probe.size);
            let before = if (probe.start..end).contains(&taken) { taken } else { end };
            let untaken = heap.released_in(probe.start, Pages(before.since(probe.start) / PAGE_SIZE)).bytes();
            untaken + end.since(before) > probe.size / 4
        };
        let probes = if probes[0].is_some_and(is_early) { [None; 2] } else { core::mem::take(probes) };
        Question { range, tail, sure: true, demand, probes }
    }

    /// Decides how many bytes at the start of the question's range get huge pages, after so many bytes at the start of
    /// its probes were seen to be dense.
    fn decide(&mut self, question: &Question, dense: [usize; 2]) -> usize {
        if question.range.size == 0 {
            self.advised |= question.sure;
            return if question.sure { question.tail } else { 0 };
        }
        let evidence = self.of(question.demand);
        evidence.learn_from(question.probes, dense);
        let huge = evidence.spend(question.range);
        self.advised |= huge > 0;
        if question.sure && huge == question.range.size { huge + question.tail } else { huge }
    }
}

impl<O: Os> Heap<O> {
    /// Has the heap neither ask how much of its memory is resident, nor for huge pages: where a filter of system calls
    /// kills a process that calls `mincore`.
    pub fn set_huge_pages(&self, on: bool) {
        self.state.lock().density.off = !on;
    }

    /// Decides on the whole pieces, from `start` to `end`, of a large object that were never touched. The heap's lock
    /// is not held.
    pub(super) fn decide_pieces(&self, span: &Span, start: Addr, end: Addr) {
        // The heap grows by whole pieces, so the one that the object ends in is the heap's to its end.
        let last = span.base().plus(span.pages().bytes()).align_up(PIECE);
        let (pieces, tail) = (Range { start, size: end.since(start) }, last.0.saturating_sub(end.0).min(PIECE));
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let question = state.density.question_large(&state.pages, span, pieces, tail);
        drop(guard);
        if let Some(question) = question {
            self.answer(&question);
        }
    }

    /// Answers a question, and advises the OS. The heap's lock is not held.
    #[cold]
    pub(super) fn answer(&self, question: &Question) {
        let dense = question.probes.map(|probe| probe.map_or(0, |probe| self.dense_bytes(probe, question.demand)));
        let huge = self.state.lock().density.decide(question, dense);
        if huge > 0 {
            // SAFETY: memory of the heap, which is never unmapped while the heap is there.
            unsafe { self.vm.huge_page(question.range.start, huge) };
        }
        let start = question.range.start.plus(huge);
        self.advise_small(Range { start, size: question.range.size + question.tail - huge });
    }

    /// Advises the OS to keep memory in small pages, against the setting `always` of transparent huge pages. The heap's
    /// lock is not held.
    pub(super) fn advise_small(&self, range: Range) {
        if range.size > 0 {
            // SAFETY: as in `answer`.
            unsafe { self.vm.no_huge_page(range.start, range.size) };
        }
    }

    /// Returns how many bytes at the start of a probe are dense. Of what spans of small objects lie in it is all or
    /// nothing.
    fn dense_bytes(&self, probe: Range, demand: Demand) -> usize {
        if demand == Demand::Small {
            return if self.is_dense(probe, SMALL_DENSE) { probe.size } else { 0 };
        }
        let mut dense = 0;
        while dense < probe.size {
            let size = PIECE.min(probe.size - dense);
            if !self.is_dense(Range { start: probe.start.plus(dense), size }, LARGE_DENSE) {
                break;
            }
            dense += size;
        }
        dense
    }

    /// Returns whether so many 32ths of a range are resident.
    fn is_dense(&self, range: Range, of_32: usize) -> bool {
        self.vm.os().resident(range.start, range.size).is_some_and(|resident| resident >= range.size / 32 * of_32)
    }

    /// Advises huge pages for what the heap grew by behind a large object of `old` bytes that ended at `behind`, if the
    /// object is dense up to there. The heap's lock is not held.
    #[cold]
    pub(super) fn advise_behind(&self, behind: Addr, old: usize, grown: Range) {
        let last = Range { start: Addr(behind.0.saturating_sub(PIECE)), size: PIECE };
        if old < PIECE || grown.size > HUGE_TO.min(2 * old) || !self.is_dense(last, LARGE_DENSE) {
            return self.advise_small(grown);
        }
        self.state.lock().density.advised = true;
        // SAFETY: as in `answer`.
        unsafe { self.vm.huge_page(grown.start, grown.size) };
    }

    /// Takes the advice back for the whole pieces of a range of free pages that was released: the next program's use of
    /// it may be a sparse one. The heap's lock is not held.
    pub(super) fn forget_advice(&self, advised: bool, base: Addr, pages: Pages) {
        let (start, end) = (base.align_up(PIECE), base.plus(pages.bytes()).align_down(PIECE));
        if advised && start < end {
            // SAFETY: the caller's pages.
            unsafe { self.vm.no_huge_page(start, end.since(start)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 2 * PIECE;

    /// Takes chunks one after the other, each touched up to `touched` bytes before the next is taken. Returns how many
    /// bytes get huge pages.
    fn run(evidence: &mut Evidence, chunks: usize, touched: usize) -> usize {
        let mut huge = 0;
        for i in 0..chunks {
            let probes = core::mem::take(&mut evidence.probes);
            let dense = probes.map(|probe| probe.map_or(0, |probe| probe.size.min(touched) / PIECE * PIECE));
            evidence.learn_from(probes, dense);
            huge += evidence.spend(Range { start: Addr(i * CHUNK), size: CHUNK });
        }
        huge
    }

    #[test]
    fn dense_memory_gets_huge_pages_but_for_a_few_probes() {
        let mut evidence = Evidence::NONE;
        let huge = run(&mut evidence, 50, CHUNK);
        assert!(huge >= 50 * CHUNK - CHUNK - 6 * PIECE, "{huge}");
        assert!(huge < 50 * CHUNK, "nothing was left to look at");
    }

    #[test]
    fn sparse_memory_gets_none() {
        let mut evidence = Evidence::NONE;
        assert_eq!(run(&mut evidence, 1000, PIECE - 1), 0);
        assert!(evidence.probes[0].is_some(), "nothing is looked at any more");
    }

    #[test]
    fn what_turns_sparse_gets_no_more_than_the_credit() {
        let mut evidence = Evidence::NONE;
        run(&mut evidence, 8, CHUNK);
        let (dense, credit) = (evidence.dense, evidence.credit);
        let huge = run(&mut evidence, 1000, 0);
        assert!(huge <= credit + CHUNK && huge <= CREDIT * dense + CHUNK, "{huge} of {credit}");
        run(&mut evidence, 4, CHUNK);
        assert!(evidence.credit > 0, "it may turn dense again");
    }

    #[test]
    fn what_is_written_late_is_looked_at_again() {
        let (mut evidence, range) = (Evidence::NONE, Range { start: Addr(CHUNK), size: CHUNK });
        evidence.spend(range);
        let probes = core::mem::take(&mut evidence.probes);
        evidence.learn_from(probes, [0, 0]);
        assert_eq!(evidence.probes, [None, Some(range)]);
        assert_eq!(evidence.spend(Range { start: Addr(2 * CHUNK), size: CHUNK }), 0);
        let probes = core::mem::take(&mut evidence.probes);
        evidence.learn_from(probes, [0, CHUNK]);
        assert_eq!(evidence.spend(Range { start: Addr(3 * CHUNK), size: CHUNK }), CHUNK);
    }

    #[test]
    fn stacks_get_none() {
        assert_eq!(Demand::of(Use::Manual(crate::span::Kind::Stack)), None);
        assert_eq!(Demand::of(Use::Large), Some(Demand::Large));
    }
}
