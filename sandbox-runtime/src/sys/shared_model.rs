//! [`super::shared`] as loom knows it: words that are atomics of its own, bytes of which it sees every race, and a
//! futex. Files are numbers; what they stand for is forgotten with the model's run.
#![allow(unsafe_code)]

use super::plain::Buffer;
use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::{Condvar, Mutex};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

/// Ahead of it are words, behind it bytes.
const DATA: usize = 4096;
/// How far words go.
const WORDS: usize = 320;

#[derive(Debug)]
struct Memory {
    /// Each word is read in one size alone, so each size has words of its own.
    of_four: Vec<AtomicU32>,
    of_eight: Vec<AtomicU64>,
    bytes: Vec<UnsafeCell<u8>>,
    /// Held while one looks whether to sleep, as the kernel does.
    sleep: Mutex<()>,
    wake: Condvar,
}

#[derive(Clone, Debug)]
pub(crate) struct Mapping(Arc<Memory>);

// SAFETY: loom sees to it that bytes are not written at once.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

thread_local! {
    /// By number of the file. (Threads of a model are one thread.)
    static FILES: RefCell<HashMap<i32, Arc<Memory>>> = RefCell::default();
}

pub(crate) fn memory_file(_: &CStr, length: usize) -> Result<OwnedFd, Errno> {
    let file = rustix::fs::memfd_create(c"model", rustix::fs::MemfdFlags::CLOEXEC)?;
    let memory = Memory {
        of_four: (0..WORDS / 4).map(|_| AtomicU32::new(0)).collect(),
        of_eight: (0..WORDS / 8).map(|_| AtomicU64::new(0)).collect(),
        bytes: (DATA..length.min(DATA + 64)).map(|_| UnsafeCell::new(0)).collect(),
        sleep: Mutex::new(()),
        wake: Condvar::new(),
    };
    FILES.with_borrow_mut(|files| files.insert(file.as_raw_fd(), Arc::new(memory)));
    Ok(file)
}

pub(crate) fn seal_against_others(_: &OwnedFd) -> Result<(), Errno> {
    Ok(())
}

impl Mapping {
    pub(crate) fn for_reading(file: BorrowedFd<'_>, _: usize) -> Result<Mapping, Errno> {
        FILES.with_borrow(|files| files.get(&file.as_raw_fd()).cloned().map(Mapping).ok_or(Errno::BADF))
    }

    pub(crate) fn for_writing(file: BorrowedFd<'_>, length: usize) -> Result<Mapping, Errno> {
        Mapping::for_reading(file, length)
    }

    pub(crate) fn keep_to_this_process(self) -> Result<Mapping, Errno> {
        Ok(self)
    }

    pub(crate) fn touch(&self, _: usize, _: usize) {}

    pub(crate) fn raw(&self) -> (*mut u8, usize) {
        (std::ptr::null_mut(), 0)
    }

    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        &self.0.of_four[offset / 4]
    }

    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        &self.0.of_eight[offset / 8]
    }

    /// Nobody comes too late, so that what only a timeout ends is a deadlock here.
    pub(crate) fn wait(&self, offset: usize, known: u32, _: Option<Duration>) {
        let sleep = self.0.sleep.lock().unwrap();
        if self.u32(offset).load(Ordering::Relaxed) == known {
            drop(self.0.wake.wait(sleep).unwrap());
        }
    }

    pub(crate) fn wake(&self, _: usize) {
        let _sleep = self.0.sleep.lock().unwrap();
        self.0.wake.notify_all();
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        for (cell, byte) in self.0.bytes[offset - DATA..].iter().zip(bytes) {
            // SAFETY: loom fails where another looks at it.
            cell.with_mut(|at| unsafe { *at = *byte });
        }
    }

    pub(crate) fn zero(&self, offset: usize, length: usize) {
        self.write(offset, &vec![0; length]);
    }

    pub(crate) fn append_to(&self, offset: usize, length: usize, buffer: &mut Buffer) {
        buffer.extend_from_slice(self.trusted(offset, length));
    }

    pub(crate) fn trusted(&self, offset: usize, length: usize) -> &[u8] {
        let cells = &self.0.bytes[offset - DATA..][..length];
        // SAFETY: loom fails where another writes it.
        let bytes: Vec<u8> = cells.iter().map(|cell| cell.with(|at| unsafe { *at })).collect();
        bytes.leak()
    }
}
