//! The states of address space and their transitions. Each function makes a system call and accounts for it.
//!
//! `meta`, `heap` and the page map of `span` call it for every change of state.
//!
//! It takes no lock of its own and allocates nothing. A system call that fails moves no account.
//!
//! Invariant: the bytes of all accounts are those taken from the OS and not returned, and `mapped_ready` is
//! the number of them that are Ready.
//!
//! Two uses have no account. [`Vm::sparse_map`] and [`Vm::sparse_map_ready`] serve the page map, which is
//! demand-paged and would look like a huge overhead. [`Vm::give_up_reserved`] returns address space that was
//! reserved and is not needed.
//!
//! The stats page lists every range of addresses that is taken from the OS and not returned, also Reserved
//! ranges and those without an account.

use crate::lock::{CachePadded, Rank, held};
use crate::options::StatsPageOption;
use crate::os::{Os, OsError};
use crate::stats::{Account, Accounts, Delta};
use crate::stats_page::{Format, MappingKind, StatsPage};
use crate::units::Addr;

/// How many times an aligned reservation is retried after another thread took the range.
const ALIGN_TRIES: usize = 8;

/// Pages that were returned to the OS and are not yet accounted for.
#[must_use = "the books are wrong until this is settled"]
pub struct Unsettled {
    size: usize,
}

/// The OS of one allocator, together with its accounts.
pub struct Vm<O: Os> {
    os: O,
    accounts: Accounts,
    /// Padded against false sharing: slow paths read the time of the next reading, and the accounts change
    /// often.
    stats_page: CachePadded<StatsPage<O>>,
}

