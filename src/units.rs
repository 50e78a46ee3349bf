//! Typed addresses and page counts.
//!
//! A number of bytes is a `usize`. Everything that could be confused with it has a type of its own: an
//! address, a number of allocator pages, a page number.
//!
//! Every module uses these types. This module uses no other.
//!
//! It touches no memory, takes no lock and allocates nothing.
//!
//! Invariant: arithmetic on these types does not overflow; a checked build asserts it.

/// Binary logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 13;
/// The allocator's page in bytes. It does not depend on the physical page of the CPU.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;
/// One kibibyte.
pub const KIB: usize = 1 << 10;
/// One mebibyte.
pub const MIB: usize = 1 << 20;
/// One gibibyte.
pub const GIB: usize = 1 << 30;

/// Rounds `n` up to a multiple of `align`, a power of two. Returns `None` on overflow.
#[inline]
pub const fn checked_align_up(n: usize, align: usize) -> Option<usize> {
    debug_assert!(align.is_power_of_two());
    match n.checked_add(align - 1) {
        Some(m) => Some(m & !(align - 1)),
        None => None,
    }
}

/// Rounds `n` up to a multiple of `align`, a power of two. The caller knows that it does not overflow.
#[inline]
pub const fn align_up(n: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    (n + (align - 1)) & !(align - 1)
}

/// Rounds `n` down to a multiple of `align`, a power of two.
#[inline]
pub const fn align_down(n: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    n & !(align - 1)
}

/// An address in this process.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Addr(pub usize);

impl Addr {
    /// The null address.
    pub const NULL: Addr = Addr(0);

    /// Returns the address of `ptr` and exposes its provenance, so that [`Addr::ptr`] can restore it.
    #[inline]
    pub fn of<T>(ptr: *const T) -> Addr {
        Addr(ptr.expose_provenance())
    }

    /// Returns a pointer to this address.
    #[inline]
    pub fn ptr<T>(self) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0)
    }

    /// Returns the address `bytes` above this one.
    #[inline]
    pub const fn plus(self, bytes: usize) -> Addr {
        Addr(self.0 + bytes)
    }

    /// Returns the distance in bytes from `lower` to this address.
    #[inline]
    pub const fn since(self, lower: Addr) -> usize {
        self.0 - lower.0
    }

    /// Returns whether the address is a multiple of `align`, a power of two.
    #[inline]
    pub const fn is_aligned(self, align: usize) -> bool {
        self.0 & (align - 1) == 0
    }

    /// Rounds the address up to a multiple of `align`, a power of two.
    #[inline]
    pub const fn align_up(self, align: usize) -> Addr {
        Addr(align_up(self.0, align))
    }

    /// Rounds the address down to a multiple of `align`, a power of two.
    #[inline]
    pub const fn align_down(self, align: usize) -> Addr {
        Addr(align_down(self.0, align))
    }

    /// Returns the page that contains this address.
    #[inline]
    pub const fn page(self) -> PageNumber {
        PageNumber(self.0 >> PAGE_SHIFT)
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A number of allocator pages.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Pages(pub usize);

impl Pages {
    /// Returns the number of pages that hold `bytes`. Returns `None` if the rounding overflows.
    #[inline]
    pub const fn holding(bytes: usize) -> Option<Pages> {
        match checked_align_up(bytes, PAGE_SIZE) {
            Some(b) => Some(Pages(b >> PAGE_SHIFT)),
            None => None,
        }
    }

    /// Returns the size in bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        self.0 << PAGE_SHIFT
    }
}

/// The number of a page: its address divided by [`PAGE_SIZE`].
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct PageNumber(pub usize);

impl PageNumber {
    /// Returns the address of the page's first byte.
    #[inline]
    pub const fn addr(self) -> Addr {
        Addr(self.0 << PAGE_SHIFT)
    }

    /// Returns the page `n` pages above this one.
    #[inline]
    pub const fn plus(self, n: Pages) -> PageNumber {
        PageNumber(self.0 + n.0)
    }
}
