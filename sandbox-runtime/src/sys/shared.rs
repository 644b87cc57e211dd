//! Memory that processes share: files in memory, and mappings of them.
//!
//! What another process may write at any time is never a slice here: it is copied out, or read as an atomic number.
#![allow(unsafe_code)]

use crate::sys::plain::Buffer;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use rustix::thread::futex;
use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
#[cfg_attr(all(test, loom), allow(unused_imports, reason = "models have their own"))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

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

/// Nobody can write it any more, nor take that back (`F_SEAL_WRITE`).
///
/// # Errors
///
/// `EBUSY` where it is mapped for writing, or is being written without the processor.
pub(crate) fn seal_for_good(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fcntl_add_seals(file, SealFlags::WRITE | SealFlags::SEAL)
}

/// Whether nothing about a file can change any more.
pub(crate) fn constant(file: BorrowedFd<'_>) -> bool {
    let needed = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
    rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(needed))
}

/// What a huge page has, in bytes, on most machines.
pub(crate) const HUGE: usize = 2 << 20;

/// Makes a part of a file, both ends of which are at multiples of [`HUGE`], consist of huge pages: mapping and unmapping
/// those takes a fiftieth of the time. What is there stays. (Linux 6.1. Not through a mapping that would let us write, in
/// whose presence a file cannot be sealed.)
pub(crate) fn make_huge(file: BorrowedFd<'_>, start: u64, length: usize) -> Result<(), Errno> {
    let mapping = Mapping::aligned((file, start), length, ProtFlags::READ, MapFlags::PRIVATE)?;
    for start in (0..length).step_by(HUGE) {
        // SAFETY: a page of the mapping; what is there stays.
        unsafe { madvise(mapping.at(start), 1, Advice::LinuxPopulateRead) }?;
    }
    // SAFETY: all of the mapping; what is there stays.
    let made = unsafe { libc::madvise(mapping.at(0), length, libc::MADV_COLLAPSE) };
    if made == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// A mapping of a file from its start.
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
        Mapping::new((file, 0), length, ProtFlags::READ, MapFlags::SHARED)
    }

    pub(crate) fn for_writing(file: BorrowedFd<'_>, length: usize) -> Result<Mapping, Errno> {
        Mapping::new((file, 0), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
    }

    /// Of a file that is [constant], with its pages at hand. (Before Linux 6.7 such a file could not be mapped as shared.)
    pub(crate) fn of_constant(file: BorrowedFd<'_>, length: usize) -> Result<Mapping, Errno> {
        Mapping::aligned((file, 0), length, ProtFlags::READ, MapFlags::PRIVATE | MapFlags::POPULATE)
    }

    fn new(
        (file, from): (BorrowedFd<'_>, u64),
        length: usize,
        access: ProtFlags,
        flags: MapFlags,
    ) -> Result<Mapping, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap(std::ptr::null_mut(), length, access, flags, file, from) }?;
        Ok(Mapping { start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?, length })
    }

    /// As [`new`](Mapping::new), but where it is long at a multiple of a [huge page](HUGE), so that it can consist of such.
    fn aligned(
        (file, from): (BorrowedFd<'_>, u64),
        length: usize,
        access: ProtFlags,
        flags: MapFlags,
    ) -> Result<Mapping, Errno> {
        let room = if length < HUGE { None } else { Mapping::of_nothing(length + HUGE).ok() };
        let Some(room) = room else { return Mapping::new((file, from), length, access, flags) };
        let before = room.start.as_ptr().align_offset(HUGE);
        // SAFETY: it replaces a part of the room, which is ours and to which nobody refers.
        let start = unsafe { mmap(room.at(before), length, access, flags | MapFlags::FIXED, file, from) }?;
        let behind = before + length.next_multiple_of(super::process::page_size());
        for (from, to) in [(0, before), (behind, room.length)] {
            if from < to {
                // SAFETY: what is left of the room on this side.
                unsafe { munmap(room.at(from), to - from) }?;
            }
        }
        std::mem::forget(room);
        Ok(Mapping { start: NonNull::new(start.cast()).ok_or(Errno::FAULT)?, length })
    }

    /// Addresses without memory.
    fn of_nothing(length: usize) -> Result<Mapping, Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::empty(), flags) }?;
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

    /// Sleeps while the word at this offset is `known`, until it is woken; at most for so long. Returns early when interrupted,
    /// so callers look again in every case (`futex(2)`).
    pub(crate) fn wait(&self, offset: usize, known: u32, most: Option<Duration>) {
        let most = most.and_then(|most| futex::Timespec::try_from(most).ok());
        let _woken = futex::wait(self.u32(offset), futex::Flags::empty(), known, most.as_ref());
    }

    /// Wakes whoever sleeps there.
    pub(crate) fn wake(&self, offset: usize) {
        futex::wake(self.u32(offset), futex::Flags::empty(), u32::MAX >> 1).unwrap_or_default();
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
        let to = buffer.room(length);
        // SAFETY: the source is within the mapping; the buffer has room for so much.
        unsafe { std::ptr::copy_nonoverlapping(self.at(offset).cast::<u8>(), to, length) }
        // SAFETY: so much was written.
        unsafe { buffer.grow(length) }
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

/// A part of a file that this process alone has and writes, from its start.
#[derive(Debug)]
pub(crate) struct Filled {
    file: OwnedFd,
    mapping: Mapping,
}

impl Filled {
    /// With its pages at hand.
    pub(crate) fn new(file: OwnedFd, length: usize) -> Result<Filled, Errno> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let at_hand = rustix::fs::fstat(&file)?.st_blocks.unsigned_abs().saturating_mul(512);
        let (whole, missing) = (length / HUGE * HUGE, at_hand < length as u64);
        if whole > 0 && missing {
            // Only for speed.
            make_huge(file.as_fd(), 0, whole).unwrap_or_default();
        }
        let mapping = Mapping::aligned((file.as_fd(), 0), length, access, flags)?;
        Ok(Filled { file, mapping })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.mapping.trusted(0, self.mapping.length)
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: all of the mapping, which is borrowed as the result is, and to which nobody else writes.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.start.as_ptr(), self.mapping.length) }
    }

    /// Puts a mapping in its place through which nothing can be written. Where that fails, a copy.
    pub(crate) fn freeze(self) -> Result<Mapping, Vec<u8>> {
        let Mapping { start, length } = self.mapping;
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: it replaces a mapping of ours, to which nobody refers since it is consumed here, and of which all bytes
        // stay as they are.
        let replaced =
            unsafe { mmap(start.as_ptr().cast(), length, ProtFlags::READ, flags, self.file.as_fd(), 0) };
        match replaced {
            Ok(_) => Ok(self.mapping),
            Err(_) => Err(self.bytes().to_vec()),
        }
    }
}