/// Returns the kind of mapping that an account of the allocator's own records has on the stats page.
fn mapping_kind(account: Account) -> MappingKind {
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
    /// Returns a `Vm` with empty accounts.
    pub const fn new(os: O) -> Vm<O> {
        Vm { os, accounts: Accounts::new(), stats_page: CachePadded::new(StatsPage::new()) }
    }

    /// Returns the OS, for calls that change no state.
    pub fn os(&self) -> &O {
        &self.os
    }

    /// Returns the accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Returns the stats page.
    #[inline(always)]
    pub fn stats_page(&self) -> &StatsPage<O> {
        &self.stats_page
    }

    /// Creates the stats page, if the OS supports one. [`Vm::account_stats_page`] accounts for it later.
    pub fn open_stats_page(&self, format: Format, wanted: StatsPageOption) {
        self.stats_page.open(&self.os, format, wanted);
    }

    /// Accounts for the stats page, which is created before the consistent statistics.
    pub fn account_stats_page(&self, delta: &mut Delta) {
        let size = self.stats_page.size(&self.os);
        self.accounts.mapped(Account::LedgerSys, size, delta);
        self.accounts.became_ready(size, delta);
    }

    /// In the child of a fork, removes the stats page from the accounts if the child has none.
    pub fn settle_stats_page(&self, delta: &mut Delta) {
        let lost = self.accounts.get(Account::LedgerSys) - self.stats_page.size(&self.os);
        if lost > 0 {
            self.accounts.no_longer_ready(lost, delta);
            self.accounts.unmapped(Account::LedgerSys, lost, delta);
        }
    }

    /// Reserves address space: None → Reserved. It has no account, since reserved address space is not
    /// memory.
    pub fn reserve(&self, at: Option<Addr>, size: usize, what: MappingKind) -> Result<Addr, OsError> {
        let addr = self.os.reserve(at, size)?;
        self.stats_page.note(&self.os, addr, size, what);
        Ok(addr)
    }

    /// Reserves address space at `at`: None → Reserved. Otherwise like [`Vm::reserve`].
    ///
    /// # Safety
    /// The caller owns a range that ends at `at`.
    pub unsafe fn reserve_behind(&self, at: Addr, size: usize, what: MappingKind) -> Result<(), OsError> {
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.reserve_behind(at, size) }?;
        self.stats_page.note(&self.os, at, size, what);
        Ok(())
    }

    /// Reserves address space aligned to `align`, a power of two: None → Reserved. Reserves a larger range to
    /// find an aligned address, gives it up and reserves the aligned part. If another thread takes that part
    /// in between, it retries a bounded number of times.
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
            // Between the two calls another thread may take the range; then the loop retries.
            match self.reserve(Some(wanted), size, what) {
                Ok(at) => return Ok(at),
                Err(OsError::Taken) => debug_assert!(below < align),
                Err(e) => return Err(e),
            }
        }
        Err(OsError::OutOfMemory)
    }

    /// Gives up address space that was reserved and is not needed: Reserved → None, without an account.
    pub fn give_up_reserved(&self, addr: Addr, size: usize) {
        self.stats_page.forget(&self.os, addr, size);
        // SAFETY: the caller reserved the range and never mapped it, so nothing is in it.
        let _ = unsafe { self.os.free(addr, size) };
    }

    /// Maps sparse memory for the page map: None → sparse, without an account.
    pub fn sparse_map(&self, size: usize) -> Result<Addr, OsError> {
        let addr = self.os.sparse(size)?;
        self.stats_page.note(&self.os, addr, size, MappingKind::PageMap);
        Ok(addr)
    }

    /// Does what [`Vm::sparse_map`] does, exactly at `at`.
    pub fn sparse_map_at(&self, at: Addr, size: usize) -> Result<(), OsError> {
        self.os.sparse_at(at, size)?;
        self.stats_page.note(&self.os, at, size, MappingKind::PageMap);
        Ok(())
    }

    /// Makes a part of the page map writable, without an account.
    ///
    /// # Safety
    /// The range lies inside one range from [`Vm::sparse_map`].
    pub unsafe fn sparse_map_ready(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.sparse_ready(addr, size) }
    }

    /// Maps a reserved range into `account`: Reserved → Prepared.
    ///
    /// # Safety
    /// The range is Reserved and the caller owns it.
    pub unsafe fn map(&self, addr: Addr, size: usize, account: Account, delta: &mut Delta) -> Result<(), OsError> {
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.map(addr, size) }?;
        self.accounts.mapped(account, size, delta);
        Ok(())
    }

    /// Makes a range usable: Prepared → Ready. Exactly `prepared` bytes of it are Prepared, the rest is
    /// Ready.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller owns it.
    pub unsafe fn used(&self, addr: Addr, size: usize, prepared: usize, delta: &mut Delta) -> Result<(), OsError> {
        debug_assert!(prepared <= size);
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.used(addr, size) }?;
        self.accounts.became_ready(prepared, delta);
        Ok(())
    }

    /// Returns the memory of a range to the OS: Ready → Prepared. The call is slow, so it is made without the
    /// page heap's lock. [`Vm::settle`] accounts for it later, under that lock.
    ///
    /// # Safety
    /// The range is Ready, the caller owns it, and its content is not needed.
    pub unsafe fn unused(&self, addr: Addr, size: usize) -> Result<Unsettled, OsError> {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.unused(addr, size) }?;
        Ok(Unsettled { size })
    }

    /// Accounts for a call of [`Vm::unused`].
    pub fn settle(&self, done: Unsettled, delta: &mut Delta) {
        self.accounts.no_longer_ready(done.size, delta);
    }

    /// Takes the memory out of a range and of `account`: Ready or Prepared → Reserved. `ready` bytes of the
    /// range were Ready. Undoes a [`Vm::map`] that could not be finished; also for debugging.
    ///
    /// # Safety
    /// The caller owns the range, and its content is not needed.
    pub unsafe fn fault(
        &self,
        addr: Addr,
        size: usize,
        ready: usize,
        account: Account,
        delta: &mut Delta,
    ) -> Result<(), OsError> {
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.fault(addr, size) }?;
        self.accounts.no_longer_ready(ready, delta);
        self.accounts.unmapped(account, size, delta);
        Ok(())
    }

    /// Unmaps a range and removes it from `account`: any state → None. `ready` bytes of the range were Ready.
    ///
    /// # Safety
    /// The caller owns the range, and its content is not needed.
    pub unsafe fn free(
        &self,
        addr: Addr,
        size: usize,
        ready: usize,
        account: Account,
        delta: &mut Delta,
    ) -> Result<(), OsError> {
        // Removed from the list first: once the range is free, another thread may map and list it.
        self.stats_page.forget(&self.os, addr, size);
        // SAFETY: the caller's promise is that of the system call.
        if let Err(e) = unsafe { self.os.free(addr, size) } {
            self.stats_page.note(&self.os, addr, size, mapping_kind(account));
            return Err(e);
        }
        self.accounts.no_longer_ready(ready, delta);
        self.accounts.unmapped(account, size, delta);
        Ok(())
    }

    /// Advises huge pages. Changes no state. A refusal by the OS is ignored.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller owns it.
    pub unsafe fn huge_page(&self, addr: Addr, size: usize) {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is that of the system call.
        let _ = unsafe { self.os.huge_page(addr, size) };
    }

    /// Withdraws the advice of [`Vm::huge_page`]. Changes no state. A refusal by the OS is ignored.
    ///
    /// # Safety
    /// The range is Prepared or Ready and the caller owns it.
    pub unsafe fn no_huge_page(&self, addr: Addr, size: usize) {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is that of the system call.
        let _ = unsafe { self.os.no_huge_page(addr, size) };
    }

    /// Makes a touch of the range fault. The range stays Ready and in its account.
    ///
    /// # Safety
    /// The range is Ready, the caller owns it, and its content is not needed.
    pub unsafe fn guard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.guard(addr, size) }
    }

    /// Undoes [`Vm::guard`].
    ///
    /// # Safety
    /// The range was guarded as a whole and the caller owns it.
    pub unsafe fn unguard(&self, addr: Addr, size: usize) -> Result<(), OsError> {
        held::assert_not_held(Rank::Heap);
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.unguard(addr, size) }
    }

    /// Moves the physical pages of one Ready range to another. Both stay Ready. After [`OsError::Lost`] the
    /// caller calls [`Vm::lose`] for `to`.
    ///
    /// # Safety
    /// Both ranges are Ready and do not overlap, the caller owns them, and the content of `to` is not needed.
    pub unsafe fn move_pages(&self, from: Addr, to: Addr, size: usize) -> Result<(), OsError> {
        // SAFETY: the caller's promise is that of the system call.
        unsafe { self.os.move_pages(from, to, size) }
    }

    /// Accounts for a range of `account` that [`Vm::move_pages`] lost. Removes it from the list of mappings,
    /// so that a later mapping of the program at that address is not taken for the allocator's.
    pub fn lose(&self, addr: Addr, size: usize, account: Account, delta: &mut Delta) {
        self.stats_page.forget(&self.os, addr, size);
        self.accounts.no_longer_ready(size, delta);
        self.accounts.unmapped(account, size, delta);
    }

    /// Maps memory that can be used at once, into `account`: None → Ready.
    pub fn alloc(&self, size: usize, account: Account, delta: &mut Delta) -> Result<Addr, OsError> {
        let addr = self.os.alloc(size)?;
        self.stats_page.note(&self.os, addr, size, mapping_kind(account));
        self.accounts.mapped(account, size, delta);
        self.accounts.became_ready(size, delta);
        Ok(addr)
    }
}
