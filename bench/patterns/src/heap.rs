//! The C allocation functions, and blocks that notice when they are damaged.
//!
//! Everything goes through the plain C names, so that the dynamic linker
//! decides which allocator is measured. A [`Block`] keeps its size and a serial
//! number in its first eight bytes and repeats a part of it in its last byte;
//! [`Books`] adds up what was written at birth and what was read at death.
//! Blocks that overlap, move without their contents or get lost show up as a
//! difference of the two sums, at the price of two stores and two loads per
//! block, which is what a program does with its memory at the very least.

use std::{
    arch::asm,
    ffi::{c_int, c_void},
    process,
    ptr::NonNull,
};

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn free(address: *mut c_void);
    fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int;
}

/// The smallest block: its header fills it.
pub const SMALLEST: usize = 8;

/// Bytes between two touches of a large block: the page size of most machines.
const PAGE: usize = 4096;

/// Ends the run: the allocator under test is broken, its times mean nothing.
#[cold]
pub fn fail(what: &str) -> ! {
    eprintln!("patterns: {what}");
    process::exit(1);
}

/// Ends the run with `what` unless `holds`.
pub fn demand(holds: bool, what: &str) {
    if !holds {
        fail(what);
    }
}

/// Tells the compiler that somebody else may look at the memory behind
/// `address`, so that neither the stores nor the allocation are optimised away.
#[inline(always)]
fn escape(address: NonNull<u8>) {
    // SAFETY: an empty instruction sequence does nothing at all.
    unsafe { asm!("/* {0} */", in(reg) address.as_ptr(), options(nostack, preserves_flags)) };
}

/// One live allocation of at least [`SMALLEST`] bytes.
#[derive(Debug)]
pub struct Block(NonNull<u8>);

// SAFETY: a block is owned memory; the C functions may be called on any thread.
unsafe impl Send for Block {}

impl Block {
    /// The eight bytes at the start: serial number above, size below.
    #[inline(always)]
    fn header(&self) -> u64 {
        // SAFETY: every block is live, has a header and is aligned for it.
        unsafe { self.0.cast::<u64>().read() }
    }

    /// The size that was asked for.
    #[inline(always)]
    pub fn size(&self) -> usize {
        (self.header() & u64::from(u32::MAX)) as usize
    }

    /// Writes the header and the last byte.
    #[inline(always)]
    fn sign(&self, header: u64) {
        let size = (header & u64::from(u32::MAX)) as usize;
        // SAFETY: the block has `size` bytes, at least eight, and is aligned.
        unsafe {
            self.0.cast::<u64>().write(header);
            if size > SMALLEST {
                self.0.add(size - 1).write((header >> 32) as u8);
            }
        }
        escape(self.0);
    }

    /// Reads the header back and compares the last byte with it.
    #[inline(always)]
    fn verify(&self) -> u64 {
        let header = self.header();
        let size = (header & u64::from(u32::MAX)) as usize;
        if size > SMALLEST {
            // SAFETY: a live block has `size` bytes, unless its header was
            // overwritten, which is the defect that is being looked for.
            let last = unsafe { self.0.add(size - 1).read() };
            if last != (header >> 32) as u8 {
                fail("the contents of a block changed");
            }
        }
        header
    }

    /// Where the block is, for patterns that share or compare addresses.
    pub fn address(&self) -> NonNull<u8> {
        self.0
    }

    /// Writes every byte between the header and the last byte.
    #[inline]
    pub fn fill(&self) {
        let size = self.size();
        if size > SMALLEST + 1 {
            // SAFETY: the range lies inside the block, which is ours alone.
            unsafe { self.0.add(SMALLEST).write_bytes(size as u8, size - SMALLEST - 1) };
            escape(self.0);
        }
    }

    /// Touches the block once per page, as the first pass over new memory does.
    pub fn touch_pages(&self) {
        let mut offset = PAGE;
        while offset + 1 < self.size() {
            // SAFETY: `offset` is inside the block, behind the header and
            // before the last byte.
            unsafe { self.0.add(offset).write(offset as u8) };
            offset += PAGE;
        }
        escape(self.0);
    }
}

/// What one thread allocated and freed; the sums of all threads must agree.
#[derive(Debug)]
pub struct Books {
    serial: u32,
    born: u64,
    died: u64,
    live: i64,
}

impl Books {
    /// Books of thread number `thread`, whose serial numbers start apart from
    /// those of other threads.
    pub fn new(thread: usize) -> Self {
        let serial = (thread as u32).wrapping_mul(0x9E37_79B9);
        Books { serial, born: 0, died: 0, live: 0 }
    }

