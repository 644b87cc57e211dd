//! Bytes that cross between a host and a worker without a copy.
//!
//! An argument is a file in memory that is sealed against all writing, whose descriptor goes to the worker. A result is
//! written into a file that the host made and sent along ([`result`]), since a worker can make none, and nothing carries
//! descriptors to the host.

pub(crate) mod result;

use crate::codec::BULK_FROM;
use crate::sys::shared::{HUGE, Mapping, constant, make_huge, memory_file, seal_for_good};
use result::Lent;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// From this length on bytes are in a file, in bytes: below, a copy costs less.
const LEAST: usize = BULK_FROM;

/// Immutable bytes that are cheap to clone, and that cross into a worker and out of it without a copy.
///
/// From 64 KiB on they are in a file in memory that nobody can write any more (`F_SEAL_WRITE`, see
/// [`memfd_create(2)`]). As an argument, by value or behind `&`, such a file is mapped by the worker. So one value may be
/// the argument of many calls, and the result of one that of the next. Less, and where no such file can be had (in a
/// worker, say), is on the heap, and crosses by copy.
///
/// In a worker a result is written into a [`BytesMut`]. Other bytes can be returned too, by copy.
///
/// Within types that cross by serde they cross by copy. Directly and within tuples, `Option`, `Result` and `Vec` they
/// cross as said.
///
/// What is mapped counts towards a worker's `memory`. A worker that serves many calls might keep what it was given in
/// this way, beside its own memory; when that is as much as `memory` allows, it gets one more call and then ends.
///
/// ```
/// # use sandboxed_runtime as sandboxed;
/// use sandboxed::{Bytes, BytesMut};
///
/// // With `#[sandboxed]` neither is copied.
/// fn reverse(bytes: &Bytes) -> Bytes {
///     let mut reversed = BytesMut::zeroed(bytes.len());
///     reversed.iter_mut().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
///     reversed.freeze()
/// }
///
/// let bytes = Bytes::from(vec![7; 1 << 20]);
/// assert_eq!(reverse(&reverse(&bytes)), bytes);
/// ```
///
/// [`memfd_create(2)`]: https://man7.org/linux/man-pages/man2/memfd_create.2.html
#[derive(Clone)]
pub struct Bytes(Arc<Memory>);

enum Memory {
    Heap(Vec<u8>),
    Sealed(Sealed),
    /// In a worker: what the host made for the result of a call.
    Result(Lent),
}

/// A file that nobody can write, and its mapping. Behind its length there is the rest of its last page, which holds
/// zeros where the host made it, and what the worker left there where it is a result.
struct Sealed {
    file: OwnedFd,
    mapping: Mapping,
    length: usize,
}

impl Sealed {
    fn copy_of(bytes: &[u8]) -> std::io::Result<Sealed> {
        let file = memory_file(c"sandboxed-bytes", bytes.len())?;
        let whole = bytes.len() / HUGE * HUGE;
        if whole > 0 {
            // Only for speed.
            make_huge(file.as_fd(), 0, whole).unwrap_or_default();
        }
        let file = File::from(file);
        file.write_all_at(bytes, 0)?;
        let file = OwnedFd::from(file);
        seal_for_good(&file)?;
        Sealed::of(file, bytes.len())
    }

    fn of(file: OwnedFd, length: usize) -> std::io::Result<Sealed> {
        let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        if !constant(file.as_fd()) || size < length as u64 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mapping = Mapping::of_constant(file.as_fd(), length)?;
        Ok(Sealed { file, mapping, length })
    }
}

impl Bytes {
    /// No bytes.
    pub fn new() -> Bytes {
        Bytes::on_heap(Vec::new())
    }

    /// A copy of these bytes.
    pub fn copy_from_slice(bytes: &[u8]) -> Bytes {
        Bytes::in_file(bytes).unwrap_or_else(|| Bytes::on_heap(bytes.to_vec()))
    }

    pub(crate) fn on_heap(bytes: Vec<u8>) -> Bytes {
        Bytes(Arc::new(Memory::Heap(bytes)))
    }

