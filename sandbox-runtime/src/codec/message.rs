//! A message while it is written, and while it is read.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::spare::Spare;
use super::{CodecError, form, reader, spare, varint, writer};
use crate::bytes::result::ResultFile;
use crate::sys::plain::{self, Buffer, Plain};

/// Byte slices from this length on are lent to the message instead of copied into it.
///
/// One page: below, a copy costs less than one more entry in the list of segments.
pub const BORROW_FROM: usize = 4096;

/// Byte slices from this length on come back apart from the rest, so that the vector that they are received in is the
/// caller's.
pub const BULK_FROM: usize = 64 * 1024;

/// A part of a message.
#[derive(Debug)]
enum Segment<'v> {
    Own(Vec<u8>),
    /// Of numbers with this alignment.
    Lent(&'v [u8], usize),
}

/// The encoded values of one message, as segments that follow one another, and descriptors.
///
/// Small values are appended to a segment of the message's own; large byte slices are segments that borrow
/// from the values, so that encoding never copies them. After an error the message is unusable.
#[derive(Debug, Default)]
pub struct Outgoing<'v> {
    /// The first segment, and those that follow.
    first: Spare,
    segments: Vec<Segment<'v>>,
    /// How many bytes come before the segment that small values are appended to.
    before: usize,
    fds: Vec<BorrowedFd<'v>>,
    /// How many bytes are in files.
    in_files: u64,
    is_answer: bool,
    /// Whether the receiver has the file for the result.
    to_file: bool,
    /// Whether the answer may be written into a file.
    pub(super) wants_file: bool,
}

/// Bytes beyond so many files go in the message.
const MOST_FILES: usize = 64;

impl<'v> Outgoing<'v> {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty message of a result, which carries no descriptors. Whether its receiver has the file for it.
    pub(crate) fn answer(to_file: bool) -> Self {
        Self { is_answer: true, to_file, ..Self::default() }
    }

    pub(super) fn may_be_in_file(&self) -> bool {
        self.to_file
    }

    pub(crate) fn wants_file(&self) -> bool {
        self.wants_file
    }

    pub(super) fn has_room_for_files(&self) -> bool {
        !self.is_answer && self.fds.len() < MOST_FILES
    }

    /// Adds a file of so many bytes, which stay there.
    pub(super) fn put_file(&mut self, file: BorrowedFd<'v>, length: usize) {
        self.put_fd(file);
        self.in_files = self.in_files.saturating_add(length as u64);
    }

    /// How many bytes there are in files.
    pub(crate) fn in_files(&self) -> u64 {
        self.in_files
    }

    /// Appends a length and the bytes, which are borrowed if they are [many](BORROW_FROM).
    pub fn put_bytes(&mut self, bytes: &'v [u8]) {
        self.put_count(bytes.len());
        self.lend(bytes, 1);
    }

    /// Appends numbers as the bytes that they are, so that they can be borrowed where they arrive: a length in bytes, how
    /// many bytes come between, those, and the numbers, at a multiple of their alignment from the message's start.
    pub fn put_numbers<N: Plain>(&mut self, numbers: &'v [N]) {
        let bytes = plain::bytes_of(numbers);
        self.put_count(bytes.len());
        let behind = self.before + self.tail().len() + 1;
        let between = behind.next_multiple_of(align_of::<N>()) - behind;
        self.tail().extend(varint::length(between).to_le_bytes().first());
        self.tail().extend(std::iter::repeat_n(0, between));
        self.lend(bytes, align_of::<N>());
    }

    fn lend(&mut self, bytes: &'v [u8], align: usize) {
        if bytes.len() >= BORROW_FROM {
            self.before += self.tail().len() + bytes.len();
            self.segments.push(Segment::Lent(bytes, align));
        } else {
            self.tail().extend_from_slice(bytes);
        }
    }

    /// Appends one byte.
    pub(super) fn put_byte(&mut self, byte: u8) {
        self.tail().push(byte);
    }

    /// Appends the count of a sequence's elements.
    pub(super) fn put_count(&mut self, count: usize) {
        varint::varint(varint::length(count), self.tail());
    }

    /// Appends a value in the form that serde gives it.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if the value's `Serialize` refuses (a path that is not UTF-8, say), and
    /// [`CodecError::TooDeep`].
    pub fn put_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CodecError> {
        writer::write(value, self.tail())
    }

    /// Appends one byte that says yes or no.
    pub(super) fn put_flag(&mut self, flag: bool) {
        self.tail().push(if flag { form::TRUE } else { form::FALSE });
    }

    /// Adds a descriptor. The receiver gets a duplicate of it.
    pub fn put_fd(&mut self, fd: BorrowedFd<'v>) {
        self.fds.push(fd);
    }

