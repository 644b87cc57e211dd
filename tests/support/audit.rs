//! The kernel's audit records, read without auditd.
//!
//! <https://docs.kernel.org/admin-guide/LSM/landlock.html#audit>, `linux/audit.h`. Needs root of the initial user and
//! network namespaces.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use std::io;

const HEADER: usize = 16;
const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
/// An access that Landlock refused.
const AUDIT_LANDLOCK_ACCESS: u16 = 1423;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const AUDIT_STATUS_ENABLED: u32 = 1;
const AUDIT_NLGRP_READLOG: u32 = 1;

/// Listens to audit records, which are switched on meanwhile.
pub struct Records {
    control: OwnedFd,
    listener: OwnedFd,
    was_enabled: u32,
}

impl Records {
    pub fn listen() -> io::Result<Records> {
        let listener = netlink(AUDIT_NLGRP_READLOG)?;
        let control = netlink(0)?;
        let was_enabled = enabled(&control)?;
        let records = Records { control, listener, was_enabled };
        // 2 is "on, and locked", where setting it is refused.
        if was_enabled == 0 {
            set_enabled(&records.control, 1)?;
        }
        Ok(records)
    }

    /// The records of Landlock's refusals, up to the first that holds `last`.
    pub fn refusals_until(&self, last: &str) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let (kind, body) = message(&self.listener).expect("a record that holds the last");
            let text = String::from_utf8_lossy(&body).into_owned();
            if kind == AUDIT_LANDLOCK_ACCESS {
                found.push(text);
                if found.last().is_some_and(|text| text.contains(last)) {
                    return found;
                }
            }
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        if self.was_enabled == 0 {
            set_enabled(&self.control, 0).expect("audit is switched off again");
        }
    }
}

fn netlink(groups: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(AUDIT))?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// `struct audit_status` begins with a mask and whether audit is enabled.
fn enabled(control: &OwnedFd) -> io::Result<u32> {
    request(control, AUDIT_GET, &[])?;
    loop {
        let (kind, body) = message(control)?;
        match kind {
            AUDIT_GET => return Ok(word(&body, 4)),
            NLMSG_ERROR if word(&body, 0) != 0 => return Err(error(&body)),
            _ => {}
        }
    }
}

fn set_enabled(control: &OwnedFd, enabled: u32) -> io::Result<()> {
    let mut status = [0; 40];
    status[..4].copy_from_slice(&AUDIT_STATUS_ENABLED.to_ne_bytes());
    status[4..8].copy_from_slice(&enabled.to_ne_bytes());
    request(control, AUDIT_SET, &status)?;
    loop {
        match message(control)? {
            (NLMSG_ERROR, body) if word(&body, 0) == 0 => return Ok(()),
            (NLMSG_ERROR, body) => return Err(error(&body)),
            _ => {}
        }
    }
}

fn request(control: &OwnedFd, kind: u16, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes();
    let kinds = [kind.to_ne_bytes(), NLM_F_REQUEST_ACK.to_ne_bytes()].concat();
    // Sequence number and port are 0.
    let message = [&length[..], &kinds, &[0; 8], body].concat();
    send(control, &message, SendFlags::empty())?;
    Ok(())
}

/// A message's kind and body; an error where none comes for long.
fn message(socket: &OwnedFd) -> io::Result<(u16, Vec<u8>)> {
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut buffer = [0; 16 * 1024];
    let (length, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    // Audit's own count of the length leaves the header out, so the length is that of the datagram.
    let kind = u16::from_ne_bytes(buffer[4..6].try_into().unwrap());
    Ok((kind, buffer[HEADER..length].to_vec()))
}

fn word(body: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(body[at..at + 4].try_into().unwrap())
}

/// The message holds the errno, negated.
fn error(body: &[u8]) -> io::Error {
    io::Error::from_raw_os_error(word(body, 0).cast_signed().wrapping_neg())
}
