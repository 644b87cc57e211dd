//! Frames, read from bytes that anybody may have written. No system calls here.

use crate::codec::{BULK_FROM, spare};
use crate::sys::plain::Buffer;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Worker to host: what the body logs. The worker waits until it is read.
    Record = 2,
    /// Worker to host: it could not be locked, or did not understand; the body did not begin.
    Refused = 3,
    /// Worker to host: the body begins.
    Begun = 4,
    /// Worker to host: a panic.
    Panicked = 5,
    /// Worker to host: the result.
    Returned = 6,
    /// Worker to host: the result cannot be encoded.
    Unsendable = 7,
    /// Worker to host: the exit code of `fn main`.
    ExitCode = 8,
    /// Worker to host: a long byte string of the result that follows.
    Bulk = 9,
    /// Worker to host: likewise, of numbers that lie at multiples of 2 bytes.
    Bulk2 = 10,
    /// Of 4 bytes.
    Bulk4 = 11,
    /// Of 8 bytes.
    Bulk8 = 12,
    /// Of 16 bytes.
    Bulk16 = 13,
}

impl Kind {
    const FROM_WORKER: [Kind; 12] = [
        Kind::Record,
        Kind::Refused,
        Kind::Begun,
        Kind::Panicked,
        Kind::Returned,
        Kind::Unsendable,
        Kind::ExitCode,
        Kind::Bulk,
        Kind::Bulk2,
        Kind::Bulk4,
        Kind::Bulk8,
        Kind::Bulk16,
    ];

    /// Of numbers with this alignment.
    pub(crate) fn of_bulk(align: usize) -> Kind {
        match align {
            2 => Kind::Bulk2,
            4 => Kind::Bulk4,
            8 => Kind::Bulk8,
            16 => Kind::Bulk16,
            _ => Kind::Bulk,
        }
    }

    /// Whether it is a part of a result that comes apart from it.
    pub fn is_bulk(self) -> bool {
        self as u8 >= Kind::Bulk as u8
    }

    /// How its payload lies in memory, in bytes.
    fn align(self) -> usize {
        if self.is_bulk() { 1 << (self as u8 - Kind::Bulk as u8) } else { 1 }
    }

    /// The longest payload that is accepted from a worker.
    fn limit(self) -> u64 {
        match self {
            Kind::Begun => 0,
            Kind::ExitCode => 1,
            Kind::Returned => frame_limit(),
            kind if kind.is_bulk() => frame_limit(),
            _ => NOTE_LIMIT as u64,
        }
    }
}

/// The longest note (a panic's message, say), in bytes.
pub(crate) const NOTE_LIMIT: usize = 64 * 1024;

static FRAME_LIMIT: AtomicU64 = AtomicU64::new(1 << 30);

/// The longest result that is accepted from a worker, in bytes, and the most that its elements may take in memory.
/// Default: 1 GiB.
pub fn frame_limit() -> u64 {
    FRAME_LIMIT.load(Ordering::Relaxed)
}

/// Sets the longest result that is accepted from a worker, in bytes, and the most that its elements may take in memory,
/// for the calls that begin afterwards.
pub fn set_frame_limit(bytes: u64) {
    FRAME_LIMIT.store(bytes, Ordering::Relaxed);
}

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it says.
    pub kind: Kind,
    /// Its content.
    pub payload: Buffer,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is no such kind, or a worker may not send it.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// The length is over the limit of its kind.
    #[error("a frame of {length} bytes, where {limit} are the most (see `sandboxed::set_frame_limit`)")]
    TooLong {
        /// What the frame says.
        length: u64,
        /// What is accepted.
        limit: u64,
    },
    /// A part of a result that is to come as another.
    #[error("a part of {length} bytes apart from its result")]
    TooShort {
        /// What the frame says.
        length: usize,
    },
    /// It is no record, or comes before the one ahead of it was read.
    #[error("a record that is none, or that did not wait for the one before it")]
    Record,
    /// Numbers of which one is not whole.
    #[error("a part of {length} bytes, which are not whole numbers")]
    Uneven {
        /// What the frame says.
        length: usize,
    },
    /// The host has no room for what has arrived of it.
    #[error("a frame of {length} bytes, for which this process has no memory")]
    NoMemory {
        /// What the frame says.
        length: usize,
    },
}

pub(crate) const HEADER: usize = 9;

/// The first bytes of a frame.
pub(crate) fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = kind as u8;
    header[1..].copy_from_slice(&(length as u64).to_le_bytes());
    header
}

