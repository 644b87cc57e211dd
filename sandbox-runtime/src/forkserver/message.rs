//! What host and forkserver say to each other, over a socket that keeps messages apart.

use crate::enforce::Filter;
use crate::observe::observer::Task;
use crate::plan::Kernel;
use crate::wire::{Number, Setup};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::time::Duration;

/// Host to forkserver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Fork a template. Descriptors: its end of a socket, the slots, and those of the [`Setup`], in the order of its
    /// fields.
    Template(Box<Setup>),
    /// Try in a child whether a worker can be put into namespaces of its own. Descriptors: where the child answers, with
    /// [`HasNamespaces`].
    Probe,
    /// Fork an observer. Descriptors: as the task says.
    Observe(Task),
    /// Fork an observer that learns. Descriptors: as the task says.
    #[cfg(feature = "learn")]
    Learn(crate::learn::Task),
    /// Restrict yourself, for good. Descriptor: the ruleset, if there is one. Answered by [`Restricted`].
    Restrict { ruleset: bool, filter: Option<Filter> },
}

/// Host to template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TemplateRequest {
    /// Fork a worker into this slot, which is new. Descriptors: the regions of requests and replies, the pipes for the
    /// bell and for the end, the socket for descriptors, and its streams (of a function stdout and stderr).
    Open(Number),
    /// Fork another into it.
    Fork(Number),
    /// End its worker, if there is one, and forget it.
    Close(Number),
    /// A state has changed.
    Look,
    /// Have memory at hand for so many bytes of a file of this number, as long as nobody uses it. Descriptors: the file.
    Touch { number: u32, length: u64 },
}

/// Forkserver to host: ready, on this kernel, or why not.
pub(super) type Hello = Result<Kernel, String>;
/// Forkserver to host: the answer to [`Request::Restrict`].
pub(super) type Restricted = Result<(), String>;
/// The answer to [`Request::Probe`]: whether a limit of threads binds in namespaces, or why there are none.
pub(crate) type HasNamespaces = Result<bool, String>;

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) end: End,
    /// The most memory that it had resident, in KiB.
    pub(crate) max_rss: u64,
    /// The processor time that it used, and the children that it waited for.
    pub(crate) cpu: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
    TimedOut,
    /// Killed by us for its processor time.
    CpuTimeExceeded,
    /// There was none: `fork(2)` failed with this errno.
    NotForked(i32),
}

/// The longest message, in bytes; a filter is the largest part.
const LONGEST: usize = 64 * 1024;
/// And the longest to a template, which is to write to little memory: its workers have what it had at the fork.
const LONGEST_TO_TEMPLATE: usize = 256;

pub(super) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let bytes = postcard::to_allocvec(message).map_err(|_| Errno::INVAL)?;
    crate::wire::send(socket, &[IoSlice::new(&bytes)], fds, SendFlags::empty()).map(drop)
}

/// A message with its descriptors; `None` at the end of the stream. The kernel drops descriptors for which the
/// receiver has no room: each request says how many it has.
pub(super) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    receive_into(&mut vec![0; LONGEST], socket, flags)
}

/// As [`receive`], in a template.
pub(super) fn receive_in_template(
    socket: BorrowedFd<'_>,
) -> Result<Option<(TemplateRequest, Vec<OwnedFd>)>, Errno> {
    receive_into(&mut [0; LONGEST_TO_TEMPLATE], socket, RecvFlags::DONTWAIT)
}

fn receive_into<T: DeserializeOwned>(
    bytes: &mut [u8],
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
) -> Result<Option<(T, Vec<OwnedFd>)>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(crate::wire::MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(bytes)];
        match rustix::net::recvmsg(socket.as_fd(), &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC)
        {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = postcard::from_bytes(&bytes[..received.bytes]).map_err(|_| Errno::BADMSG)?;
    Ok(Some((message, fds)))
}
