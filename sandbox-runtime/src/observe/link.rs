//! Between an observer and whoever is to be observed, until it is: who the observer is, whom to trace, and whether it does.

use crate::sys::process::process_of;
use crate::sys::ptrace;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;

/// Whom to trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// With `kill`, it and what it starts end with the observer.
    Thread { thread: i32, kill: bool },
    /// All threads.
    Process(i32),
}

impl Wanted {
    /// The process that it is.
    pub(super) fn process(self) -> Option<i32> {
        match self {
            Wanted::Process(process) => Some(process),
            Wanted::Thread { thread, .. } => process_of(Pid::from_raw(thread)?),
        }
    }
}

/// Why nobody looks on, where it could not say so itself.
pub(crate) const OBSERVER_GONE: &str = "the observer has ended";

/// One end.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    pub(crate) fn new(socket: OwnedFd) -> Link {
        Link(socket)
    }

    pub(crate) fn pair() -> Result<[OwnedFd; 2], Errno> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok([one, other])
    }

    /// Says who the observer is.
    pub(super) fn introduce(&self) -> io::Result<()> {
        self.send(&std::process::id())
    }

    pub(super) fn wanted(&self) -> io::Result<Wanted> {
        self.receive()
    }

    pub(super) fn answer(&self, seized: &Result<(), String>) -> io::Result<()> {
        self.send(seized)
    }

    /// Has the observer trace; returns when it does, or why it does not.
    pub(crate) fn attach(&self, wanted: Wanted) -> Result<(), String> {
        let gone = |error: io::Error| format!("{OBSERVER_GONE}: {error}");
        let observer: u32 = self.receive().map_err(gone)?;
        ptrace::let_trace(observer);
        let answer = self.send(&wanted).and_then(|()| self.receive::<Result<(), String>>());
        // One relation is enough; it lasts.
        ptrace::let_trace(0);
        answer.map_err(gone)?
    }

    fn send<T: Serialize>(&self, message: &T) -> io::Result<()> {
        let bytes = postcard::to_allocvec(message).map_err(io::Error::other)?;
        Ok(rustix::net::send(&self.0, &bytes, SendFlags::NOSIGNAL).map(drop)?)
    }

    fn receive<T: DeserializeOwned>(&self) -> io::Result<T> {
        let mut bytes = [0; 4096];
        loop {
            let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
            let received = poll(&mut ready, None).and_then(|_| {
                rustix::net::recv(self.0.as_fd(), &mut bytes, RecvFlags::empty()).map(|(length, _)| length)
            });
            match received {
                Err(Errno::INTR) => {}
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => return postcard::from_bytes(&bytes[..length]).map_err(io::Error::other),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
