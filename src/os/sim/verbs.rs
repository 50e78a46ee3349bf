//! The verbs of the simulated OS. Each runs the hook, checks the request, applies the fault plans, and only then changes
//! anything.

use core::ops::Range;
use core::sync::atomic::{Ordering, fence};
use std::sync::PoisonError;
use std::vec::Vec;

use rustix::thread::{MembarrierCommand, membarrier};

use super::calls::{Call, Verb};
use super::states::State;
use super::{CLOCK, HALFWAY, Machine, SLICE, Sim, TICK, illegal};
use crate::os::{Fence, Identity, Memory, OsError, Platform, Sharing, Window};
use crate::units::{Addr, align_down, checked_align_up};

impl Platform for Sim {
    fn yield_now() {
        // A wait for a stopped thread takes the same number of yields on an idle and on a busy host.
        CLOCK.fetch_add(SLICE, Ordering::Relaxed);
        std::thread::yield_now();
    }

    fn now() -> u64 {
        // Relaxed is enough: atomic read-modify-writes of one location are totally ordered, so the clock is monotonic.
        CLOCK.fetch_add(TICK, Ordering::Relaxed) + TICK
    }

    fn halfway() {
        if let Some(hook) = HALFWAY.take() {
            hook();
        }
    }
}

// SAFETY: Ready memory is real memory of a reservation that this value owns until it is dropped; ranges of different calls
// do not overlap, since the state of each page is checked; `Host::show` maps fresh zero pages where content is discarded.
unsafe impl Memory for Sim {
    const SPARSE_FROM_ZERO: bool = false;
    const MOVES_CHEAPLY: bool = true;

    fn physical_page_size(&self) -> usize {
        self.shape.physical_page
    }

    fn window(&self) -> Window {
        self.place()
    }

    fn reserve(&self, at: Option<Addr>, size: usize) -> Result<Addr, OsError> {
        match at {
            None => self.obtain(Verb::Reserve, size),
            Some(at) => self.reserve_at(at, size),
        }
    }

    unsafe fn reserve_behind(&self, at: Addr, size: usize) -> Result<(), OsError> {
        // The mapping before grows, as on Linux.
        let limit = core::mem::replace(&mut self.machine().mapping_limit, usize::MAX);
        let done = self.reserve_at(at, size);
        self.machine().mapping_limit = limit;
        done.map(|_| ())
    }

    fn alloc(&self, size: usize) -> Result<Addr, OsError> {
        self.obtain(Verb::Alloc, size)
    }

    unsafe fn map(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Map, addr, size)
    }

    unsafe fn used(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Used, addr, size)
    }

    unsafe fn unused(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Unused, addr, size)
    }

    unsafe fn fault(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Fault, addr, size)
    }

    unsafe fn free(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Free, addr, size)
    }

    unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Guard, addr, size)
    }

    unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Unguard, addr, size)
    }

    unsafe fn huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::HugePage, addr, size)
    }

    unsafe fn no_huge_page(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::NoHugePage, addr, size)
    }

    unsafe fn collapse(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        self.change(Verb::Collapse, addr, size)
    }

    fn sparse(&self, size: usize) -> Result<Addr, OsError> {
        self.obtain(Verb::Sparse, size)
    }

    unsafe fn sparse_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        let page = self.shape.physical_page;
        let start = align_down(addr.0, page);
        // A range that ends beyond the address space is not rounded, so that it is refused with its own end.
        let end = addr.0.checked_add(size).and_then(|end| checked_align_up(end, page));
        self.change(Verb::SparseReady, Addr(start), end.map_or(size, |end| end - start))
    }

    unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        self.hook(Verb::MovePages, from, size);
        let source = self.checked(Verb::MovePages, from, size);
        let target = self.checked(Verb::MovePages, to, size);
        if source.start < target.end && target.start < source.end {
            illegal("move_pages", &source, "a target that overlaps", "two ranges apart");
        }
        let mut machine = self.machine();
        machine.require("move_pages", source.clone(), Verb::MovePages.from());
        machine.require("move_pages", target.clone(), Verb::MovePages.from());
        let answer = machine.answer(Verb::MovePages, from, size, Ok(()));
        match answer {
            Ok(()) => self.host().carry(source, target),
            Err(OsError::Lost) => {
                self.host().show(target.clone(), State::None);
                machine.states.set(target, State::None);
            }
            Err(_) => {}
        }
        answer
    }
}

