//! Reads the metrics of one allocator.

use super::Allocator;
use crate::cache::Cache;
use crate::lock::{Guard, Rank};
use crate::mem_stats;
use crate::metrics::{Aggregate, Aggregates, OsFigures, Peaks, Reading, Sample, wanted};
use crate::os::Os;
use crate::stats::Answer;

/// The right to read metrics, for as long as it lives: the metrics lock is held.
pub struct Metrics<'a, O: Os> {
    allocator: &'a Allocator<O>,
    reading: Guard<'a, O, Reading>,
    pid: fn() -> i32,
}

impl<O: Os> Allocator<O> {
    /// Takes the metrics lock, for which it may wait for another reader; `pid` says which process this is. `None` before
    /// start-up. `cache` is the calling thread's, if it has one: what it has not posted yet is posted first.
    pub fn metrics(&self, cache: Option<&Cache>, pid: fn() -> i32) -> Option<Metrics<'_, O>> {
        let (heap, _) = self.started()?;
        let reading = self.metrics.lock();
        if let Some(cache) = cache {
            cache.post_all(heap);
        }
        Some(Metrics { allocator: self, reading, pid })
    }

    /// Keeps what an audit learnt from the OS, for readers of metrics. Takes the metrics lock.
    pub fn note_os_figures(&self, figures: &OsFigures) {
        let _one_at_a_time = self.metrics.lock();
        let taken_at = figures.taken_at.max(1);
        self.figures.set(&OsFigures { taken_at, ..*figures });
    }

    /// Fills in what is `wanted`, and says that `out` has nothing else. Returns how the snapshot was answered, where it is
    /// wanted.
    ///
    /// [`Aggregates::FREE`] takes no lock and looks at no more on a large heap. `pid` is the process's number.
    pub fn fill_reading(&self, wanted: Aggregates, pid: fn() -> i32, out: &mut Reading) -> Option<Answer> {
        let (heap, _) = self.started()?;
        let mut answer = Answer::Complete;
        if wanted.has(Aggregate::ConsistentStats) {
            answer = mem_stats::snapshot(heap, &mut out.snapshot);
        }
        out.begin(O::now());
        if wanted.has(Aggregate::ConsistentStats) {
            out.note_books(answer);
        }
        self.fill_beside(wanted, pid, out);
        if wanted.has(Aggregate::Chunks) {
            out.chunks = heap.chunks();
            out.note(Aggregate::Chunks);
        }
        Some(answer)
    }

    /// As [`Allocator::fill_reading`], with a snapshot that is in `out` already and was answered so; no other is taken.
    pub fn fill_around(&self, wanted: Aggregates, answer: Answer, pid: fn() -> i32, out: &mut Reading) {
        self.fill_reading(wanted.without(Aggregate::ConsistentStats), pid, out);
        out.note_books(answer);
    }

    /// As [`Allocator::fill_around`], with a snapshot that was taken at this time, in the process of this number: for the
    /// stats page, whose writer waits for no lock and takes no longer on a large heap.
    pub(super) fn fill_for_others(&self, taken: u64, pid: i32, out: &mut Reading) {
        out.begin(taken);
        out.note_books(Answer::Complete);
        self.fill_beside(Aggregates::FREE.without(Aggregate::Process), || 0, out);
        out.pid = pid.unsigned_abs().into();
        out.note(Aggregate::Process);
    }

    /// Fills in what needs no lock.
    #[inline(never)]
    fn fill_beside(&self, wanted: Aggregates, pid: fn() -> i32, out: &mut Reading) {
        out.stale = self.stats().stale_reads();
        if wanted.has(Aggregate::Caches) {
            let (idle, made) = self.caches.idle_and_made();
            (out.idle, out.caches) = (idle as u64, made as u64);
            out.note(Aggregate::Caches);
        }
        if wanted.has(Aggregate::Locks) {
            out.locks = Default::default();
            out.note_lock(Rank::Boot, self.tried.waits());
            out.note_lock(Rank::Sysmon, self.sysmon.waits());
            out.note_lock(Rank::Trace, self.trace.waits());
            out.note_lock(Rank::Metrics, self.metrics.waits());
            let (readings, mappings) = self.stats_page().waits();
            out.note_lock(Rank::Ledger, readings);
            out.note_lock(Rank::Mappings, mappings);
            out.note_lock(Rank::StackPool, self.stacks.waits());
            self.caches.each_wait(|rank, waits| out.note_lock(rank, waits));
            self.central.each_wait(|rank, waits| out.note_lock(rank, waits));
            self.heap.each_wait(|rank, waits| out.note_lock(rank, waits));
            out.note(Aggregate::Locks);
        }
        if wanted.has(Aggregate::Calls)
            && let Some(calls) = self.os().calls()
        {
            out.calls = calls;
            out.note(Aggregate::Calls);
        }
        if wanted.has(Aggregate::Peaks) {
            // After the snapshot: no figure in it is above its peak.
            let [total, ready] = self.heap.accounts().peaks();
            out.peaks = Peaks { total: total as u64, ready: ready as u64 };
            out.note(Aggregate::Peaks);
        }
        if wanted.has(Aggregate::System)
            && let Some(figures) = self.figures.get()
        {
            out.os = figures;
            out.note(Aggregate::System);
        }
        if wanted.has(Aggregate::Process) {
            out.pid = pid().unsigned_abs().into();
            out.note(Aggregate::Process);
        }
    }
}

impl<O: Os> Metrics<'_, O> {
    /// The locked part of reading: reads what these samples are computed from, and nothing else, and computes them.
    /// Allocates nothing; samples that were never prepared are absent. Needs a kibibyte of stack.
    pub fn read_locked(&mut self, samples: &mut [Sample<'_>]) -> Answer {
        let answer = self.fill(wanted(samples));
        samples.iter_mut().for_each(|sample| sample.take(&self.reading));
        answer
    }

    /// Reads what is wanted, and hands it to `f`.
    pub fn with<R>(&mut self, wanted: Aggregates, f: impl FnOnce(&Reading) -> R) -> (Answer, R) {
        let answer = self.fill(wanted);
        (answer, f(&self.reading))
    }

    fn fill(&mut self, wanted: Aggregates) -> Answer {
        // The allocator has started, so this exists.
        let answer = self.allocator.fill_reading(wanted, self.pid, &mut self.reading).unwrap_or(Answer::Unavailable);
        if wanted.has(Aggregate::ConsistentStats) {
            self.allocator.leave_reading();
        }
        answer
    }
}
