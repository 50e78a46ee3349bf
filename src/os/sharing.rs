//! Memory that other processes can read: the carrier of the stats page.

use crate::units::Addr;

/// A file in memory. It is mapped here, and kept open so that other processes find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedFile {
    /// The address of the first byte.
    pub addr: Addr,
    /// The descriptor; negative if there is none that this process should close.
    pub descriptor: i32,
    /// The device of the file.
    pub device: u64,
    /// The inode of the file.
    pub inode: u64,
}

/// Memory that other processes can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shared {
    /// Memory that other processes may only read.
    pub page: SharedFile,
    /// Memory that other processes may write.
    pub control: SharedFile,
}

/// Memory shared with other processes. An OS without it keeps the defaults.
pub trait Sharing {
    /// None → Ready, anywhere. Maps zero bytes that another process can read if it may trace this one: `page` bytes that only
    /// this process can write, and `control` bytes that the other process can write too. A child of a fork inherits both;
    /// the memory is freed with the last process that has it. Returns `None` if the OS has no such memory or refuses it.
    fn share(&self, _page: usize, _control: usize) -> Option<Shared> {
        None
    }

    /// Maps the files behind two descriptors that this process inherited, with their content. Then other processes may write
    /// the page, too, because the next image of this process by `exec` has to. Returns `None` if the descriptors are not
    /// shared files of these sizes.
    fn take_over(&self, _descriptors: [i32; 2], _sizes: [usize; 2]) -> Option<Shared> {
        None
    }

    /// Closes the descriptors of a result of [`Sharing::share`] or [`Sharing::take_over`] in this process. The mappings stay.
    fn close_share(&self, _shared: &Shared) {}

    /// Unmaps a result of [`Sharing::share`] or [`Sharing::take_over`] in this process.
    ///
    /// # Safety
    /// It was mapped, with these sizes, in this process or in a process that this one was forked from, and its content is
    /// not needed here.
    unsafe fn end_share(&self, _shared: &Shared, _sizes: [usize; 2]) {}

    /// Replaces the mappings by private zero bytes.
    ///
    /// # Safety
    /// As for [`Sharing::end_share`], but the memory may be accessed afterwards.
    unsafe fn replace_share(&self, _shared: &Shared, _sizes: [usize; 2]) {}

    /// Returns whether this process, which is not `maker`, has a copy of `maker`'s memory because it was forked from it.
    /// Returns `false` if it runs in `maker`'s own memory, as a child of `vfork` does, or if that is unknown.
    fn is_inherited(&self, _maker: i32) -> bool {
        false
    }
}
