//! Where the accounts and their writers lie.

/// Where the accounts lie: for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AccountOffsets {
    /// The address of the first balance. Each has eight bytes, in the order of [`Account::ALL`](super::Account::ALL).
    pub balances: u64,
    /// The address of how many bytes are Ready.
    pub mapped_ready: u64,
}

/// Where the writers lie: for a reader in another process, which sees by them that the process moved.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WriterOffsets {
    /// The address of the word that leads to the writer registered last; 0 there: none.
    pub first: u64,
    /// In a writer: its sequence, eight bytes. It is odd while the owner is in an entry or a movement, and changes with
    /// each.
    pub sequence: u64,
    /// In a writer: the address of the writer registered before it, eight bytes.
    pub next: u64,
    /// From a writer, wrapping: what the accounts do not have yet of what its owner moved from free to in use, eight
    /// bytes, signed.
    pub moved: u64,
}
