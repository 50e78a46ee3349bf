//! Where the accounts lie.

/// Where the accounts lie: for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AccountPlaces {
    /// The address of the first balance. Each has eight bytes, in the order of [`Account::ALL`](super::Account::ALL).
    pub balances: u64,
    /// The address of how many bytes are Ready.
    pub mapped_ready: u64,
}
