//! What is tried with sockets, as data, and the one who tries it.

use crate::raw;
use crate::rows::{self, NOT_REACHED, closing};
use rustix::net::{Shutdown, sockopt};
use sandboxed::{Error, Policy, sandboxed};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Act {
    /// Begin one more sandbox inside, by a thread.
    Enter(Policy),
    /// End it.
    Leave,
    /// Close all sockets and go on with those of another kind.
    Switch(Kind),
    /// With a new socket of the table's kind.
    Fresh(Op),
    /// With a new socket of another kind.
    Of(Kind, Op),
    /// With the socket of the act before.
    Then(Op),
    /// With the next socket that was handed over.
    Given(Op),
    /// List a directory.
    List(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Op {
    Make,
    Bind(Address),
    Connect(Address),
    Listen,
    Accept,
    Send,
    SendTo(Address),
    /// The same by `sendmsg(2)`.
    Message(SocketAddr),
    /// `setsockopt(2)`: level, name, value.
    Set(i32, i32, i32),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Kind {
    pub family: i32,
    pub kind: i32,
    pub protocol: i32,
}

/// What the kernel gets: a `struct sockaddr`, whole or not.
#[derive(Clone, Serialize, Deserialize)]
pub enum Address {
    Bytes(Vec<u8>),
    /// With the port that a socket was bound to last.
    Last(Vec<u8>),
    /// A name that is another one outside of a sandbox, so that neither is in the other's way.
    Own(Vec<u8>),
}

/// Where the port is, in IPv4 and IPv6 alike.
const PORT: std::ops::Range<usize> = 2..4;

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, bytes) = match self {
            Address::Bytes(bytes) => ("", bytes),
            Address::Last(bytes) => ("last port, ", bytes),
            Address::Own(bytes) => ("own name, ", bytes),
        };
        let number = |range| bytes.get(range).map_or([0; 2], |bytes: &[u8]| [bytes[0], bytes[1]]);
        let (family, port) = (u16::from_ne_bytes(number(0..2)), u16::from_be_bytes(number(PORT)));
        write!(
            f,
            "{what}family {family}, port {port}, {} bytes {:?}",
            bytes.len(),
            bytes.escape_ascii().to_string()
        )
    }
}

impl Address {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Address::Bytes(bytes) | Address::Last(bytes) | Address::Own(bytes) => bytes,
        }
    }

    /// Cut, or with zeros behind.
    pub fn of_length(self, length: usize) -> Address {
        let mut bytes = self.bytes();
        bytes.resize(length, 0);
        Address::Bytes(bytes)
    }

    /// The same under another family.
    pub fn of_family(self, family: i32) -> Address {
        let mut bytes = self.bytes();
        bytes[..PORT.start].copy_from_slice(&u16::try_from(family).unwrap().to_ne_bytes());
        Address::Bytes(bytes)
    }

    pub fn last(self) -> Address {
        Address::Last(self.bytes())
    }
}

/// Tries acts one after the other. All sockets stay open until the next kind.
pub struct Sockets {
    kind: Kind,
    given: VecDeque<OwnedFd>,
    open: Open,
    port: [u8; 2],
    free: bool,
}

/// Sockets that listen no more when they are dropped, though a child that is about to execute something may have a
/// copy of them for a moment.
#[derive(Default)]
struct Open(Vec<OwnedFd>);

impl Drop for Open {
    fn drop(&mut self) {
        for socket in &self.0 {
            // Most are not connected.
            rustix::net::shutdown(socket, Shutdown::Both).unwrap_or_default();
        }
    }
}

impl Sockets {
    pub fn new(given: Vec<OwnedFd>) -> Sockets {
        let kind = Kind { family: libc::AF_UNSPEC, kind: 0, protocol: 0 };
        Sockets { kind, given: given.into(), open: Open::default(), port: [0; 2], free: false }
    }

    /// Without any sandbox, inner ones included.
    pub fn free(given: Vec<OwnedFd>) -> Sockets {
        Sockets { free: true, ..Sockets::new(given) }
    }

    /// For each act 0, or its errno.
    pub fn run(&mut self, acts: &[Act]) -> Vec<i32> {
        let mut found = Vec::new();
        while let Some(act) = acts.get(found.len()) {
            if let Act::Enter(policy) = act {
                let rest = &acts[found.len() + 1..];
                let inner = &rest[..closing(rest, |act| matches!(act, Act::Enter(_)), is_leave)];
                found.extend(self.enter(policy, inner));
            } else {
                found.push(errno(self.attempt(act)));
            }
        }
        found
    }

    fn enter(&mut self, policy: &Policy, inner: &[Act]) -> Vec<i32> {
        let found = if self.free { Ok(self.run(inner)) } else { in_thread(policy.clone(), inner, self) };
        let (entered, found) = match found {
            Ok(found) => (0, found),
            Err(error) => (rows::errno_of(&error), vec![NOT_REACHED; inner.len()]),
        };
        std::iter::once(entered).chain(found).collect()
    }

