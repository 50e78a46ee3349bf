//! Adds everything up a second way, by walking the pages.

use super::{Heap, State, account_of};
use crate::lock::{Guard, Rank, Waits};
use crate::os::Os;
use crate::page::CHUNK_BYTES;
use crate::size_class::CLASSES;
use crate::span::{Changed, Kind, Span};
use crate::stats::{ACCOUNTS, Account};
use crate::units::PAGE_SIZE;

/// The result of a walk over every span: bytes, and counts.
#[derive(Debug)]
pub struct Walked {
    /// Bytes of spans, free pages and released pages, by account.
    pub accounts: [usize; ACCOUNTS],
    /// Bytes of small spans, by class.
    pub class_bytes: [usize; CLASSES],
    /// Objects of small spans that were returned by their owner and neither posted nor counted by its cache, by class.
    pub unposted_frees: [u64; CLASSES],
    /// Places for objects in small spans, by class.
    pub slots: [u64; CLASSES],
    /// Of these, those that were never used and those on their span's list of free objects, counted one by one.
    pub vacant: [u64; CLASSES],
    /// Bytes of large objects.
    pub large_bytes: usize,
    /// How many large objects there are.
    pub large_objects: usize,
    /// How many spans there are.
    pub spans: usize,
    /// How many span records are in use.
    pub records: usize,
    /// The first list of free objects that a program wrote to. Its objects are not counted.
    pub changed: Option<Changed>,
}

/// The page heap, held still.
pub struct Stopped<'a, O: Os> {
    heap: &'a Heap<O>,
    state: Guard<'a, O, State>,
}

impl<O: Os> Heap<O> {
    /// Takes the heap's lock, so that no span is taken or given back until the result is dropped.
    pub fn stop_all(&self) -> Stopped<'_, O> {
        Stopped { heap: self, state: self.state.lock() }
    }

    /// Calls `f` with how threads waited for each lock of the heap and the books.
    pub fn each_wait(&self, mut f: impl FnMut(Rank, Waits)) {
        f(Rank::Heap, self.state.waits());
        f(Rank::Books, self.stats.waits());
    }
}

impl<O: Os> Stopped<'_, O> {
    /// Walks every page of the heap. With `objects`, which needs that no thread allocates or frees, objects are
    /// counted too; without, those counts are zero.
    pub fn walk(&self, objects: bool) -> Walked {
        let mut w = Walked { records: self.state.spans.in_use(), ..Walked::empty() };
        self.each_span(|span| w.add(span, objects));
        let (free, released) = self.state.pages.count();
        w.accounts[Account::HeapFree as usize] = free.bytes() + self.state.releasing.bytes();
        w.accounts[Account::HeapReleased as usize] = released.bytes() + self.state.growth.limbo();
        w
    }

    /// Calls `f` for every span, by ascending address.
    pub fn each_span(&self, mut f: impl FnMut(&Span)) {
        let (mut at, end) = self.state.growth.bounds();
        while at < end {
            if !self.state.pages.is_grown(at) {
                at = at.align_down(CHUNK_BYTES).plus(CHUNK_BYTES);
                continue;
            }
            match self.heap.span_of(at).filter(|span| !span.is_dummy()) {
                Some(span) => {
                    f(span);
                    at = span.base().plus(span.pages().bytes());
                }
                None => at = at.plus(PAGE_SIZE),
            }
        }
    }

    /// Whether the page allocator's summaries, bitmaps and search address agree.
    pub fn is_valid(&self) -> bool {
        self.state.pages.is_valid()
    }
}

impl Walked {
    /// Returns the result of a walk over no spans.
    pub const fn empty() -> Walked {
        Walked {
            accounts: [0; ACCOUNTS],
            class_bytes: [0; CLASSES],
            unposted_frees: [0; CLASSES],
            slots: [0; CLASSES],
            vacant: [0; CLASSES],
            large_bytes: 0,
            large_objects: 0,
            spans: 0,
            records: 0,
            changed: None,
        }
    }

    /// Returns the count. If the program changed a list, notes that and returns the default.
    pub fn counted<T: Default>(&mut self, counted: Result<T, Changed>) -> T {
        counted.unwrap_or_else(|changed| {
            self.changed.get_or_insert(changed);
            T::default()
        })
    }

    fn add(&mut self, span: &Span, objects: bool) {
        let kind = span.kind();
        self.spans += 1;
        self.accounts[account_of(kind) as usize] += span.pages().bytes();
        if kind == Kind::Small {
            let class = span.class().index();
            self.class_bytes[class] += span.pages().bytes();
            if objects {
                // The owner's part of the record: no thread writes it now, by the caller's promise.
                self.unposted_frees[class] += u64::from(span.uncounted());
                self.slots[class] += u64::from(span.objects());
                let free = self.counted(span.count_free());
                self.vacant[class] += u64::from(span.objects().wrapping_sub(span.carved.get())) + free;
            }
        } else if matches!(kind, Kind::Large | Kind::Dead) {
            // Dead: freed, and on its way back to the heap.
            self.large_bytes += span.pages().bytes();
            self.large_objects += 1;
        }
    }
}
