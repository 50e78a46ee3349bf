#![allow(unsafe_code)] // Implements the unsafe trait and its unsafe verbs.

//! The verbs themselves. Each runs the hook, checks what is asked, asks the plans, and only then
//! changes anything.

use core::ops::Range;
use core::sync::atomic::{Ordering, fence};
use std::sync::PoisonError;
use std::vec::Vec;

use rustix::thread::{MembarrierCommand, membarrier};

use super::calls::{Call, Verb};
use super::states::State;
use super::{CLOCK, HALFWAY, Machine, SLICE, Sim, TICK, illegal};
use crate::os::{Os, OsError, Platform, Window};
use crate::units::{Addr, align_down, checked_align_up};

impl Platform for Sim {
    fn yield_now() {
        // Whoever waits for a stopped thread waits for as many yields, however long they take on a busy machine.
        CLOCK.fetch_add(SLICE, Ordering::Relaxed);
        std::thread::yield_now();
    }

    fn now() -> u64 {
        // Relaxed: one location never goes back for anybody who reads it by read-modify-write.
        CLOCK.fetch_add(TICK, Ordering::Relaxed) + TICK
    }

    fn halfway() {
        if let Some(hook) = HALFWAY.take() {
            hook();
        }
    }
}

// SAFETY: Ready memory is real memory of a reservation that this machine owns until it is dropped;
// ranges of different calls do not overlap since the state of each page is checked; `Host::show`
// puts fresh zero pages wherever content is lost.
unsafe impl Os for Sim {
    const SPARSE_FROM_ZERO: bool = false;
    const MOVES_CHEAPLY: bool = true;

    fn physical_page_size(&self) -> usize {
        self.shape.physical_page
    }

    fn address_bits(&self) -> u32 {
        self.shape.address_bits
    }

    fn cpus(&self) -> usize {
        self.shape.cpus
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
        // The mapping before grows, as Linux lets it.
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
        // What ends beyond the address space is not rounded, and refused for where it ends.
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

    fn register_fence(&self) -> bool {
        self.hook(Verb::RegisterFence, Addr::NULL, 0);
        // The real one: the registration holds for the process and does no harm twice.
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

    fn print(&self, text: &[u8]) {
        self.hook(Verb::Print, Addr::NULL, text.len());
        let mut machine = self.machine();
        machine.printed.extend_from_slice(text);
        machine.note(Verb::Print, Addr::NULL, text.len(), Ok(()));
    }
}

impl Sim {
    /// Every verb on a range that the caller has: checks the states and sets the new one.
    fn change(&self, verb: Verb, addr: Addr, size: usize) -> Result<(), OsError> {
        self.hook(verb, addr, size);
        let range = self.checked(verb, addr, size);
        let mut machine = self.machine();
        machine.require(verb.name(), range.clone(), verb.from());
        let room = machine.room_for(verb, &range);
        machine.answer(verb, addr, size, room)?;
        if let Some(state) = verb.to() {
            self.host().show(range.clone(), state);
            machine.states.set(range, state);
        }
        Ok(())
    }

    /// Every verb that obtains a range anywhere.
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
        let room = machine.room_for(verb, &range);
        machine.answer(verb, Addr(at), size, room)?;
        machine.cursor = range.end;
        machine.give(self, verb, range);
        Ok(Addr(at))
    }

    /// [`Os::reserve`] of a wanted place: in the window, or in the extra area, where whoever
    /// trims a reservation of the machine's choice takes it up again.
    fn reserve_at(&self, at: Addr, size: usize) -> Result<Addr, OsError> {
        self.hook(Verb::Reserve, at, size);
        let range = self.checked(Verb::Reserve, at, size);
        let border = self.extra_area().start;
        if range.start < border && border < range.end {
            illegal("reserve", &range, "the end of the window inside", "a place in the window");
        }
        let mut machine = self.machine();
        let taken = machine.states.stranger(range.clone(), Verb::Reserve.from()).is_some();
        let fits = if taken { Err(OsError::Taken) } else { machine.room_for(Verb::Reserve, &range) };
        machine.answer(Verb::Reserve, at, size, fits)?;
        machine.give(self, Verb::Reserve, range);
        Ok(at)
    }

    /// The range, if it is whole physical pages of this machine. Panics if not.
    fn checked(&self, verb: Verb, addr: Addr, size: usize) -> Range<usize> {
        self.checked_size(verb, addr.0, size);
        let range = addr.0..addr.0.saturating_add(size);
        let host = self.host();
        if range.start < host.base() || range.end > host.end() {
            illegal(verb.name(), &range, "an address outside the machine", "memory of this machine");
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

    /// Whether the limits of mappings and of Ready memory let `verb` have `range`.
    fn room_for(&self, verb: Verb, range: &Range<usize>) -> Result<(), OsError> {
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

    /// Numbers and notes a fallible call that would end with `result`, unless a plan has it fail.
    fn answer(&mut self, verb: Verb, addr: Addr, size: usize, result: Result<(), OsError>) -> Result<(), OsError> {
        let planned = self.plan.verdict(self.record.fallible + 1, verb, size);
        self.record.injected += u64::from(planned.is_some());
        let result = planned.map_or(result, Err);
        self.note(verb, addr, size, result);
        result
    }

    fn note(&mut self, verb: Verb, addr: Addr, size: usize, result: Result<(), OsError>) {
        self.record.note(Call { verb, addr, size, result });
    }

    /// Brings a range that was in None to the state that `verb` promises.
    fn give(&mut self, sim: &Sim, verb: Verb, range: Range<usize>) {
        if let Some(state) = verb.to() {
            // What is only reserved looks to the host like what nobody has.
            if state != State::Reserved {
                sim.host().show(range.clone(), state);
            }
            self.states.set(range, state);
        }
    }
}