    /// Where they are long, and a file can be had.
    fn in_file(bytes: &[u8]) -> Option<Bytes> {
        let sealed = (bytes.len() >= LEAST).then(|| Sealed::copy_of(bytes).ok()).flatten()?;
        Some(Bytes(Arc::new(Memory::Sealed(sealed))))
    }

    /// Those of a file that the host made, with this length.
    ///
    /// # Errors
    ///
    /// It cannot be mapped: for want of memory, above all.
    pub(crate) fn of_sealed(file: OwnedFd, length: usize) -> std::io::Result<Bytes> {
        Sealed::of(file, length).map(|sealed| Bytes(Arc::new(Memory::Sealed(sealed))))
    }

    /// The file to send to a worker, if they are in one.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        match &*self.0 {
            Memory::Sealed(sealed) => Some(sealed.file.as_fd()),
            Memory::Heap(_) | Memory::Result(_) => None,
        }
    }

    /// Whether the host finds them in the file that it made for the call that runs.
    pub(crate) fn is_result(&self) -> bool {
        matches!(&*self.0, Memory::Result(lent) if lent.is_of_this_call())
    }
}

impl From<Vec<u8>> for Bytes {
    /// By a copy where they are long.
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::in_file(&bytes).unwrap_or_else(|| Bytes::on_heap(bytes))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }
}

impl From<BytesMut> for Bytes {
    fn from(bytes: BytesMut) -> Bytes {
        bytes.freeze()
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::new()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Memory::Heap(bytes) => bytes,
            Memory::Sealed(sealed) => sealed.mapping.trusted(0, sealed.length),
            Memory::Result(lent) => lent,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

macro_rules! equal {
    ($($other:ty)*) => {$(
        impl PartialEq<$other> for Bytes {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                **self == *other
            }
        }

        impl PartialEq<Bytes> for $other {
            fn eq(&self, other: &Bytes) -> bool {
                other == self
            }
        }
    )*};
}

equal! { [u8] &[u8] Vec<u8> str &str }

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = sequence.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Any).map(Bytes::from)
    }
}

/// Bytes while they are written, in memory from which they cross out of a worker without a copy.
///
/// A worker's call has room for one such result, as long as the sixteenth part of `memory`, and at least 1 MiB and at most
/// 64 MiB long: by default 64 MiB. What is written into a second one, what is longer, what is shorter than 64 KiB, and
/// what is written outside of a worker is on the heap.
///
/// That room is beside what `memory` allows. It is there only for functions whose result has [`Bytes`] in it.
///
/// ```
/// # use sandboxed_runtime as sandboxed;
/// let mut bytes = sandboxed::BytesMut::zeroed(3);
/// bytes[1] = 7;
/// assert_eq!(bytes.freeze(), [0, 7, 0][..]);
/// ```
pub struct BytesMut(MemoryMut);

enum MemoryMut {
    Heap(Vec<u8>),
    Result(result::Filling),
}

impl BytesMut {
    /// So many zeros.
    pub fn zeroed(length: usize) -> BytesMut {
        let filling = if length >= LEAST { result::take(length) } else { None };
        BytesMut(filling.map_or_else(|| MemoryMut::Heap(vec![0; length]), MemoryMut::Result))
    }

    /// The bytes, which are not written any more.
    pub fn freeze(self) -> Bytes {
        match self.0 {
            MemoryMut::Heap(bytes) => Bytes::on_heap(bytes),
            MemoryMut::Result(filling) => match filling.freeze() {
                Ok(lent) => Bytes(Arc::new(Memory::Result(lent))),
                Err(bytes) => Bytes::on_heap(bytes),
            },
        }
    }
}

impl Deref for BytesMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            MemoryMut::Heap(bytes) => bytes,
            MemoryMut::Result(filling) => filling,
        }
    }
}

impl DerefMut for BytesMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            MemoryMut::Heap(bytes) => bytes,
            MemoryMut::Result(filling) => filling,
        }
    }
}

impl AsMut<[u8]> for BytesMut {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for BytesMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}
