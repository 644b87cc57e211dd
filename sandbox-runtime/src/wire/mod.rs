//! What crosses between the host and a worker: requests and replies in memory that both map, descriptors over a
//! socket, and what a worker prints through pipes.
//!
//! The worker is assumed to be run by an attacker: the host bounds every length before it allocates, copies what it
//! reads before it looks at it, takes no descriptors, and believes nothing else that is said. What the host sends is
//! trusted by the worker.

mod channel;
mod exchange;
mod frame;
mod job;
#[cfg(all(test, loom))]
mod models;
mod relay;
mod slots;
mod spin;

pub use crate::sys::plain::Buffer;
pub(crate) use channel::{
    ALIGNED, Data, Files, Head, HostEnd, Replies, Requests, Wiper, mapped, open as open_channel, window,
};
pub(crate) use exchange::{Ends, Exchange, Fate, Transcript};
pub use frame::{Bytes, Frame, FrameError, FrameReader, Kind, frame_limit, set_frame_limit};
pub(crate) use frame::{NOTE_LIMIT, header};
pub(crate) use job::{Setup, drain_fds, receive_fds, receive_some, send_fds};
pub(crate) use relay::Relay;
pub(crate) use slots::{MOST_WORKERS, Number, Reaped, Slot, Slots, State};

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::IoSlice;
use std::mem::MaybeUninit;

/// The most descriptors that a message can carry (`SCM_MAX_FD`).
pub(crate) const MOST_FDS: usize = 253;

/// Sends what fits, with descriptors beside the first byte.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    loop {
        match rustix::net::sendmsg(socket, parts, &mut control, flags | SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
