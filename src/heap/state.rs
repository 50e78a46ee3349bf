//! The state under the heap's lock, the uses of spans, and the accounting of their movements.

use super::backing::Records;
use super::bitmaps::Bitmaps;
use super::grow::Growth;
use super::huge::Density;
use crate::config::SUMMARY_LEVELS;
use crate::meta::{Charge, Fixed};
use crate::page::PageAlloc;
use crate::size_class::Class;
use crate::span::{Kind, Span};
use crate::stats::{Account, Accounts, ClassDelta, Delta, Total};
use crate::units::Pages;

/// The number of pages up to which each page of a span has an entry in the page map. A larger span is found by its first page
/// only, so that untouched address space costs nothing.
const MAPPED_PAGES: usize = 1 << 13;

/// The use of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Objects of a size class.
    Small(Class),
    /// One large object.
    Large,
    /// A span in manual use, of kind stack, work buffer or bitmap.
    Manual(Kind),
}

impl Use {
    pub(super) fn kind(self) -> Kind {
        match self {
            Use::Small(_) => Kind::Small,
            Use::Large => Kind::Large,
            Use::Manual(kind) => kind,
        }
    }

    pub(super) fn account(self) -> Account {
        account_of(self.kind())
    }
}

pub(super) fn account_of(kind: Kind) -> Account {
    match kind {
        Kind::Stack => Account::InStacks,
        Kind::WorkBuf => Account::InWorkBufs,
        Kind::Bitmap => Account::InBitmaps,
        Kind::Dead | Kind::Small | Kind::Large => Account::HeapInUse,
    }
}

/// Charges the memory of span records to its own account.
pub(super) struct OfSpans;

impl Charge for OfSpans {
    const ACCOUNT: Account = Account::SpanSys;
    const FREE: Total = Total::SpanFree;
}

/// The state under the heap's lock. In this order, so that the records of spans lie beside the lock.
#[repr(C)]
pub(super) struct State {
    pub(super) spans: Fixed<Span, OfSpans>,
    pub(super) pages: PageAlloc<SUMMARY_LEVELS>,
    pub(super) records: Records,
    pub(super) growth: Growth,
    pub(super) bitmaps: Bitmaps,
    pub(super) density: Density,
    /// The number of pages that are taken out while they are being released. They still count as free.
    pub(super) releasing: Pages,
}

impl State {
    pub(super) const fn new() -> State {
        State {
            spans: Fixed::new(),
            pages: PageAlloc::new(),
            records: Records::new(),
            growth: Growth::new(),
            bitmaps: Bitmaps::new(),
            density: Density::new(),
            releasing: Pages(0),
        }
    }
}

/// Moves free bytes that were given back to the OS to `heap_released`.
pub(super) fn became_released(accounts: &Accounts, bytes: usize, delta: &mut Delta) {
    accounts.transfer(Account::HeapFree, Account::HeapReleased, bytes, delta);
    delta.add(Total::Committed, -(bytes as isize));
    delta.add(Total::Released, bytes as isize);
}

/// Moves released bytes that are backed by memory again to the account `to`, of the heap's pages in use or free.
pub(super) fn became_used(accounts: &Accounts, to: Account, bytes: usize, delta: &mut Delta) {
    accounts.transfer(Account::HeapReleased, to, bytes, delta);
    delta.add(Total::Committed, bytes as isize);
    delta.add(Total::Released, -(bytes as isize));
}

/// Adds to `delta` that pages come into use.
pub(super) fn move_in_use(pages: Pages, what: Use, delta: &mut Delta) {
    let bytes = pages.bytes() as isize;
    match what {
        Use::Small(class) => {
            delta.add(Total::InHeap, bytes);
            delta.class(class, ClassDelta { span_bytes: bytes, slots: class.objects() as isize });
        }
        Use::Large => {
            delta.add(Total::InHeap, bytes);
            delta.add(Total::LargeAllocBytes, bytes);
            delta.add(Total::LargeAllocs, 1);
        }
        Use::Manual(_) => {}
    }
}

/// Adds to `delta` that pages go out of use.
pub(super) fn move_out_of_use(pages: Pages, what: Use, delta: &mut Delta) {
    let bytes = pages.bytes() as isize;
    match what {
        Use::Small(class) => {
            delta.add(Total::InHeap, -bytes);
            delta.class(class, ClassDelta { span_bytes: -bytes, slots: -(class.objects() as isize) });
        }
        Use::Large => {
            delta.add(Total::InHeap, -bytes);
            delta.add(Total::LargeFreeBytes, bytes);
            delta.add(Total::LargeFrees, 1);
        }
        Use::Manual(_) => {}
    }
}

/// Accounts for `n` records that come into use, or go out of use if negative.
pub(super) fn record_in_use(n: isize, delta: &mut Delta) {
    delta.add(Total::SpanInUse, n * size_of::<Span>() as isize);
    delta.add(Total::SpanFree, -n * size_of::<Span>() as isize);
}

/// Returns how many pages of a span have an entry in the page map.
pub(super) fn mapped(pages: Pages) -> Pages {
    if pages.0 <= MAPPED_PAGES { pages } else { Pages(1) }
}
