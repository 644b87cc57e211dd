//! Memory that processes share: files in memory, and mappings of them.
//!
//! What another process may write at any time is never a slice here: it is copied out, or read as an atomic number.
#![allow(unsafe_code)]

use crate::sys::plain::Buffer;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A file in memory of this length, which takes memory where it was written (`memfd_create(2)`). It can neither grow nor
/// shrink, so that nobody who has mapped it is hit by a signal.
pub(crate) fn memory_file(name: &CStr, length: usize) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Systems may insist on the flag, and kernels before 6.3 do not know it.
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    }?;
    // Beyond the limit the kernel would send a signal.
    let most = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    let length = u64::try_from(length).map_err(|_| Errno::FBIG)?;
    if most.is_some_and(|most| length > most) {
        return Err(Errno::FBIG);
    }
    rustix::fs::ftruncate(&file, length)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file)
}

/// Nobody can map it for writing any more who has not yet (`F_SEAL_FUTURE_WRITE`, Linux 5.1).
pub(crate) fn seal_against_others(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fcntl_add_seals(file, SealFlags::FUTURE_WRITE | SealFlags::SEAL)
}

/// A shared mapping of a file from its start.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is memory that stays where it is until the drop; all access is atomic or by copies, which other processes
// might race with anyway.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn for_reading(file: BorrowedFd<'_>, length: usize) -> Result<Mapping, Errno> {
        Mapping::new(file, length, ProtFlags::READ)
    }

    pub(crate) fn for_writing(file: BorrowedFd<'_>, length: usize) -> Result<Mapping, Errno> {
        Mapping::new(file, length, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn new(file: BorrowedFd<'_>, length: usize, access: ProtFlags) -> Result<Mapping, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap(std::ptr::null_mut(), length, access, MapFlags::SHARED, file.as_fd(), 0) }?;
        Ok(Mapping { start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?, length })
    }

    /// Forked children do not have it, nor core dumps.
    pub(crate) fn keep_to_this_process(self) -> Result<Mapping, Errno> {
        for advice in [Advice::LinuxDontFork, Advice::LinuxDontDump] {
            // SAFETY: the mapping is ours; neither advice changes what this process sees.
            unsafe { madvise(self.start.as_ptr().cast(), self.length, advice) }?;
        }
        Ok(self)
    }

    /// Has the pages of a range at hand before they are first touched (Linux 5.14). Only for speed.
    pub(crate) fn touch(&self, start: usize, length: usize) {
        let length = length.min(self.length.saturating_sub(start));
        // SAFETY: the range is within the mapping; what is there stays.
        let touched = unsafe { madvise(self.at(start), length, Advice::LinuxPopulateWrite) };
        touched.unwrap_or_default();
    }

    /// Where it is, and how long.
    pub(crate) fn raw(&self) -> (*mut u8, usize) {
        (self.start.as_ptr(), self.length)
    }

    fn at(&self, offset: usize) -> *mut c_void {
        assert!(offset <= self.length, "{offset} of {}", self.length);
        // SAFETY: within the mapping, or one past its end.
        unsafe { self.start.as_ptr().add(offset) }.cast()
    }

    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.length);
        // SAFETY: within the mapping, which lives as long as the result, aligned as the start is to a page; atomics may
        // be read and written by anybody.
        unsafe { AtomicU32::from_ptr(self.at(offset).cast()) }
    }

    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.length);
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.at(offset).cast()) }
    }

    /// Copies bytes to an offset. They must have room.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(bytes.len() <= self.length.saturating_sub(offset));
        // SAFETY: the range is within the mapping, which no slice of this process refers to while it is written.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(offset).cast(), bytes.len()) }
    }

    pub(crate) fn zero(&self, offset: usize, length: usize) {
        assert!(length <= self.length.saturating_sub(offset));
        // SAFETY: as above.
        unsafe { self.at(offset).cast::<u8>().write_bytes(0, length) }
    }

    /// Appends bytes to a buffer. What others write meanwhile may be among them or not.
    pub(crate) fn append_to(&self, offset: usize, length: usize, buffer: &mut Buffer) {
        assert!(length <= self.length.saturating_sub(offset));
        let from = self.at(offset).cast::<u8>();
        // SAFETY: the source is within the mapping; the buffer has room for so much, and all of it is written.
        unsafe { buffer.append(length, |to| std::ptr::copy_nonoverlapping(from, to, length)) }
    }

    /// Bytes that nobody writes as long as they are looked at: for what a trusted process has filled.
    pub(crate) fn trusted(&self, offset: usize, length: usize) -> &[u8] {
        assert!(length <= self.length.saturating_sub(offset));
        // SAFETY: within the mapping; the callers see to it that the one writer waits meanwhile.
        unsafe { std::slice::from_raw_parts(self.at(offset).cast(), length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        unmapped.unwrap_or_default();
    }
}
