//! Reading structures of another process: bounds, fields and lists.

/// The maximum supported size of a span record, in bytes.
pub(super) const RECORD: usize = 256;
/// The maximum supported size of a chunk's bitmaps, in bytes.
pub(super) const CHUNK: usize = 256;
/// The maximum number of links between caches and between batches that are followed, in all.
pub(super) const MANY: u32 = 1 << 22;

/// Detects a cycle in a list: remembers one earlier position.
#[derive(Default)]
pub(super) struct CycleGuard {
    steps: u64,
    mark: u64,
}

impl CycleGuard {
    /// Returns whether `at`, which is not 0, differs from the remembered position. The position is from the latter half
    /// of the steps so far, so a walk in a cycle reaches it.
    pub(super) fn is_new(&mut self, at: u64) -> bool {
        if at == self.mark {
            return false;
        }
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.mark = at;
        }
        true
    }
}

/// Returns a field of `N` bytes at `offset`, or 0 if it is outside the record.
pub(super) fn field<const N: usize>(record: &[u8], offset: u64) -> u64 {
    let at = offset as usize;
    let mut bytes = [0; 8];
    if let (Some(from), Some(to)) = (record.get(at..at.saturating_add(N)), bytes.get_mut(..N)) {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(bytes)
}
