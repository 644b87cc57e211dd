//! The reply of a worker, as it arrives.

use crate::codec::spare;
use crate::wire::{Frame, FrameError, FrameReader, frame_limit, header};

/// The first byte counts the sizes of pieces that follow it, and come in turn; the rest is the stream.
pub fn frames(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let (sizes, stream) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let whole = read([stream]);
    assert_eq!(read(pieces(sizes, stream)), whole, "the pieces make a difference");
    let again: Vec<u8> = whole.0.iter().flat_map(bytes_of).collect();
    assert!(stream.starts_with(&again), "what was read is not what was written");
    for Frame { kind, payload } in &whole.0 {
        assert!(payload.len() as u64 <= frame_limit(), "{kind:?}");
        assert!(payload.capacity() <= room(payload.len()), "{kind:?}");
    }
}

/// What so many bytes may take: a small answer has the memory of one before.
pub(super) fn room(length: usize) -> usize {
    length.max(spare::KEPT)
}

/// The frames that came whole, and what was wrong with the next.
fn read<'s>(pieces: impl IntoIterator<Item = &'s [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
    let mut fed = pieces.into_iter().map(|piece| reader.feed(piece, |frame| frames.push(frame)));
    let error = fed.find_map(Result::err);
    drop(fed);
    (frames, error)
}

fn pieces<'s>(sizes: &[u8], mut stream: &'s [u8]) -> impl Iterator<Item = &'s [u8]> {
    let sizes = if sizes.is_empty() { &[0] } else { sizes };
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (usize::from(*sizes.next()?) + 1).min(stream.len());
        let (piece, rest) = stream.split_at(size);
        stream = rest;
        (size > 0).then_some(piece)
    })
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    [&header(frame.kind, frame.payload.len())[..], &frame.payload].concat()
}
