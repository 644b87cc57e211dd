//! The file for the result of a call: made by the host, written by a worker, and proven to be written by nobody any more
//! before the host looks at it.

use super::Bytes;
use crate::codec::CodecError;
use crate::sys::plain::Buffer;
use crate::sys::process::page_size;
use crate::sys::shared::{Filled, Mapping, constant, memory_file, seal_for_good};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FallocateFlags, fallocate, fstat};
use rustix::io::Errno;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The host's hold on it.
#[derive(Debug)]
pub(crate) struct ResultFile {
    file: OwnedFd,
    length: usize,
    /// Where to say how long the result was.
    used: Arc<AtomicU64>,
}

impl PartialEq for ResultFile {
    fn eq(&self, other: &ResultFile) -> bool {
        self.file.as_raw_fd() == other.file.as_raw_fd()
    }
}

impl Eq for ResultFile {}

/// A new one. It takes memory where it is written, and never changes its length.
pub(crate) fn make(length: usize) -> Result<OwnedFd, Errno> {
    memory_file(c"sandboxed-result", length)
}

impl ResultFile {
    /// One that no worker had.
    pub(crate) fn new(file: OwnedFd, length: usize, used: Arc<AtomicU64>) -> ResultFile {
        ResultFile { file, length, used }
    }

    /// How much memory it can take, in bytes: a worker that keeps it may write there as long as it is not sealed.
    pub(crate) fn most_memory(&self) -> u64 {
        self.length as u64
    }

    /// How much memory it takes, in bytes.
    fn memory(&self) -> u64 {
        fstat(&self.file).map_or(0, |stat| stat.st_blocks.unsigned_abs().saturating_mul(512))
    }

    /// Its first bytes, by mapping them if nobody can write them any more, else by a copy.
    ///
    /// # Errors
    ///
    /// It is not so long, or there is no memory for a copy.
    pub(crate) fn into_bytes(self, length: usize) -> Result<Bytes, CodecError> {
        if length > self.length {
            return Err(CodecError::Invalid("length of a result in memory"));
        }
        self.used.store(length as u64, Ordering::Relaxed);
        match self.is_proven(length) {
            true => match Bytes::of_sealed(self.file, length) {
                Ok(bytes) => Ok(bytes),
                Err(_) => Err(CodecError::TooLarge(length as u64)),
            },
            false => self.copied(length),
        }
    }

    /// Whether it is certain that these bytes do not change any more, all have memory, and nothing else has.
    fn is_proven(&self, length: usize) -> bool {
        let end = length.next_multiple_of(page_size());
        let rest = self.length.saturating_sub(end) as u64;
        // A worker left more than it says, or has had more at hand than it needed; the template may just be adding some.
        for _ in 0..3 {
            if rest == 0 || self.memory() <= end as u64 {
                break;
            }
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&self.file, flags, end as u64, rest).unwrap_or_default();
        }
        // Fails as long as it is mapped for writing anywhere. Who has it open cannot write afterwards.
        seal_for_good(&self.file).unwrap_or_default();
        constant(self.file.as_fd()) && self.memory() == end as u64
    }

    /// What others write meanwhile may be among it or not.
    fn copied(&self, length: usize) -> Result<Bytes, CodecError> {
        let mut bytes = Buffer::default();
        if !bytes.try_reserve_exact(length) {
            return Err(CodecError::TooLarge(length as u64));
        }
        let mut piece = vec![0; length.min(256 * 1024)];
        while bytes.len() < length {
            let most = piece.len().min(length - bytes.len());
            match rustix::io::pread(&self.file, &mut piece[..most], bytes.len() as u64) {
                Ok(0) => return Err(CodecError::Truncated),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(Errno::INTR) => {}
                Err(_) => return Err(CodecError::TooLarge(length as u64)),
            }
        }
        bytes.into_vec().map(Bytes::on_heap).ok_or(CodecError::Truncated)
    }
}

impl AsFd for ResultFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// In a worker: which call runs, and what came for its result as long as nothing is written there.
static CALL: AtomicU64 = AtomicU64::new(0);
static FILE: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Begins a call, for whose result this came.
pub(crate) fn begin_call(file: Option<OwnedFd>) {
    CALL.fetch_add(1, Ordering::Relaxed);
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = file;
}

/// Memory for so many bytes of the result, if it is there.
pub(super) fn take(length: usize) -> Option<Filling> {
    let mut known = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let is_long_enough = |file: &mut OwnedFd| {
        fstat(file).is_ok_and(|stat| u64::try_from(stat.st_size).is_ok_and(|size| size >= length as u64))
    };
    let file = known.take_if(is_long_enough)?;
    let memory = Filled::new(file, length).ok()?;
    Some(Filling { memory, call: CALL.load(Ordering::Relaxed) })
}

/// The memory of a result while it is written.
pub(super) struct Filling {
    memory: Filled,
    call: u64,
}

impl Filling {
    /// Nobody in this process can write them any more. Otherwise a copy.
    pub(super) fn freeze(self) -> Result<Lent, Vec<u8>> {
        let (length, call) = (self.len(), self.call);
        self.memory.freeze().map(|mapping| Lent { mapping, length, call })
    }
}

impl Deref for Filling {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.bytes()
    }
}

impl DerefMut for Filling {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }
}

/// The result of a call.
pub(super) struct Lent {
    mapping: Mapping,
    length: usize,
    call: u64,
}

impl Lent {
    /// What one call keeps, another may return; its host does not have the file any more.
    pub(super) fn is_of_this_call(&self) -> bool {
        self.call == CALL.load(Ordering::Relaxed)
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.mapping.trusted(0, self.length)
    }
}