    /// The bytes of the message, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&*self.first.0).chain(self.segments.iter().map(Segment::bytes))
    }

    /// Those of the bytes that are no [bulk](Outgoing::bulk), in order.
    pub fn stream(&self) -> impl Iterator<Item = &[u8]> {
        let rest = self.segments.iter().filter(|segment| segment.bulk().is_none()).map(Segment::bytes);
        std::iter::once(&*self.first.0).chain(rest)
    }

    /// The slices that are [long](BULK_FROM), in order, with the alignment of what they are slices of.
    pub fn bulk(&self) -> impl Iterator<Item = (&[u8], usize)> {
        self.segments.iter().filter_map(Segment::bulk)
    }

    /// How many bytes the message has.
    pub fn len(&self) -> usize {
        self.segments().map(<[u8]>::len).sum()
    }

    /// Whether the message has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The descriptors, in order.
    pub fn fds(&self) -> &[BorrowedFd<'v>] {
        &self.fds
    }

    /// The segment that small values are appended to.
    fn tail(&mut self) -> &mut Vec<u8> {
        match self.segments.last() {
            None if self.first.0.capacity() == 0 => self.first.0 = spare::take(),
            Some(Segment::Lent(..)) => self.segments.push(Segment::Own(Vec::new())),
            None | Some(Segment::Own(_)) => {}
        }
        match self.segments.last_mut() {
            Some(Segment::Own(tail)) => tail,
            _ => &mut self.first.0,
        }
    }
}

impl Segment<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Own(bytes) => bytes,
            Segment::Lent(bytes, _) => bytes,
        }
    }

    fn bulk(&self) -> Option<(&[u8], usize)> {
        match self {
            Segment::Lent(bytes, align) if bytes.len() >= BULK_FROM => Some((bytes, *align)),
            _ => None,
        }
    }
}

/// A message while it is read.
///
/// Every read is bounded by the bytes that are there, a declared length or count never exceeds them, and nothing
/// panics, whatever the bytes are.
#[derive(Debug)]
pub struct Incoming<'i> {
    rest: &'i [u8],
    /// Where long byte slices come apart from the rest: those that were not taken yet.
    bulk: Option<std::slice::IterMut<'i, Buffer>>,
    fds: VecDeque<OwnedFd>,
    /// Into which a worker may have written the answer.
    result: Option<ResultFile>,
    room: Room,
}

/// How much memory the elements, fields and entries of the values may take, each as large as its type. One of many bytes
/// may come as one (an empty option of an array, say), so what a message takes in memory is not bounded by its length.
#[derive(Debug)]
pub(super) struct Room {
    limit: u64,
    left: u64,
}

impl Room {
    /// Takes the place of so many elements of a type.
    #[inline]
    pub(super) fn take<T>(&mut self, count: usize) -> Result<(), CodecError> {
        let size = varint::length(count.saturating_mul(size_of::<T>()));
        self.left = self.left.checked_sub(size).ok_or(CodecError::TooLarge(self.limit))?;
        Ok(())
    }
}

impl<'i> Incoming<'i> {
    /// Reads these bytes, with these descriptors. Elements of values may take as much memory as the longest
    /// [frame](crate::frame_limit).
    pub fn new(bytes: &'i [u8], fds: impl Into<VecDeque<OwnedFd>>) -> Self {
        let limit = crate::wire::frame_limit();
        Self { rest: bytes, bulk: None, fds: fds.into(), result: None, room: Room { limit, left: limit } }
    }

    /// Long byte slices are not among the bytes but here.
    pub(crate) fn with_bulk(self, bulk: Option<&'i mut [Buffer]>) -> Self {
        Self { bulk: bulk.map(|bulk| bulk.iter_mut()), ..self }
    }

    /// A part of the answer may be in this file.
    pub(crate) fn with_result(self, result: Option<ResultFile>) -> Self {
        Self { result, ..self }
    }

    /// Elements of values may take so much memory, in bytes.
    pub(crate) fn with_room(self, limit: u64) -> Self {
        Self { room: Room { limit, left: limit }, ..self }
    }