/// Bytes that can be taken once, in order.
pub trait Bytes {
    /// How many are left.
    fn len(&self) -> usize;
    /// Appends the next `count` to a buffer.
    fn take_into(&mut self, count: usize, buffer: &mut Buffer);
    /// Whether none are left.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Bytes for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn take_into(&mut self, count: usize, buffer: &mut Buffer) {
        let (taken, rest) = self.split_at(count);
        buffer.extend_from_slice(taken);
        *self = rest;
    }
}

/// Puts frames together from pieces of any size.
///
/// Memory grows with what has arrived, never with what a length announces, nor beyond it. (Addresses may be reserved a
/// little ahead.)
///
/// ```
/// use sandboxed_runtime::wire::{FrameReader, Kind};
/// let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
/// reader.feed(&[5, 2, 0, 0, 0][..], |frame| frames.push(frame)).unwrap();
/// assert_eq!(frames, []);
/// reader.feed(&[0, 0, 0, 0, b'h', b'i'][..], |frame| frames.push(frame)).unwrap();
/// assert_eq!((frames[0].kind, &frames[0].payload[..]), (Kind::Panicked, &b"hi"[..]));
/// ```
#[derive(Debug, Default)]
pub struct FrameReader {
    header: Buffer,
    /// The frame whose payload is arriving, and how long it will be.
    current: Option<(Frame, usize)>,
}

impl FrameReader {
    /// At the start of a stream.
    pub fn new() -> FrameReader {
        FrameReader::default()
    }

    /// Whether more of a payload is to come.
    pub(crate) fn is_amid(&self) -> bool {
        self.current.is_some()
    }

    /// Is at the start of another stream.
    pub(crate) fn clear(&mut self) {
        self.header.clear();
        self.current = None;
    }

    /// Takes the next bytes and hands on the frames that they complete, also those before a mistake: how the stream
    /// came in pieces makes no difference.
    ///
    /// # Errors
    ///
    /// Bytes that no honest worker sends, or too many of them; the stream is of no use afterwards.
    pub fn feed(&mut self, mut bytes: impl Bytes, mut take: impl FnMut(Frame)) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            match &mut self.current {
                None => self.feed_header(&mut bytes)?,
                Some((frame, length)) => feed_payload(&mut frame.payload, *length, &mut bytes)?,
            }
            let done = self.current.take_if(|(frame, length)| frame.payload.len() == *length);
            done.into_iter().for_each(|(frame, _)| take(frame));
        }
        Ok(())
    }

    fn feed_header(&mut self, bytes: &mut impl Bytes) -> Result<(), FrameError> {
        bytes.take_into(bytes.len().min(HEADER - self.header.len()), &mut self.header);
        // Refused as early as the kind is known.
        let kind = self.header.first().map(|kind| known(*kind)).transpose()?;
        if let (Some(kind), Some(length)) = (kind, length(&self.header)) {
            self.header.clear();
            let length = accepted(kind, length)?;
            let payload = match kind {
                Kind::Returned if length <= spare::KEPT => spare::take().into(),
                _ => Buffer::new(kind.align()),
            };
            self.current = Some((Frame { kind, payload }, length));
        }
        Ok(())
    }
}

/// What may be reserved of a payload ahead of what has arrived, in bytes. Pages that nothing arrives for are never touched.
const AHEAD: usize = 16 << 20;

/// Reserves twice as much each time, so that few bytes move twice, but no more than there will be: what arrives is
/// a stranger's, and without memory for it `Vec` would end the process.
fn feed_payload(payload: &mut Buffer, length: usize, bytes: &mut impl Bytes) -> Result<(), FrameError> {
    let arrived = bytes.len().min(length - payload.len());
    let needed = payload.len() + arrived;
    if payload.capacity() < needed {
        let capacity = payload.capacity().saturating_mul(2).max(AHEAD).clamp(needed, length);
        if !payload.try_reserve_exact(capacity) {
            return Err(FrameError::NoMemory { length });
        }
    }
    bytes.take_into(arrived, payload);
    Ok(())
}

fn known(byte: u8) -> Result<Kind, FrameError> {
    Kind::FROM_WORKER.into_iter().find(|kind| *kind as u8 == byte).ok_or(FrameError::Kind(byte))
}

