//! Messages to and from the kernel's audit subsystem: `linux/audit.h`, `linux/netlink.h`.

use super::rules::{Hides, hides};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recvfrom, send, socket_with, sockopt,
};
use std::time::{Duration, Instant};

const GET: u16 = 1000;
const SET: u16 = 1001;
const LIST_RULES: u16 = 1013;
/// `AUDIT_TRUSTED_APP`: whatever a program has to say.
pub(super) const MARK: u16 = 1121;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// `AUDIT_STATUS_ENABLED`.
const ENABLED: u32 = 1 << 0;
/// `AUDIT_STATUS_BACKLOG_LIMIT`.
const BACKLOG: u32 = 1 << 4;
/// `AUDIT_NLGRP_READLOG`.
const READLOG: u32 = 1;
const HEADER: usize = 16;
/// `MAX_AUDIT_MESSAGE_LENGTH` is 8970.
const LONGEST: usize = 16 * 1024;
/// How many bytes wait at most for whoever listens: tens of thousands of records. With half as many the kernel's thread
/// yields after each record (`netlink_broadcast`), which on a busy machine holds up those who are refused for seconds.
const WAITING: usize = 32 << 20;
/// How long an answer may take before it is given up: for each the kernel starts a thread.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks and is answered.
pub(super) struct Control {
    socket: OwnedFd,
    sequence: u32,
}

/// The beginning of `struct audit_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// 0: off, 1: on, 2: on until the machine boots again.
    pub(super) enabled: u32,
    /// How many records may wait in the kernel, 0 for any number. Those of Landlock beyond are dropped.
    pub(super) backlog: u32,
    pub(super) lost: u32,
}

pub(super) struct Message {
    pub(super) kind: u16,
    sequence: u32,
    pub(super) body: Vec<u8>,
}

/// A socket that hears every record from now on.
pub(super) fn records() -> Result<OwnedFd> {
    let socket = socket(READLOG)?;
    // Needs a capability more, and is worth trying.
    if sockopt::set_socket_recv_buffer_size_force(&socket, WAITING).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, WAITING)?;
    }
    Ok(socket)
}

impl Control {
    pub(super) fn open() -> Result<Control> {
        Ok(Control { socket: socket(0)?, sequence: 0 })
    }

    pub(super) fn status(&mut self) -> Result<Status> {
        self.send(GET, REQUEST, &[])?;
        let body = self.answer(GET)?.ok_or(Errno::PROTO)?;
        let status =
            || Some(Status { enabled: word(&body, 4)?, backlog: word(&body, 20)?, lost: word(&body, 24)? });
        status().ok_or(Errno::PROTO)
    }

    /// Sets what is named.
    pub(super) fn set(&mut self, enabled: Option<u32>, backlog: Option<u32>) -> Result<()> {
        let mask = enabled.map_or(0, |_| ENABLED) | backlog.map_or(0, |_| BACKLOG);
        let mut status = [0; 40];
        status[..4].copy_from_slice(&mask.to_ne_bytes());
        status[4..8].copy_from_slice(&enabled.unwrap_or(0).to_ne_bytes());
        status[20..24].copy_from_slice(&backlog.unwrap_or(0).to_ne_bytes());
        self.send(SET, REQUEST | ACK, &status)?;
        self.answer(DONE).map(drop)
    }

    /// Writes a record with this text.
    pub(super) fn mark(&mut self, text: &str) -> Result<()> {
        // The kernel puts the end of a string into the last byte.
        self.send(MARK, REQUEST | ACK, &[text.as_bytes(), &[0]].concat())?;
        self.answer(DONE).map(drop)
    }

    /// What the rules of this machine hide.
    pub(super) fn hidden(&mut self) -> Result<Vec<Hides>> {
        self.send(LIST_RULES, REQUEST, &[])?;
        let mut hidden = Vec::new();
        while let Some(rule) = self.answer(LIST_RULES)? {
            hidden.extend(hides(&rule));
        }
        Ok(hidden)
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::MSGSIZE)?.to_ne_bytes();
        let kinds = [kind.to_ne_bytes(), flags.to_ne_bytes()].concat();
        // The port is 0: whatever this socket has.
        let message = [&length[..], &kinds, &self.sequence.to_ne_bytes(), &[0; 4], body].concat();
        send(&self.socket, &message, SendFlags::empty()).map(drop)
    }

    /// The next message of this type about the last request; `None` where that is done.
    fn answer(&mut self, kind: u16) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let message = match next(&self.socket)? {
                Some(message) => message,
                None if wait(&self.socket, end)? => continue,
                None => return Err(Errno::TIMEDOUT),
            };
            match message.kind {
                _ if message.sequence != self.sequence => {}
                ERROR => match word(&message.body, 0).ok_or(Errno::PROTO)?.cast_signed() {
                    0 if kind == DONE => return Ok(None),
                    // Of a request that was answered already.
                    0 => {}
                    errno => return Err(Errno::from_raw_os_error(errno.saturating_neg())),
                },
                DONE => return Ok(None),
                other if other == kind => return Ok(Some(message.body)),
                _ => {}
            }
        }
    }
}

fn socket(groups: u32) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(AUDIT))?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// A message of the kernel that is here already.
pub(super) fn next(socket: &OwnedFd) -> Result<Option<Message>> {
    let mut buffer = [0; LONGEST];
    loop {
        let (length, from) = match recvfrom(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((length, _, from)) => (length, from),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
        // The length in the header is not that of the message: records leave the header out of it.
        let body = buffer[..length].get(HEADER..);
        let (Some(0), Some(body)) = (sender.map(|sender| sender.pid()), body) else { continue };
        let kind = u16::from_ne_bytes([buffer[4], buffer[5]]);
        let sequence = u32::from_ne_bytes([buffer[8], buffer[9], buffer[10], buffer[11]]);
        return Ok(Some(Message { kind, sequence, body: body.to_owned() }));
    }
}

/// Whether something came before `end`.
pub(super) fn wait(socket: &OwnedFd, end: Instant) -> Result<bool> {
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&left)) {
        Err(Errno::INTR) => Ok(true),
        ready => ready.map(|ready| ready > 0),
    }
}

fn word(body: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?))
}