impl Sharing for Sim {}

impl Fence for Sim {
    fn register_fence(&self) -> bool {
        self.hook(Verb::RegisterFence, Addr::NULL, 0);
        // The real call: the registration is the process's, and repeating it is harmless.
        let works = self.shape.has_fence && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
        self.fence_registered.store(works, Ordering::Release);
        self.machine().note(Verb::RegisterFence, Addr::NULL, 0, Ok(()));
        works
    }

    fn fence_all(&self) -> bool {
        self.hook(Verb::FenceAll, Addr::NULL, 0);
        if !self.fence_registered.load(Ordering::Acquire) {
            illegal("fence_all", &(0..0), "no fence registered", "a register_fence that said true");
        }
        fence(Ordering::SeqCst);
        let reached = !self.fence_refused.load(Ordering::Acquire);
        if reached {
            membarrier(MembarrierCommand::PrivateExpedited).expect("sim: a registered fence works");
        }
        self.machine().note(Verb::FenceAll, Addr::NULL, 0, if reached { Ok(()) } else { Err(OsError::Unsupported) });
        reached
    }
}

impl Identity for Sim {
    fn print(&self, text: &[u8]) {
        self.hook(Verb::Print, Addr::NULL, text.len());
        let mut machine = self.machine();
        machine.printed.extend_from_slice(text);
        machine.note(Verb::Print, Addr::NULL, text.len(), Ok(()));
    }
}

impl Sim {
    /// Executes a verb on a range of the caller's: checks the states and sets the new one.
    fn change(&self, verb: Verb, addr: Addr, size: usize) -> Result<(), OsError> {
        self.hook(verb, addr, size);
        let range = self.checked(verb, addr, size);
        let mut machine = self.machine();
        machine.require(verb.name(), range.clone(), verb.from());
        let within = machine.within_limits(verb, &range);
        machine.answer(verb, addr, size, within)?;
        if let Some(state) = verb.to() {
            self.host().show(range.clone(), state);
            machine.states.set(range, state);
        }
        Ok(())
    }

    /// Executes a verb that obtains a range anywhere.
    fn obtain(&self, verb: Verb, size: usize) -> Result<Addr, OsError> {
        self.hook(verb, Addr::NULL, size);
        self.checked_size(verb, 0, size);
        let mut machine = self.machine();
        let area = self.extra_area();
        let gap = self.shape.physical_page;
        let from = machine.cursor.clamp(area.start, area.end);
        let hole = machine.states.hole(from..area.end, size, gap);
        let Some(at) = hole.or_else(|| machine.states.hole(area, size, gap)) else {
            machine.answer(verb, Addr::NULL, size, Err(OsError::OutOfMemory))?;
            return Err(OsError::OutOfMemory);
        };
        let range = at..at + size;
        let within = machine.within_limits(verb, &range);
        machine.answer(verb, Addr(at), size, within)?;
        machine.cursor = range.end;
        machine.give(self, verb, range);
        Ok(Addr(at))
    }

    /// Executes [`Memory::reserve`] at a wanted address: in the window, or in the extra area, where a caller that trimmed a
    /// reservation extends it again.
    fn reserve_at(&self, at: Addr, size: usize) -> Result<Addr, OsError> {
        self.hook(Verb::Reserve, at, size);
        let range = self.checked(Verb::Reserve, at, size);
        let border = self.extra_area().start;
        if range.start < border && border < range.end {
            illegal("reserve", &range, "the end of the window inside", "a place in the window");
        }
        let mut machine = self.machine();
        let taken = machine.states.stranger(range.clone(), Verb::Reserve.from()).is_some();
        let fits = if taken { Err(OsError::Taken) } else { machine.within_limits(Verb::Reserve, &range) };
        machine.answer(Verb::Reserve, at, size, fits)?;
        machine.give(self, Verb::Reserve, range);
        Ok(at)
    }