fn length(header: &[u8]) -> Option<u64> {
    let bytes: [u8; 8] = header.get(1..)?.try_into().ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn accepted(kind: Kind, length: u64) -> Result<usize, FrameError> {
    let limit = kind.limit();
    let fits = usize::try_from(length).ok().filter(|_| length <= limit);
    match fits.ok_or(FrameError::TooLong { length, limit })? {
        // Each takes memory of its own in the host.
        length if kind.is_bulk() && length < BULK_FROM => Err(FrameError::TooShort { length }),
        length if !length.is_multiple_of(kind.align()) => Err(FrameError::Uneven { length }),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
        [&header(kind, payload.len())[..], payload].concat()
    }

    fn fed(reader: &mut FrameReader, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        reader.feed(bytes, |frame| frames.push(frame)).map(|()| frames)
    }

    #[test]
    fn frames_come_out_whatever_the_pieces() {
        let stream =
            [frame(Kind::Begun, b""), frame(Kind::Panicked, b"oh"), frame(Kind::Returned, &[7; 100_000])]
                .concat();
        for size in [1, 2, 8, 9, 10, 11, 4096, stream.len()] {
            let mut reader = FrameReader::new();
            let frames: Vec<Frame> =
                stream.chunks(size).flat_map(|piece| fed(&mut reader, piece).unwrap()).collect();
            let lengths: Vec<usize> = frames.iter().map(|frame| frame.payload.len()).collect();
            assert_eq!(lengths, [0, 2, 100_000], "pieces of {size}");
        }
    }

    #[test]
    fn frames_before_a_mistake_come_out_with_it() {
        let stream = [&frame(Kind::Begun, b"")[..], &frame(Kind::Returned, b"value"), &[0]].concat();
        for size in [1, 23, stream.len()] {
            let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
            let mut pieces = stream.chunks(size);
            let error = pieces.find_map(|piece| reader.feed(piece, |frame| frames.push(frame)).err());
            assert_eq!((error, frames.len()), (Some(FrameError::Kind(0)), 2), "pieces of {size}");
        }
    }

    #[test]
    fn no_more_is_reserved_than_will_come() {
        for length in [1, 4095, 100_000, (1 << 20) + 1] {
            let whole = frame(Kind::Returned, &vec![7; length]);
            for size in [1000, 4096, 65_536] {
                let mut reader = FrameReader::new();
                let frames: Vec<Frame> = whole
                    .chunks(size)
                    .flat_map(|piece| {
                        let frames = fed(&mut reader, piece).unwrap();
                        let reserved =
                            reader.current.as_ref().map_or(0, |current| current.0.payload.capacity());
                        assert!(reserved <= length, "{reserved} of {length}");
                        frames
                    })
                    .collect();
                assert_eq!(frames[0].payload.capacity(), length);
            }
        }
    }

    #[test]
    fn an_unfinished_frame_is_no_frame() {
        let mut reader = FrameReader::new();
        let whole = frame(Kind::Returned, b"value");
        assert_eq!(fed(&mut reader, &whole[..whole.len() - 1]).unwrap(), []);
        assert_eq!(*fed(&mut reader, b"e").unwrap()[0].payload, *b"value");
    }

    #[test]
    fn lengths_over_the_limit_are_refused_before_any_payload() {
        let refused = |kind, length: u64| {
            let mut bytes = header(kind, 0);
            bytes[1..].copy_from_slice(&length.to_le_bytes());
            fed(&mut FrameReader::new(), &bytes).unwrap_err()
        };
        for length in [NOTE_LIMIT as u64 + 1, 1 << 32, u64::MAX] {
            assert_eq!(
                refused(Kind::Panicked, length),
                FrameError::TooLong { length, limit: NOTE_LIMIT as u64 }
            );
        }
        assert_eq!(refused(Kind::Begun, 1), FrameError::TooLong { length: 1, limit: 0 });
        assert!(matches!(refused(Kind::Returned, u64::MAX), FrameError::TooLong { .. }));
    }

    #[test]
    fn an_announced_length_touches_nothing() {
        let mut bytes = header(Kind::Returned, 0);
        bytes[1..].copy_from_slice(&(1u64 << 30).to_le_bytes());
        let mut reader = FrameReader::new();
        assert_eq!(fed(&mut reader, &bytes).unwrap(), []);
        assert_eq!(fed(&mut reader, &[1; 10]).unwrap(), []);
        assert!(reader.current.unwrap().0.payload.capacity() <= AHEAD);
    }

    #[test]
    fn kinds_that_a_worker_may_not_send_are_refused_at_the_first_byte() {
        for kind in [0, 1, 14, 0x7f, 0xff] {
            assert_eq!(fed(&mut FrameReader::new(), &[kind]), Err(FrameError::Kind(kind)));
        }
    }
}
