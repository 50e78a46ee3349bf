//! The accounts: one atomic balance for each use of memory, changed where the bytes move.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::delta::Delta;
use super::kinds::{ACCOUNTS, Account, Total};
use super::moved::Moved;
use super::offsets::AccountOffsets;
use crate::report;
use crate::units::Addr;

/// A balance in bytes. An overflow or underflow is fatal: some movement was accounted for wrongly.
struct SysStat(AtomicUsize);

impl SysStat {
    /// Adds `n` and returns the new balance.
    fn add(&self, name: &str, n: usize) -> usize {
        let old = self.0.fetch_add(n, Ordering::Relaxed);
        if old.checked_add(n).is_none() {
            report::fatal(format_args!("crossfoot: account {name} overflows: {old} + {n}"));
        }
        old.wrapping_add(n)
    }

    fn sub(&self, name: &str, n: usize) {
        let old = self.0.fetch_sub(n, Ordering::Relaxed);
        if old < n {
            report::fatal(format_args!("crossfoot: account {name} underflows: {old} - {n}"));
        }
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// All accounts of one allocator, and the number of bytes in state Ready.
///
/// Each change takes the [`Delta`] in which it will be posted, so that the consistent statistics cannot miss it.
pub struct Accounts {
    balances: [SysStat; ACCOUNTS],
    mapped_ready: SysStat,
    /// `obtained = Σ balances`, kept for its peak.
    obtained: SysStat,
    /// The maxima of `obtained` and `mapped_ready`.
    peaks: [AtomicUsize; 2],
}

impl Accounts {
    /// Returns the addresses of the balances.
    pub fn offsets(&self) -> AccountOffsets {
        let (balances, ready) = (Addr::of(&raw const self.balances), Addr::of(&raw const self.mapped_ready));
        AccountOffsets { balances: balances.0 as u64, mapped_ready: ready.0 as u64 }
    }

    /// Returns accounts with zero balances.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Accounts {
        Accounts {
            balances: [const { SysStat(AtomicUsize::new(0)) }; ACCOUNTS],
            mapped_ready: SysStat(AtomicUsize::new(0)),
            obtained: SysStat(AtomicUsize::new(0)),
            peaks: [const { AtomicUsize::new(0) }; 2],
        }
    }

    /// Returns the balance of `account` in bytes.
    pub fn get(&self, account: Account) -> usize {
        self.balances[account as usize].get()
    }

    /// Returns the number of bytes in state Ready.
    pub fn mapped_ready(&self) -> usize {
        self.mapped_ready.get()
    }

    /// Returns the sum of all balances.
    pub fn total(&self) -> usize {
        Account::ALL.iter().map(|&a| self.get(a)).sum()
    }

    /// Returns the maximum of the sum of all balances, and the maximum of the bytes in state Ready. Both are exact:
    /// each is a single atomic, and every addition compares its result with the maximum.
    pub fn peaks(&self) -> [usize; 2] {
        self.peaks.each_ref().map(|peak| peak.load(Ordering::Relaxed))
    }

    /// Adds `n` bytes, obtained from the OS, to `account`.
    pub fn mapped(&self, account: Account, n: usize, delta: &mut Delta) {
        self.balances[account as usize].add(account.name(), n);
        let obtained = self.obtained.add("total_mapped", n);
        self.peaks[0].fetch_max(obtained, Ordering::Relaxed);
        delta.add(Total::of(account), n as isize);
        delta.add(Total::TotalMapped, n as isize);
    }

    /// Takes `n` bytes, returned to the OS, from `account`.
    pub fn unmapped(&self, account: Account, n: usize, delta: &mut Delta) {
        self.balances[account as usize].sub(account.name(), n);
        self.obtained.sub("total_mapped", n);
        delta.add(Total::of(account), -(n as isize));
        delta.add(Total::TotalMapped, -(n as isize));
    }

    /// Moves `n` bytes from one account to another.
    pub fn transfer(&self, from: Account, to: Account, n: usize, delta: &mut Delta) {
        if n == 0 {
            return;
        }
        self.balances[from as usize].sub(from.name(), n);
        self.balances[to as usize].add(to.name(), n);
        delta.add(Total::of(from), -(n as isize));
        delta.add(Total::of(to), n as isize);
    }

    /// Transfers to the accounts what a cache moved; the cache posted it before.
    ///
    /// Owner only. The caller holds the page heap's lock or is in a [`Movement`](super::Movement), so that no
    /// comparison of accounts and statistics runs meanwhile. It settles before another thread can see a span made
    /// by such a move.
    pub fn settle(&self, moved: &Moved) {
        let n = moved.take();
        let (from, to) =
            if n < 0 { (Account::HeapInUse, Account::HeapFree) } else { (Account::HeapFree, Account::HeapInUse) };
        if n != 0 {
            self.balances[from as usize].sub(from.name(), n.unsigned_abs());
            self.balances[to as usize].add(to.name(), n.unsigned_abs());
        }
    }

    /// Adds `n` bytes that became Ready. Only `vm` calls this.
    pub fn became_ready(&self, n: usize, delta: &mut Delta) {
        let ready = self.mapped_ready.add("mapped_ready", n);
        self.peaks[1].fetch_max(ready, Ordering::Relaxed);
        delta.add(Total::MappedReady, n as isize);
    }

    /// Subtracts `n` bytes that are no longer Ready. Only `vm` calls this.
    pub fn no_longer_ready(&self, n: usize, delta: &mut Delta) {
        self.mapped_ready.sub("mapped_ready", n);
        delta.add(Total::MappedReady, -(n as isize));
    }
}
