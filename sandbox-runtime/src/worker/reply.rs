//! The worker's way to its host: frames of the reply, and the bell.

use super::BELL;
use crate::record::Record;
use crate::sys::process;
use crate::wire::{self, Kind, Replies};
use rustix::io::Errno;
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The reply of this process, which any of its threads may log to.
static REPLY: Mutex<Reply> = Mutex::new(Reply { replies: None, takes_records: false });

struct Reply {
    replies: Option<Replies>,
    /// Between the arguments and the result: else nobody waits for a record, and it would wait for ever.
    takes_records: bool,
}

thread_local! {
    static IS_BODY: Cell<bool> = const { Cell::new(false) };
}

fn reply() -> MutexGuard<'static, Reply> {
    REPLY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this thread runs the body.
pub(super) fn is_body() -> bool {
    IS_BODY.try_with(Cell::get).unwrap_or(false)
}

/// In the thread of the body, once.
pub(super) fn open(replies: Replies) {
    IS_BODY.set(true);
    reply().replies = Some(replies);
}

/// Begins the reply to a turn.
pub(super) fn begin(turn: u32) {
    reply().replies.iter_mut().for_each(|replies| replies.begin(turn));
}

/// Sends a frame.
pub(super) fn send(kind: Kind, payload: &[&[u8]]) {
    let mut reply = reply();
    // Nobody waits for a beginning, nor for a panic, whose end is the process's.
    let is_quiet = matches!(kind, Kind::Begun | Kind::Panicked) || kind.is_bulk();
    reply.takes_records &= is_quiet;
    let Some(replies) = reply.replies.as_mut() else { return };
    write(replies, kind, payload);
    if is_quiet {
        replies.publish_quietly();
    } else {
        replies.publish(ring);
    }
}

fn write(replies: &mut Replies, kind: Kind, payload: &[&[u8]]) {
    replies.write(&wire::header(kind, payload.iter().map(|part| part.len()).sum()), ring);
    payload.iter().for_each(|part| replies.write(part, ring));
}

/// From now on to the end of the call.
pub(super) fn take_records() {
    reply().takes_records = true;
}

/// Sends a record, and waits until the host has passed it on.
pub(super) fn send_record(record: Record) {
    // Another thread could hold stdout and wait for this one.
    if is_body() {
        super::flush();
    }
    let record = record.encode();
    let mut reply = reply();
    if !reply.takes_records {
        return;
    }
    let Some(replies) = reply.replies.as_mut() else { return };
    write(replies, Kind::Record, &[&record]);
    replies.publish(ring);
    replies.wait_until_read();
}

/// For tests that attack: adds any bytes to the stream of a reply, as code that controls a worker could.
pub fn forge_reply(bytes: &[u8]) {
    let mut reply = reply();
    let Some(replies) = reply.replies.as_mut() else { return };
    replies.write(bytes, ring);
    replies.publish(ring);
}

/// For tests that attack: where the memory of replies is, and how long it is.
pub fn reply_memory() -> Option<(*mut u8, usize)> {
    reply().replies.as_ref().map(Replies::memory)
}

/// Wakes the host. One that is gone needs no worker.
pub(super) fn ring() {
    if !matches!(rustix::io::write(process::borrow_fd(BELL), &[0]), Ok(_) | Err(Errno::INTR | Errno::AGAIN)) {
        process::exit_now(1);
    }
}
