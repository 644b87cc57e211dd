//! Memory of small messages that are over, for the next ones of the same thread: a small call allocates nothing.

use std::cell::Cell;

/// The most that is kept, in bytes each.
pub(crate) const KEPT: usize = 1024;

thread_local! {
    /// For a request and for an answer.
    static SPARE: Cell<[Vec<u8>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// An empty vector, with room if there is some.
pub(crate) fn take() -> Vec<u8> {
    let taken = SPARE.try_with(|spare| {
        let [first, second] = spare.take();
        spare.set([second, Vec::new()]);
        first
    });
    // The thread is about to end.
    taken.unwrap_or_default()
}

/// Keeps the memory of a vector that is not needed any more.
pub(crate) fn give(mut vector: Vec<u8>) {
    if (1..=KEPT).contains(&vector.capacity()) {
        vector.clear();
        let given = SPARE.try_with(|spare| {
            let [first, _] = spare.take();
            spare.set([vector, first]);
        });
        given.unwrap_or_default();
    }
}

/// A vector whose memory is kept when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Spare(pub(super) Vec<u8>);

impl Drop for Spare {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}
