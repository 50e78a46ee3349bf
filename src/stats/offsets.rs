//! The addresses of the accounts and of the writers.

/// The addresses of the accounts, for a reader in another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AccountOffsets {
    /// The address of the first balance. Each has eight bytes, in the order of
    /// [`Account::ALL`](super::Account::ALL).
    pub balances: u64,
    /// The address of the number of bytes in state Ready.
    pub mapped_ready: u64,
}

/// The addresses of the writers, for a reader in another process. It uses them to detect that the process moved
/// memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WriterOffsets {
    /// The address of the pointer to the writer registered last; it is 0 if there is no writer.
    pub first: u64,
    /// The offset in a writer of its sequence, eight bytes. The sequence is odd while the owner is in an entry or a
    /// movement, and changes with each.
    pub sequence: u64,
    /// The offset in a writer of the address of the writer registered before it, eight bytes.
    pub next: u64,
    /// The distance from a writer, wrapping, to the bytes that its owner moved from free to in use and that the
    /// accounts do not contain yet: eight bytes, signed.
    pub moved: u64,
}
