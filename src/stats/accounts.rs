//! The low-level accounts: one atomic each, moved where the bytes move.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::delta::Delta;
use super::kinds::{ACCOUNTS, Account, Total};
use super::moved::Moved;
use super::offsets::AccountOffsets;
use crate::report;
use crate::units::Addr;

/// One account's balance in bytes. An over- or underflow is fatal: the books are wrong.
struct SysStat(AtomicUsize);

impl SysStat {
    /// Adds, and returns the balance.
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

/// All accounts of one kernel, and how many bytes are Ready.
///
/// Each movement takes the [`Delta`] in which it will be posted, so that none is forgotten on the
/// other side.
pub struct Accounts {
    balances: [SysStat; ACCOUNTS],
    mapped_ready: SysStat,
    /// The sum of all balances, moved beside them, for its peak.
    obtained: SysStat,
    /// The most that `obtained` and `mapped_ready` ever were.
    peaks: [AtomicUsize; 2],
}

impl Accounts {
    /// Where they lie.
    pub fn offsets(&self) -> AccountOffsets {
        let (balances, ready) = (Addr::of(&raw const self.balances), Addr::of(&raw const self.mapped_ready));
        AccountOffsets { balances: balances.0 as u64, mapped_ready: ready.0 as u64 }
    }

    /// Empty accounts.
    #[allow(clippy::new_without_default, reason = "a const constructor is the only one wanted")]
    pub const fn new() -> Accounts {
        Accounts {
            balances: [const { SysStat(AtomicUsize::new(0)) }; ACCOUNTS],
            mapped_ready: SysStat(AtomicUsize::new(0)),
            obtained: SysStat(AtomicUsize::new(0)),
            peaks: [const { AtomicUsize::new(0) }; 2],
        }
    }

    /// The balance of `account` in bytes.
    pub fn get(&self, account: Account) -> usize {
        self.balances[account as usize].get()
    }

    /// Bytes in state Ready.
    pub fn mapped_ready(&self) -> usize {
        self.mapped_ready.get()
    }

    /// Bytes in all accounts together.
    pub fn total(&self) -> usize {
        Account::ALL.iter().map(|&a| self.get(a)).sum()
    }

    /// The most bytes that were ever in all accounts together, and the most that were in state Ready. Both are exact: each
    /// changes in one place, and every value that it had by an addition was compared.
    pub fn peaks(&self) -> [usize; 2] {
        self.peaks.each_ref().map(|peak| peak.load(Ordering::Relaxed))
    }

    /// `n` bytes came from the system into `account`.
    pub fn mapped(&self, account: Account, n: usize, delta: &mut Delta) {
        self.balances[account as usize].add(account.name(), n);
        let obtained = self.obtained.add("total_mapped", n);
        self.peaks[0].fetch_max(obtained, Ordering::Relaxed);
        delta.add(Total::of(account), n as isize);
        delta.add(Total::TotalMapped, n as isize);
    }

    /// `n` bytes went from `account` back to the system.
    pub fn unmapped(&self, account: Account, n: usize, delta: &mut Delta) {
        self.balances[account as usize].sub(account.name(), n);
        self.obtained.sub("total_mapped", n);
        delta.add(Total::of(account), -(n as isize));
        delta.add(Total::TotalMapped, -(n as isize));
    }

    /// `n` bytes changed from one account to another.
    pub fn transfer(&self, from: Account, to: Account, n: usize, delta: &mut Delta) {
        if n == 0 {
            return;
        }
        self.balances[from as usize].sub(from.name(), n);
        self.balances[to as usize].add(to.name(), n);
        delta.add(Total::of(from), -(n as isize));
        delta.add(Total::of(to), n as isize);
    }

    /// Gives the accounts what a cache moved; it was posted before. Owner only, with the page heap's lock held or in a
    /// movement, so that nobody compares in between, and before others get to see a span that was taken by such a move.
    pub fn settle(&self, moved: &Moved) {
        let n = moved.take();
        let (from, to) =
            if n < 0 { (Account::HeapInUse, Account::HeapFree) } else { (Account::HeapFree, Account::HeapInUse) };
        if n != 0 {
            self.balances[from as usize].sub(from.name(), n.unsigned_abs());
            self.balances[to as usize].add(to.name(), n.unsigned_abs());
        }
    }

    /// `n` bytes became Ready. Only `vm` calls this.
    pub fn became_ready(&self, n: usize, delta: &mut Delta) {
        let ready = self.mapped_ready.add("mapped_ready", n);
        self.peaks[1].fetch_max(ready, Ordering::Relaxed);
        delta.add(Total::MappedReady, n as isize);
    }

    /// `n` bytes ceased to be Ready. Only `vm` calls this.
    pub fn no_longer_ready(&self, n: usize, delta: &mut Delta) {
        self.mapped_ready.sub("mapped_ready", n);
        delta.add(Total::MappedReady, -(n as isize));
    }
}