    /// Takes a length and that many bytes, without a copy.
    ///
    /// # Errors
    ///
    /// [`CodecError::Truncated`] if the length is not there or exceeds what is there.
    pub fn take_bytes(&mut self) -> Result<&'i [u8], CodecError> {
        let length = varint::take_varint(&mut self.rest)?;
        match self.take_bulk(length)? {
            Some(bytes) => Ok(bytes),
            None => varint::take(&mut self.rest, usize::try_from(length).unwrap_or(usize::MAX)),
        }
    }

    /// Takes a length and that many bytes, by a copy if they did not come apart.
    ///
    /// # Errors
    ///
    /// As [`take_bytes`](Incoming::take_bytes).
    pub fn take_vec(&mut self) -> Result<Vec<u8>, CodecError> {
        let length = varint::take_varint(&mut self.rest)?;
        match self.take_bulk(length)? {
            Some(bytes) => std::mem::take(bytes).into_vec().ok_or(CodecError::Invalid("alignment")),
            None => varint::take(&mut self.rest, usize::try_from(length).unwrap_or(usize::MAX))
                .map(<[u8]>::to_vec),
        }
    }

    /// Takes [numbers](Outgoing::put_numbers), without a copy where they lie at an address for them.
    ///
    /// # Errors
    ///
    /// As [`take_bytes`](Incoming::take_bytes), and [`CodecError::Invalid`] if they are not whole.
    pub fn take_numbers<N: Plain>(&mut self) -> Result<Cow<'i, [N]>, CodecError> {
        let length = varint::take_varint(&mut self.rest)?;
        let [between] = varint::take_array(&mut self.rest)?;
        varint::take(&mut self.rest, between.into())?;
        if let Some(bytes) = self.take_bulk(length)? {
            let numbers = std::mem::take(bytes).into_vec();
            return numbers.map(Cow::Owned).ok_or(CodecError::Invalid("number"));
        }
        let bytes = varint::take(&mut self.rest, usize::try_from(length).unwrap_or(usize::MAX))?;
        if !bytes.len().is_multiple_of(size_of::<N>()) {
            return Err(CodecError::Invalid("number"));
        }
        Ok(plain::numbers_in(bytes).map_or_else(|| Cow::Owned(plain::copied(bytes)), Cow::Borrowed))
    }

    /// The next of what came apart, if bytes of this length do.
    fn take_bulk(&mut self, length: u64) -> Result<Option<&'i mut Buffer>, CodecError> {
        let Some(bulk) = self.bulk.as_mut().filter(|_| length >= BULK_FROM as u64) else { return Ok(None) };
        let bytes = bulk.next().filter(|bytes| bytes.len() as u64 == length);
        bytes.map(Some).ok_or(CodecError::Truncated)
    }

    /// Takes a value in the form that serde gives it. It may borrow from the message.
    ///
    /// # Errors
    ///
    /// Any [`CodecError`] but those that concern descriptors or trailing bytes.
    pub fn take_value<T: Deserialize<'i>>(&mut self) -> Result<T, CodecError> {
        reader::read(&mut self.rest, &mut self.room)
    }

    /// Takes one byte.
    pub(super) fn take_byte(&mut self) -> Result<u8, CodecError> {
        varint::take_array(&mut self.rest).map(|[byte]| byte)
    }

    /// Takes the length of what is elsewhere.
    pub(super) fn take_length(&mut self) -> Result<usize, CodecError> {
        let length = usize::try_from(varint::take_varint(&mut self.rest)?).unwrap_or(usize::MAX);
        self.room.take::<u8>(length)?;
        Ok(length)
    }

    /// Takes the file of the answer, once.
    pub(super) fn take_result(&mut self) -> Result<ResultFile, CodecError> {
        self.result.take().ok_or(CodecError::Invalid("result in memory"))
    }

    /// Takes the byte that says yes or no.
    pub(super) fn take_flag(&mut self) -> Result<bool, CodecError> {
        self.take_value()
    }

    /// Takes the count of a sequence's elements, each of which takes a byte or a descriptor.
    pub(super) fn take_count<T>(&mut self) -> Result<usize, CodecError> {
        let count = usize::try_from(varint::take_varint(&mut self.rest)?).ok();
        let count = count.filter(|&count| count <= self.rest.len().max(self.fds.len()));
        let count = count.ok_or(CodecError::Truncated)?;
        self.room.take::<T>(count)?;
        Ok(count)
    }

    /// Takes a descriptor.
    ///
    /// # Errors
    ///
    /// [`CodecError::MissingDescriptor`] if none is left.
    pub fn take_fd(&mut self) -> Result<OwnedFd, CodecError> {
        self.fds.pop_front().ok_or(CodecError::MissingDescriptor)
    }

    /// Ends reading.
    ///
    /// # Errors
    ///
    /// [`CodecError::TrailingBytes`] and [`CodecError::ExtraDescriptors`] if something is left.
    pub fn finish(self) -> Result<(), CodecError> {
        let apart = self.bulk.into_iter().flatten().map(|bytes| bytes.len()).sum::<usize>();
        match (self.rest.len() + apart, self.fds.len()) {
            (0, 0) => Ok(()),
            (0, fds) => Err(CodecError::ExtraDescriptors(fds)),
            (bytes, _) => Err(CodecError::TrailingBytes(bytes)),
        }
    }
}
