//! The four states of address space and their transitions: a call to the system and its
//! accounting, nothing else.
//!
//! `meta` and `heap` call it for every change of state; nobody else reaches the system's verbs.
//!
//! No lock, no allocation. A verb that the system refuses moves no account.
//!
//! Invariant: the bytes in all accounts are those obtained from the system and not given back, and
//! `mapped_ready` is how many of them are Ready.
//!
//! Two uses go below the accounts, each under a name of its own: [`Vm::sparse_map`] with
//! [`Vm::sparse_map_ready`], for the page map, which is demand-paged and would look like a huge
//! overhead; and [`Vm::give_up_reserved`], address space that was reserved and not wanted.
//!
//! Every range of addresses that comes from the system, and goes back, is listed on the ledger page, Reserved ones and
//! those below the accounts too.

use crate::lock::{CachePadded, Rank, held};
use crate::options::StatsPageOption;
use crate::os::{Os, OsError};
use crate::stats::{Account, Accounts, Delta};
use crate::stats_page::{Format, MappingKind, StatsPage};
use crate::units::Addr;

/// How often an aligned reservation is tried again after another thread took what was trimmed.
const ALIGN_TRIES: usize = 8;

/// Pages that went back to the system and are not yet accounted for.
#[must_use = "the books are wrong until this is settled"]
pub struct Unsettled {
    size: usize,
}

/// The system of one kernel together with its accounts.
pub struct Vm<O: Os> {
    os: O,
    accounts: Accounts,
    /// Apart, because slow paths read when they look at it again, and the accounts change.
    stats_page: CachePadded<StatsPage<O>>,
}

/// What memory in an account of the allocator's own records is for.
fn use_of(account: Account) -> MappingKind {
    match account {
        Account::SpanSys => MappingKind::Spans,
        Account::CacheSys => MappingKind::Caches,
        Account::StacksSys => MappingKind::Stacks,
        Account::ProfileBucketsSys => MappingKind::Profile,
        Account::TraceSys => MappingKind::Trace,
        Account::LedgerSys => MappingKind::StatsPage,
        Account::OtherSys => MappingKind::Tables,
        _ => MappingKind::Heap,
    }
}

impl<O: Os> Vm<O> {
    /// A system whose accounts are empty.
    pub const fn new(os: O) -> Vm<O> {
        Vm { os, accounts: Accounts::new(), stats_page: CachePadded::new(StatsPage::new()) }
    }

    /// The system, for what changes no state.
    pub fn os(&self) -> &O {
        &self.os
    }

    /// The accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The ledger page.
    #[inline(always)]
    pub fn stats_page(&self) -> &StatsPage<O> {
        &self.stats_page
    }

    /// Makes the ledger page, if the system gives one. It is accounted for by [`Vm::account_stats_page`].
    pub fn open_stats_page(&self, format: Format, wanted: StatsPageOption) {
        self.stats_page.open(&self.os, format, wanted);
    }

    /// Accounts for the ledger page, which was made before the books were.
    pub fn account_stats_page(&self, delta: &mut Delta) {
        let size = self.stats_page.size(&self.os);
        self.accounts.mapped(Account::LedgerSys, size, delta);
        self.accounts.became_ready(size, delta);
    }

    /// In the child of a fork, which may have got no page: accounts for that.
    pub fn settle_stats_page(&self, delta: &mut Delta) {
        let lost = self.accounts.get(Account::LedgerSys) - self.stats_page.size(&self.os);
        if lost > 0 {
            self.accounts.no_longer_ready(lost, delta);
            self.accounts.unmapped(Account::LedgerSys, lost, delta);
        }
    }

    /// None → Reserved. No account: reserved address space is not memory.
    pub fn reserve(&self, at: Option<Addr>, size: usize, what: MappingKind) -> Result<Addr, OsError> {
        let addr = self.os.reserve(at, size)?;
        self.stats_page.note(&self.os, addr, size, what);
        Ok(addr)
    }

