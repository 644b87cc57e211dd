//! What crosses between the host and a worker, over a stream socket: frames of a kind, a length and a payload.
//!
//! The worker is assumed to be run by an attacker: the host bounds every length before it allocates, takes no
//! descriptors, and believes nothing else that is said. What the host sends is trusted by the worker.

mod exchange;
mod frame;
mod job;
mod relay;

pub(crate) use exchange::{Exchange, Transcript};
pub use frame::{Frame, FrameError, FrameReader, Kind, frame_limit, set_frame_limit};
pub(crate) use frame::{NOTE_LIMIT, header};
pub(crate) use job::{Job, JobError, Received, Sending};
pub(crate) use relay::Relay;

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