    /// Returns the range. Panics unless it is whole physical pages of this simulated OS.
    fn checked(&self, verb: Verb, addr: Addr, size: usize) -> Range<usize> {
        self.checked_size(verb, addr.0, size);
        let range = addr.0..addr.0.saturating_add(size);
        let host = self.host();
        if range.start < host.base() || range.end > host.end() {
            illegal(verb.name(), &range, "an address outside the simulated OS", "memory of this simulated OS");
        }
        range
    }

    /// Panics unless address and size are multiples of the physical page, and the size not zero.
    fn checked_size(&self, verb: Verb, addr: usize, size: usize) {
        let page = self.shape.physical_page;
        let range = addr..addr.saturating_add(size);
        if size == 0 {
            illegal(verb.name(), &range, "an empty range", "at least one page");
        }
        if !(addr | size).is_multiple_of(page) {
            let required = std::format!("multiples of {page}");
            illegal(verb.name(), &range, "address or size off the physical page", &required);
        }
    }

    /// Runs the hook, if there is one, with no lock held.
    fn hook(&self, verb: Verb, addr: Addr, size: usize) {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(verb, addr, size);
        }
    }
}

impl Machine {
    /// Panics unless every byte of `range` is in one of `allowed`.
    pub(super) fn require(&self, verb: &str, range: Range<usize>, allowed: &[State]) {
        if let Some(found) = self.states.stranger(range.clone(), allowed) {
            let required = allowed.iter().map(|s| std::format!("{s}")).collect::<Vec<_>>().join(" or ");
            let (at, state) = (found.range, found.state);
            let at = std::format!("{state} at [{:#x}, {:#x})", at.start, at.end);
            illegal(verb, &range, &at, &required);
        }
    }

    /// Returns an error if `verb` on `range` would exceed a limit, of mappings or of Ready memory.
    fn within_limits(&self, verb: Verb, range: &Range<usize>) -> Result<(), OsError> {
        if let (true, Some(state)) = (self.mapping_limit != usize::MAX, verb.to()) {
            let mut after = self.states.clone();
            after.set(range.clone(), state);
            if after.mappings() > self.mapping_limit.max(self.states.mappings()) {
                return Err(OsError::OutOfMemory);
            }
        }
        if verb.to() != Some(State::Ready) {
            return Ok(());
        }
        let ready = |state| self.states.bytes_in(range.clone(), state);
        let grows = range.len() - ready(State::Ready) - ready(State::Guarded);
        let all = self.states.total(State::Ready) + self.states.total(State::Guarded);
        match all.checked_add(grows) {
            Some(ready) if grows == 0 || ready <= self.ready_limit => Ok(()),
            _ => Err(OsError::OutOfMemory),
        }
    }

    /// Counts and records a fallible call with `result`, or with the error of a plan that makes it fail.
    fn answer(&mut self, verb: Verb, addr: Addr, size: usize, result: Result<(), OsError>) -> Result<(), OsError> {
        let planned = self.plan.verdict(self.record.fallible + 1, verb, size);
        self.record.injected += u64::from(planned.is_some());
        let result = planned.map_or(result, Err);
        self.note(verb, addr, size, result);
        result
    }

    /// Records a call.
    fn note(&mut self, verb: Verb, addr: Addr, size: usize, result: Result<(), OsError>) {
        self.record.note(Call { verb, addr, size, result });
    }

    /// Changes a range from None to the target state of `verb`.
    fn give(&mut self, sim: &Sim, verb: Verb, range: Range<usize>) {
        if let Some(state) = verb.to() {
            // On the host, Reserved and None have the same protection.
            if state != State::Reserved {
                sim.host().show(range.clone(), state);
            }
            self.states.set(range, state);
        }
    }
}