    /// None → Reserved at `at`, as [`Vm::reserve`].
    ///
    /// # Safety
    /// A range that ends at `at` is the caller's.
    pub unsafe fn reserve_behind(&self, at: Addr, size: usize, what: MappingKind) -> Result<(), OsError> {
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.reserve_behind(at, size) }?;
        self.stats_page.note(&self.os, at, size, what);
        Ok(())
    }

    /// None → Reserved, aligned to `align` (a power of two): reserves more, to find a place, gives it up and reserves
    /// the aligned part of it. Where another thread takes that in between it tries again, a bounded number of times.
    pub fn reserve_aligned(&self, size: usize, align: usize, what: MappingKind) -> Result<Addr, OsError> {
        let first = self.reserve(None, size, what)?;
        if first.is_aligned(align) {
            return Ok(first);
        }
        self.give_up_reserved(first, size);
        let larger = size.checked_add(align).ok_or(OsError::OutOfMemory)?;
        for _ in 0..ALIGN_TRIES {
            let start = self.reserve(None, larger, what)?;
            let wanted = start.align_up(align);
            let below = wanted.since(start);
            self.give_up_reserved(start, larger);
            // Between the two calls another thread may take the range: then once more.
            match self.reserve(Some(wanted), size, what) {
                Ok(at) => return Ok(at),
                Err(OsError::Taken) => debug_assert!(below < align),
                Err(e) => return Err(e),
            }
        }
        Err(OsError::OutOfMemory)
    }

    /// Reserved → None without an account: address space that was reserved and not wanted.
    pub fn give_up_reserved(&self, addr: Addr, size: usize) {
        self.stats_page.forget(&self.os, addr, size);
        // SAFETY: the range was reserved by the caller and never mapped, so nothing is in it.
        let _ = unsafe { self.os.free(addr, size) };
    }

    /// None → sparse, below the accounts: for the page map only.
    pub fn sparse_map(&self, size: usize) -> Result<Addr, OsError> {
        let addr = self.os.sparse(size)?;
        self.stats_page.note(&self.os, addr, size, MappingKind::PageMap);
        Ok(addr)
    }

    /// As [`Vm::sparse_map`], exactly at `at`.
    pub fn sparse_map_at(&self, at: Addr, size: usize) -> Result<(), OsError> {
        self.os.sparse_at(at, size)?;
        self.stats_page.note(&self.os, at, size, MappingKind::PageMap);
        Ok(())
    }

    /// Makes a part of the page map writable, below the accounts.
    ///
    /// # Safety
    /// The range lies inside one range from [`Vm::sparse_map`].
    pub unsafe fn sparse_map_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.sparse_ready(addr, size) }
    }

    /// Reserved → Prepared, into `account`.
    ///
    /// # Safety
    /// The range is Reserved and the caller's.
    pub unsafe fn map(&self, addr: Addr, size: usize, account: Account, delta: &mut Delta) -> Result<(), OsError> {
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.map(addr, size) }?;
        self.accounts.mapped(account, size, delta);
        Ok(())
    }

    /// Prepared → Ready over a range of which exactly `prepared` bytes are Prepared and the rest Ready.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    pub unsafe fn used(&self, addr: Addr, size: usize, prepared: usize, delta: &mut Delta) -> Result<(), OsError> {
        debug_assert!(prepared <= size);
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.used(addr, size) }?;
        self.accounts.became_ready(prepared, delta);
        Ok(())
    }

    /// Ready → Prepared. The call is slow, so it is made without a lock; its accounting comes after,
    /// under the lock of the page heap, by [`Vm::settle`].
    ///
    /// # Safety
    /// The range is Ready, the caller's, and holds nothing that is needed.
    pub unsafe fn unused(&self, addr: Addr, size: usize) -> Result<Unsettled, OsError> {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.unused(addr, size) }?;
        Ok(Unsettled { size })
    }

    /// Accounts for a call of [`Vm::unused`].
    pub fn settle(&self, done: Unsettled, delta: &mut Delta) {
        self.accounts.no_longer_ready(done.size, delta);
    }

    /// Ready or Prepared → Reserved, out of `account`; `ready` bytes of the range were Ready. For
    /// debugging, and to undo a [`Vm::map`] that could not be finished.
    ///
    /// # Safety
    /// The range is the caller's and holds nothing that is needed.
    pub unsafe fn fault(
        &self,
        addr: Addr,
        size: usize,
        ready: usize,
        account: Account,
        delta: &mut Delta,
    ) -> Result<(), OsError> {
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.fault(addr, size) }?;
        self.accounts.no_longer_ready(ready, delta);
        self.accounts.unmapped(account, size, delta);
        Ok(())
    }

    /// Any state → None, out of `account`; `ready` bytes of the range were Ready.
    ///
    /// # Safety
    /// The range is the caller's and holds nothing that is needed.
    pub unsafe fn free(
        &self,
        addr: Addr,
        size: usize,
        ready: usize,
        account: Account,
        delta: &mut Delta,
    ) -> Result<(), OsError> {
        // Struck out first: once the range is free, another thread may get it and list it.
        self.stats_page.forget(&self.os, addr, size);
        // SAFETY: the caller's promise is the verb's.
        if let Err(e) = unsafe { self.os.free(addr, size) } {
            self.stats_page.note(&self.os, addr, size, use_of(account));
            return Err(e);
        }
        self.accounts.no_longer_ready(ready, delta);
        self.accounts.unmapped(account, size, delta);
        Ok(())
    }

    /// Advises huge pages; no change of state, and no harm if the system will not.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    pub unsafe fn huge_page(&self, addr: Addr, size: usize) {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is the verb's.
        let _ = unsafe { self.os.huge_page(addr, size) };
    }

    /// Takes [`Vm::huge_page`]'s advice back; no change of state, and no harm if the system will not.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller's.
    pub unsafe fn no_huge_page(&self, addr: Addr, size: usize) {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is the verb's.
        let _ = unsafe { self.os.no_huge_page(addr, size) };
    }

    /// Has a touch of the range fault, which stays Ready and where it is in the accounts.
    ///
    /// # Safety
    /// The range is Ready, the caller's, and holds nothing that is needed.
    pub unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.guard(addr, size) }
    }

    /// Undoes [`Vm::guard`].
    ///
    /// # Safety
    /// The range was guarded as a whole, and is the caller's.
    pub unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.unguard(addr, size) }
    }

    /// Moves physical pages from one Ready range to another; both stay Ready. After [`OsError::Lost`] the caller calls
    /// [`Vm::lose`] for `to`.
    ///
    /// # Safety
    /// Both ranges are Ready, the caller's, and do not overlap; `to` holds nothing that is needed.
    pub unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise is the verb's.
        unsafe { self.os.move_pages(from, to, size) }
    }

    /// Accounts for a range of `account` that [`Vm::move_pages`] lost. It is not listed any more, so that whatever the
    /// system puts there is not taken for ours.
    pub fn lose(&self, addr: Addr, size: usize, account: Account, delta: &mut Delta) {
        self.stats_page.forget(&self.os, addr, size);
        self.accounts.no_longer_ready(size, delta);
        self.accounts.unmapped(account, size, delta);
    }

    /// None → Ready, into `account`.
    pub fn alloc(&self, size: usize, account: Account, delta: &mut Delta) -> Result<Addr, OsError> {
        let addr = self.os.alloc(size)?;
        self.stats_page.note(&self.os, addr, size, use_of(account));
        self.accounts.mapped(account, size, delta);
        self.accounts.became_ready(size, delta);
        Ok(addr)
    }
}