    fn attempt(&mut self, act: &Act) -> io::Result<()> {
        match act {
            Act::Enter(_) | Act::Leave => Ok(()),
            Act::Switch(kind) => {
                self.kind = *kind;
                self.open = Open::default();
                Ok(())
            }
            Act::Fresh(op) => self.make(self.kind).and_then(|()| self.op(op)),
            Act::Of(kind, op) => self.make(*kind).and_then(|()| self.op(op)),
            Act::Then(op) => self.op(op),
            Act::Given(op) => {
                self.open.0.push(self.given.pop_front().expect("a socket was handed over"));
                self.op(op)
            }
            Act::List(path) => std::fs::read_dir(path).map(drop),
        }
    }

    fn make(&mut self, Kind { family, kind, protocol }: Kind) -> io::Result<()> {
        self.open.0.push(make(Kind { family, kind, protocol })?);
        Ok(())
    }

    fn op(&mut self, op: &Op) -> io::Result<()> {
        let socket = self.open.0.last().expect("a socket");
        match op {
            Op::Make => {}
            Op::Bind(to) => {
                self.with_address(libc::SYS_bind, to)?;
                if let Ok(bound) = SocketAddr::try_from(rustix::net::getsockname(socket)?) {
                    self.port = bound.port().to_be_bytes();
                }
            }
            Op::Connect(to) => self.with_address(libc::SYS_connect, to)?,
            Op::Listen => rustix::net::listen(socket, 8)?,
            Op::Accept => drop(rustix::net::accept(socket)?),
            Op::Send => send(socket, 0.into(), 0)?,
            Op::SendTo(to) => {
                let to = self.bytes(to);
                send(socket, to[..].into(), to.len())?;
            }
            Op::Message(to) => {
                let mut control = rustix::net::SendAncillaryBuffer::default();
                let parts = [io::IoSlice::new(b"x")];
                let flags = rustix::net::SendFlags::empty();
                rustix::net::sendmsg_addr(socket, to, &parts, &mut control, flags)?;
            }
            Op::Set(level, name, value) => {
                let value = value.to_ne_bytes();
                let arguments =
                    [socket.as_raw_fd().into(), (*level).into(), (*name).into(), value[..].into(), 4.into()];
                raw::syscall(libc::SYS_setsockopt, arguments)?;
            }
        }
        Ok(())
    }

    fn bytes(&self, address: &Address) -> Vec<u8> {
        let mut bytes = address.clone().bytes();
        match address {
            Address::Last(_) => bytes[PORT].copy_from_slice(&self.port),
            Address::Own(_) if self.free => bytes.extend(b"-outside"),
            Address::Bytes(_) | Address::Own(_) => {}
        }
        bytes
    }

    fn with_address(&self, call: libc::c_long, to: &Address) -> io::Result<()> {
        let (socket, to) = (self.open.0.last().expect("a socket"), self.bytes(to));
        let length = to.len() as u64;
        raw::syscall(call, [socket.as_raw_fd().into(), to[..].into(), length.into()]).map(drop)
    }
}

fn send(socket: &OwnedFd, to: raw::Argument, length: usize) -> io::Result<()> {
    let to = [socket.as_raw_fd().into(), b"x"[..].into(), 1.into(), 0.into(), to, (length as u64).into()];
    raw::syscall(libc::SYS_sendto, to).map(drop)
}

/// A socket that leaves nothing behind: its port can be had again at once.
pub fn make(Kind { family, kind, protocol }: Kind) -> io::Result<OwnedFd> {
    let arguments = [family.into(), (kind | libc::SOCK_CLOEXEC).into(), protocol.into()];
    let socket = raw::owned(raw::syscall(libc::SYS_socket, arguments)?);
    if family != libc::AF_UNIX {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    }
    Ok(socket)
}

fn is_leave(act: &Act) -> bool {
    matches!(act, Act::Leave)
}

fn errno(done: io::Result<()>) -> i32 {
    done.map_or_else(|error| error.raw_os_error().expect("an errno"), |()| 0)
}

#[sandboxed(policy = &policy)]
pub fn in_process(policy: Policy, given: Vec<OwnedFd>, acts: &[Act]) -> Result<Vec<i32>, Error> {
    Ok(Sockets::new(given).run(acts))
}

#[sandboxed(thread, policy = &policy)]
pub fn in_thread(policy: Policy, acts: &[Act], sockets: &mut Sockets) -> Result<Vec<i32>, Error> {
    Ok(sockets.run(acts))
}

#[sandboxed(in_place, policy = &policy)]
pub fn in_place(policy: Policy, acts: &[Act], sockets: &mut Sockets) -> Result<Vec<i32>, Error> {
    Ok(sockets.run(acts))
}
