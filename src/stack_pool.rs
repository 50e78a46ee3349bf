//! Guarded stacks, taken from the page heap and given back to it.
//!
//! `process` takes system stacks here and hands stacks to programs. Sizes are powers of two; below each stack lies a
//! guard, a page at least, which faults at a touch. A stack is a span in manual use, guard and all, so the books have
//! it in `in_stacks`, in use or not.
//!
//! One lock, [`Rank::StackPool`], protects the lists of free stacks; it is held for a few instructions. The heap is
//! called without it, and the OS without any lock. Every call posts by the caller's writer.
//!
//! Invariant: a listed stack is guarded and not in use. Of small sizes at most a mebibyte is listed, so that taking a
//! stack and giving it back repeatedly makes no system call; of large ones none, but what the OS refuses to make
//! an ordinary page again.

use core::ptr::NonNull;

use crate::config::MAX_REQUEST;
use crate::heap::Heap;
use crate::lock::{Fork, Mutex, Rank, Waits, hold_row, let_go_row};
use crate::os::{Os, OsError};
use crate::span::{Span, SpanList};
use crate::stats::Writer;
use crate::units::{Addr, KIB, MIB, PAGE_SIZE, Pages};

/// The smallest stack, in bytes.
const LEAST: usize = PAGE_SIZE;
/// How many sizes are small: up to 256 KiB.
const SIZES: usize = 6;
/// The most bytes of small stacks that are kept: 16 system stacks.
const KEPT: usize = MIB;

const _: () = assert!(LEAST << (SIZES - 1) == 256 * KIB, "what the text says");

/// A stack: of a pool's heap, and the caller's until it is given back.
#[derive(Clone, Copy)]
pub struct Stack<'a> {
    span: &'a Span,
    guard: usize,
}

impl<'a> Stack<'a> {
    /// The lowest byte. Below it lies the guard.
    pub fn base(&self) -> Addr {
        self.span.base().plus(self.guard)
    }

    /// The address behind the last byte, where a stack that grows downward begins.
    pub fn top(&self) -> Addr {
        self.span.base().plus(self.span.pages().bytes())
    }

    /// How many bytes there are between.
    pub fn size(&self) -> usize {
        self.top().since(self.base())
    }

    /// The span that it is, guard and all.
    pub fn span(&self) -> &'a Span {
        self.span
    }
}

/// Free stacks. Protected by the pool's lock.
struct Free {
    small: [SpanList; SIZES],
    large: SpanList,
    /// Bytes of the small ones, without guards.
    bytes: usize,
}

// SAFETY: the lists and the records in them are touched under the pool's lock only.
unsafe impl Send for Free {}

impl Free {
    /// Which small size it is.
    fn small(&self, size: usize) -> Option<&SpanList> {
        self.small.get((size / LEAST).checked_ilog2()? as usize)
    }

    fn put(&mut self, stack: Stack<'_>) {
        match self.small(stack.size()) {
            Some(list) => {
                list.push(stack.span);
                self.bytes += stack.size();
            }
            None => self.large.push(stack.span),
        }
    }

    fn take(&mut self, size: usize, pages: Pages) -> Option<NonNull<Span>> {
        let Some(list) = self.small(size) else {
            let mut found = None;
            self.large.each(|span| found = found.or((span.pages() == pages).then(|| NonNull::from(span))));
            // SAFETY: a listed span is a live record.
            self.large.remove(unsafe { found?.as_ref() });
            return found;
        };
        let span = list.pop()?;
        self.bytes -= size;
        Some(span)
    }
}

/// The free stacks of one allocator. It takes no memory of its own.
pub struct StackPool<O: Os> {
    free: Mutex<O, Free>,
}