    /// Adds the books of another thread to these.
    pub fn merge(&mut self, other: &Books) {
        self.born = self.born.wrapping_add(other.born);
        self.died = self.died.wrapping_add(other.died);
        self.live += other.live;
    }

    /// Ends the run unless every block that was born has died unharmed.
    pub fn close(&self) {
        demand(self.live == 0, "blocks were lost");
        demand(self.born == self.died, "blocks came back with other contents");
    }

    /// Enters a fresh allocation, or ends the run if there was no memory.
    #[inline(always)]
    fn enter(&mut self, address: *mut c_void, size: usize) -> Block {
        let Some(address) = NonNull::new(address.cast::<u8>()) else {
            fail("out of memory");
        };
        self.serial = self.serial.wrapping_add(1);
        let header = u64::from(self.serial) << 32 | size as u64;
        self.born = self.born.wrapping_add(header);
        self.live += 1;
        let block = Block(address);
        block.sign(header);
        block
    }

    /// Takes a block out of the books, without freeing it.
    #[inline(always)]
    fn strike(&mut self, block: &Block) {
        self.died = self.died.wrapping_add(block.verify());
        self.live -= 1;
    }

    /// `malloc`.
    #[inline(always)]
    pub fn take(&mut self, size: usize) -> Block {
        let size = size.max(SMALLEST);
        // SAFETY: any size may be asked for.
        let address = unsafe { malloc(size) };
        self.enter(address, size)
    }

    /// `calloc`; demands zeros in every word that is at a multiple of `stride`.
    pub fn take_zeroed(&mut self, size: usize, stride: usize) -> Block {
        let size = size.max(SMALLEST);
        // SAFETY: any size may be asked for.
        let address = unsafe { calloc(1, size) };
        let mut offset = 0;
        while !address.is_null() && offset + 8 <= size {
            // SAFETY: the word lies inside the block; calloc initialised it.
            let word = unsafe { address.cast::<u8>().add(offset).cast::<u64>().read() };
            demand(word == 0, "calloc returned memory that is not zero");
            offset += stride;
        }
        self.enter(address, size)
    }

    /// `posix_memalign`.
    pub fn take_aligned(&mut self, alignment: usize, size: usize) -> Block {
        let size = size.max(SMALLEST);
        let mut address = std::ptr::null_mut();
        // SAFETY: the out pointer is valid; alignments are powers of two ≥ 8.
        let code = unsafe { posix_memalign(&raw mut address, alignment, size) };
        demand(code == 0, "posix_memalign failed");
        demand(address.addr().is_multiple_of(alignment), "posix_memalign misaligned");
        self.enter(address, size)
    }

    /// `realloc`; the header and, when growing, the last byte must survive.
    pub fn resize(&mut self, block: Block, size: usize) -> Block {
        let size = size.max(SMALLEST);
        let before = block.size();
        self.strike(&block);
        let header = block.header();
        // SAFETY: the block is live and is given up here.
        let address = unsafe { realloc(block.0.as_ptr().cast(), size) };
        let Some(moved) = NonNull::new(address.cast::<u8>()) else {
            fail("out of memory");
        };
        let moved = Block(moved);
        demand(moved.header() == header, "realloc lost the contents");
        if size >= before {
            moved.verify();
        }
        self.enter(address, size)
    }

    /// `free`.
    #[inline(always)]
    pub fn give(&mut self, block: Block) {
        self.strike(&block);
        // SAFETY: the block is live and is given up here.
        unsafe { free(block.0.as_ptr().cast()) };
    }

    /// Frees with the size, through the function that [`sized_free`] found.
    #[inline(always)]
    pub fn give_sized(&mut self, block: Block, release: SizedFree) {
        let size = block.size();
        self.strike(&block);
        // SAFETY: the block is live, has this size, and is given up here.
        unsafe { release(block.0.as_ptr().cast(), size) };
    }
}

/// C23's `free_sized`.
pub type SizedFree = unsafe extern "C" fn(*mut c_void, usize);

/// Stands in for `free_sized` where the allocator does not have it, as a
/// program that wants to run everywhere would do.
unsafe extern "C" fn free_ignoring_size(address: *mut c_void, _size: usize) {
    // SAFETY: the caller gives up a live block.
    unsafe { free(address) };
}

/// `free_sized` of the allocator under test, or what gperftools calls it, or plain `free`.
pub fn sized_free() -> SizedFree {
    for name in [c"free_sized", c"tc_free_sized"] {
        // SAFETY: the name is a C string; asking for a symbol has no effect.
        let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        if !symbol.is_null() {
            // SAFETY: the symbol of this name is a function of this type.
            return unsafe { std::mem::transmute::<*mut c_void, SizedFree>(symbol) };
        }
    }
    free_ignoring_size
}
