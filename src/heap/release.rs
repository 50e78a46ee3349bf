//! Gives free pages back to the OS.

use super::Heap;
use super::state::became_released;
use crate::os::Os;
use crate::page::{Release, ReleaseShape};
use crate::stats::{Account, Delta, Writer};
use crate::units::{KIB, MIB, PAGE_SIZE, Pages};

/// How many bytes of free pages stay backed by memory when a thread ends, however few are in use.
const KEPT_AT_END: usize = 32 * MIB;
/// Or this part of the bytes in use, if that is more.
const KEPT_PART: usize = 8;
/// And how many bytes more for each cache that a thread has, since its local pages count as free.
const KEPT_OF_CACHE: usize = 512 * KIB;

impl<O: Os> Heap<O> {
    /// Releases free pages if an exiting thread leaves many; no other thread would. `threads` is the number of other threads.
    /// Keeps at most half of the limit, so that the next exiting threads find nothing to do.
    ///
    /// As [`Heap::release`].
    pub fn release_at_end(&self, writer: &Writer, threads: usize) {
        let [free, used] = [Account::HeapFree, Account::HeapInUse].map(|account| self.vm.accounts().get(account));
        let local = threads.saturating_mul(KEPT_OF_CACHE);
        let keep = KEPT_AT_END.max(used / KEPT_PART);
        if free > keep.saturating_add(local) {
            self.release(writer, Pages((free - local - keep / 2) / PAGE_SIZE));
        }
    }

    /// Releases up to `wanted` free pages, highest addresses first, and returns how many.
    ///
    /// The run being released is taken out under the heap's lock, released without it, and put back.
    /// The caller holds no lock that comes after the heap's.
    pub fn release(&self, writer: &Writer, wanted: Pages) -> Pages {
        let physical = Pages((self.vm.os().physical_page_size() / PAGE_SIZE).max(1));
        let mut done = Pages(0);
        while done.0 < wanted.0 {
            let mut guard = self.state.lock();
            let shape = ReleaseShape { at_most: Pages(wanted.0 - done.0), unit: physical, huge: Pages(0) };
            let (base, pages) = match guard.pages.take_for_release(shape) {
                Release::Run(base, pages) => (base, pages),
                Release::Again => continue,
                Release::Nothing => break,
            };
            guard.releasing.0 += pages.0;
            let advised = guard.density.forget();
            drop(guard);
            // SAFETY: the pages are free, Ready, and taken out, so that no other thread gets them.
            let result = unsafe { self.vm.unused(base, pages.bytes()) };
            self.forget_advice(advised, base, pages);
            let mut delta = Delta::new();
            let mut guard = self.state.lock();
            guard.releasing.0 -= pages.0;
            let Ok(unsettled) = result else {
                guard.pages.free(base, pages);
                break;
            };
            self.vm.settle(unsettled, &mut delta);
            became_released(self.vm.accounts(), pages.bytes(), &mut delta);
            guard.pages.give_back_released(base, pages);
            self.stats.post(writer, &delta);
            done.0 += pages.0;
        }
        done
    }
}
