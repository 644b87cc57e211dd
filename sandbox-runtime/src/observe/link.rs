//! Between an observer and whoever is to be observed, until it is: who the observer is, whom to trace, and whether it does.

use crate::enforce::Locks;
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

/// What came of it.
#[derive(Debug)]
pub(crate) enum Attached {
    Traced,
    /// It is not to be traced. The observer, which has said so in its report, waits for the listener of a filter.
    Barred {
        why: String,
        socket: OwnedFd,
    },
    /// The observer has ended, and could not say so itself.
    Gone(String),
}

impl Attached {
    /// Has the filters tell whoever looks on.
    pub(crate) fn tell_by(self, locks: &mut Locks) {
        match self {
            Attached::Traced => {}
            Attached::Barred { socket, .. } => locks.listens = Some(socket),
            // To a tracer that is not there they would break the body.
            Attached::Gone(_) => locks.reporting = None,
        }
    }
}

/// Who may trace whom, where Yama is.
pub(super) const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// Whether a tracer must be named that is no ancestor. Whom the program had named before cannot be asked for, and is lost:
/// so elsewhere nobody is named. A sandbox that may not read it does not know.
fn is_to_be_named(scope: io::Result<String>) -> bool {
    scope.map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |scope| scope.trim() == "1")
}

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

    /// The listener of the filter of who cannot be traced; an error where it has none.
    pub(super) fn listener(&self) -> io::Result<OwnedFd> {
        let listener = crate::wire::receive_some(self.0.as_fd())?.pop_front();
        listener.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Says that it is there, and that this is known to who reads the report.
    pub(super) fn acknowledge(&self) -> io::Result<()> {
        Ok(rustix::io::write(&self.0, &[0]).map(drop)?)
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

    /// Has the observer trace; returns when it does, or does not.
    pub(crate) fn attach(self, wanted: Wanted) -> Attached {
        match self.ask_to_trace(wanted) {
            Ok(Ok(())) => Attached::Traced,
            Ok(Err(why)) => Attached::Barred { why, socket: self.0 },
            Err(error) => Attached::Gone(format!("the observer has ended: {error}")),
        }
    }

    fn ask_to_trace(&self, wanted: Wanted) -> io::Result<Result<(), String>> {
        let observer: u32 = self.receive()?;
        let is_to_be_named = is_to_be_named(std::fs::read_to_string(PTRACE_SCOPE));
        let name = |observer| {
            if is_to_be_named {
                ptrace::let_trace(observer);
            }
        };
        name(observer);
        let answer = self.send(&wanted).and_then(|()| self.receive());
        // One relation is enough; it lasts.
        name(0);
        answer
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_is_named_where_yama_wants_it() {
        for (scope, is_named) in [("0\n", false), ("1\n", true), ("2\n", false), ("3\n", false)] {
            assert_eq!(is_to_be_named(Ok(scope.into())), is_named, "{scope}");
        }
        for (error, is_named) in [(Errno::NOENT, false), (Errno::ACCESS, true)] {
            assert_eq!(is_to_be_named(Err(error.into())), is_named, "{error}");
        }
    }
}