impl<O: Os> StackPool<O> {
    /// No stacks.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> StackPool<O> {
        let free = Free { small: [const { SpanList::new() }; SIZES], large: SpanList::new(), bytes: 0 };
        StackPool { free: Mutex::new(Rank::StackPool, free) }
    }

    /// Takes a stack of at least `size` bytes. What it holds is not said. For locks it waits at most `nanos` nanoseconds,
    /// or as long as it takes. An error has changed nothing. The caller owns the writer.
    pub fn take<'a>(
        &self,
        heap: &'a Heap<O>,
        writer: &Writer,
        size: usize,
        nanos: Option<u64>,
    ) -> Result<Stack<'a>, OsError> {
        let physical = heap.os().physical_page_size();
        if size > MAX_REQUEST / 2 {
            return Err(OsError::OutOfMemory);
        }
        let (size, guard) = (size.max(LEAST).max(physical).next_power_of_two(), guard(heap));
        let pages = Pages::holding(size + guard).ok_or(OsError::OutOfMemory)?;
        let listed = self.free.lock_within(nanos).ok_or(OsError::OutOfMemory)?.take(size, pages);
        if let Some(span) = listed {
            // SAFETY: a listed span is a live record, and ours from now on.
            return Ok(Stack { span: unsafe { span.as_ref() }, guard });
        }
        let span = heap.take_stack(writer, pages, guard, nanos).ok_or(OsError::OutOfMemory)?;
        // SAFETY: the span was taken above, so all of it is ours and Ready; it begins and ends with a physical page.
        unsafe {
            if let Err(e) = heap.vm().guard(span.base(), guard) {
                heap.give_back_stack(writer, span);
                return Err(e);
            }
        }
        Ok(Stack { span, guard })
    }

    /// The stack that a span is.
    ///
    /// # Safety
    /// It is a stack's that came from this pool, and the caller's.
    pub unsafe fn stack_of<'a>(&self, heap: &Heap<O>, span: &'a Span) -> Stack<'a> {
        Stack { span, guard: guard(heap) }
    }

    /// Takes a stack back. The caller owns the writer.
    ///
    /// # Safety
    /// The stack came from this pool, with this heap, and is not in use.
    pub unsafe fn give_back(&self, heap: &Heap<O>, writer: &Writer, stack: Stack<'_>) {
        let mut free = self.free.lock();
        if free.small(stack.size()).is_some() && free.bytes + stack.size() <= KEPT {
            return free.put(stack);
        }
        drop(free);
        // SAFETY: the caller's promise.
        unsafe { self.end(heap, writer, stack) };
    }

    /// Gives a stack's pages back to the heap. `false`: the guard stays, and so the stack is listed.
    ///
    /// # Safety
    /// As for [`StackPool::give_back`], and the stack is not listed.
    unsafe fn end(&self, heap: &Heap<O>, writer: &Writer, stack: Stack<'_>) -> bool {
        // SAFETY: the caller's promise; a stack is guarded.
        let done = unsafe { heap.vm().unguard(stack.span.base(), stack.guard) }.is_ok();
        if done {
            // SAFETY: as above.
            unsafe { heap.give_back_stack(writer, stack.span) };
        } else {
            self.free.lock().put(stack);
        }
        done
    }

    /// Gives every free stack's pages back to the heap, as far as the OS allows. The caller owns the writer.
    pub fn release(&self, heap: &Heap<O>, writer: &Writer) {
        let next = || {
            let mut free = self.free.lock();
            let span = match free.small.iter().find_map(SpanList::pop) {
                Some(span) => {
                    // SAFETY: a listed span is a live record.
                    free.bytes -= Stack { span: unsafe { span.as_ref() }, guard: guard(heap) }.size();
                    span
                }
                None => free.large.pop()?,
            };
            // SAFETY: as above, and it is not in use.
            Some(unsafe { self.stack_of(heap, span.as_ref()) })
        };
        while let Some(stack) = next() {
            // SAFETY: it was listed, so it is not in use.
            if !unsafe { self.end(heap, writer, stack) } {
                return;
            }
        }
    }

    /// How many free stacks are listed, and their bytes without guards. For tests.
    pub fn listed(&self) -> (usize, usize) {
        let free = self.free.lock();
        (free.small.iter().map(SpanList::len).sum::<usize>() + free.large.len(), free.bytes)
    }

    /// How threads waited for the lock.
    pub fn waits(&self) -> Waits {
        self.free.waits()
    }

    /// Whether the calling thread holds the lock.
    pub fn is_held_by_this_thread(&self) -> bool {
        self.free.is_mine()
    }

    /// Takes the lock for a fork.
    pub fn hold_for_fork(&self, fork: &Fork) {
        hold_row([&self.free], fork);
    }

    /// Releases what [`StackPool::hold_for_fork`] took.
    ///
    /// # Safety
    /// This thread, or in the child the one that forked, holds the lock by that call.
    pub unsafe fn release_after_fork(&self, fork: &Fork, child: bool) {
        // SAFETY: the caller's promise.
        unsafe { let_go_row([&self.free], fork, child) };
    }
}

/// How many bytes of guard a stack has: whole pages of both kinds. Frames that are larger may step over it; those of
/// compilers that probe the stack do not.
fn guard<O: Os>(heap: &Heap<O>) -> usize {
    heap.os().physical_page_size().max(PAGE_SIZE)
}
