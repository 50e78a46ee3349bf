//! Stacks for programs: for coroutines, and for threads that the program starts itself.

use core::fmt;

use super::adopt::cache;
use super::instance::{ALLOCATOR, heap, own_cache};
use super::system_stacks::give_back_shared;
use crate::lock::stand_back;
use crate::os::{Linux, OsError};
use crate::stack_pool;
use crate::system_stack;

/// A stack: memory of a power of two bytes, with a guard page below it that faults when touched. Given back when dropped.
///
/// ```
/// let stack = crossfoot::process::stack::take(100_000).expect("memory");
/// assert_eq!(stack.size(), 128 << 10);
/// assert_eq!(stack.top() as usize - stack.base() as usize, stack.size());
/// ```
pub struct Stack {
    stack: stack_pool::Stack<'static>,
}

// SAFETY: a stack is memory that belongs to this value, not to a thread.
unsafe impl Send for Stack {}
// SAFETY: as above; nothing changes through a shared reference.
unsafe impl Sync for Stack {}

/// Takes a stack of at least `size` bytes, rounded up to a power of two, at least 8 KiB. The content is unspecified.
///
/// Free stacks of up to 256 KiB are kept for later calls, at most 1 MiB in all, until [`release_free`] or C's
/// `malloc_trim` is called.
///
/// [`release_free`]: super::release_free
pub fn take(size: usize) -> Result<Stack, OsError> {
    system_stack::abort_if_active("stack::take", 0);
    let cache = cache().ok_or(OsError::OutOfMemory)?;
    stand_back::<Linux>();
    let _inside = cache.enter_to_change(|| ("stack::take", 0));
    let stack = ALLOCATOR.stacks().take(heap(), cache.writer(), size, None)?;
    Ok(Stack { stack })
}

impl Stack {
    /// Returns the lowest byte's address. The guard lies below it.
    pub fn base(&self) -> *mut u8 {
        self.stack.base().ptr()
    }

    /// Returns the address behind the last byte. A stack that grows downward begins there.
    pub fn top(&self) -> *mut u8 {
        self.stack.top().ptr()
    }

    /// Returns `top - base` in bytes, a power of two.
    pub fn size(&self) -> usize {
        self.stack.size()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        system_stack::abort_if_active("stack", self.base().addr());
        stand_back::<Linux>();
        match own_cache() {
            Some(cache) => {
                let _inside = cache.enter_to_change(|| ("stack", self.base().addr()));
                // SAFETY: it came from the pool, and is not used any more.
                unsafe { ALLOCATOR.stacks().give_back(heap(), cache.writer(), self.stack) };
            }
            None => give_back_shared(self.stack, "stack"),
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("base", &self.base()).field("size", &self.size()).finish()
    }
}
