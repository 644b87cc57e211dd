//! What a worker is told: what all workers of a template have in common, once; and of each call, beside the bytes in the
//! channel, the descriptors, over a socket.

use super::channel::Head;
use super::{MOST_FDS, send};
use crate::enforce::{Filter, Namespaces, Reporting};
use crate::plan::{Capability, Limits, RulesetPlan};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// What the workers of a template have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// A function that they run, for people.
    pub(crate) function: String,
    /// Whether it is `fn main`, with an stdin of its own.
    pub(crate) program: bool,
    /// Whether a descriptor of the directory to work in comes.
    pub(crate) directory: bool,
    /// Whether a ruleset comes. One may also come with each call.
    pub(crate) ruleset: bool,
    /// A ruleset to make, of whose paths descriptors come.
    pub(crate) recipe: Option<RulesetPlan>,
    pub(crate) filter: Option<Filter>,
    /// Where the worker is observed: then it locks itself, and a link and a report come.
    pub(crate) reporting: Option<Reporting>,
    /// Whether the report comes too.
    pub(crate) reads_report: bool,
    pub(crate) namespaces: Option<Namespaces>,
    /// The capabilities to keep.
    pub(crate) capabilities: Vec<Capability>,
    /// Whether they may look at themselves in `/proc`.
    pub(crate) grants_proc: bool,
    pub(crate) limits: Limits,
    /// Where the function to run in the template is in the executable.
    pub(crate) warm: Option<u64>,
    /// Whether stdout and stderr are pipes of the workers' own.
    pub(crate) own_streams: bool,
    /// Of the channel's streams, in bytes.
    pub(crate) window: usize,
}

/// Descriptors that cannot be sent, or did not come.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("{0} descriptors, where {MOST_FDS} are the most")]
    TooManyDescriptors(usize),
    #[error("descriptors for the worker: {0}")]
    Channel(#[from] Errno),
}

/// Sends the descriptors of a call, ahead of it.
pub(crate) fn send_fds(socket: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) -> Result<(), JobError> {
    match fds.len() {
        0 => Ok(()),
        count if count > MOST_FDS => Err(JobError::TooManyDescriptors(count)),
        _ => Ok(send(socket, &[IoSlice::new(&[0])], fds, SendFlags::DONTWAIT).map(drop)?),
    }
}

/// Takes as many descriptors as the head of a call says, in the worker.
pub(crate) fn receive_fds(socket: BorrowedFd<'_>, head: &Head) -> Result<VecDeque<OwnedFd>, JobError> {
    if head.fds == 0 {
        return Ok(VecDeque::new());
    }
    let fds = receive(socket, RecvFlags::empty())?;
    let expected = usize::try_from(head.fds).unwrap_or(usize::MAX);
    if fds.len() == expected { Ok(fds) } else { Err(JobError::Channel(Errno::MFILE)) }
}

/// Takes the descriptors that came with one byte.
pub(crate) fn receive_some(socket: BorrowedFd<'_>) -> Result<VecDeque<OwnedFd>, Errno> {
    receive(socket, RecvFlags::empty())
}

/// Takes what a worker has left unread, in the template.
pub(crate) fn drain_fds(socket: BorrowedFd<'_>) {
    while receive(socket, RecvFlags::DONTWAIT).is_ok() {}
}

fn receive(socket: BorrowedFd<'_>, flags: RecvFlags) -> Result<VecDeque<OwnedFd>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut byte)];
        match rustix::net::recvmsg(socket, &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    let mut fds = VecDeque::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    match received.bytes {
        0 => Err(Errno::PIPE),
        _ if received.flags.contains(ReturnFlags::CTRUNC) => Err(Errno::MFILE),
        _ => Ok(fds),
    }
}
