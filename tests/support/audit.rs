//! The machine's auditing: who may change it, whether it is on, its rules. Needs root of the initial namespaces.
#![allow(dead_code)] // each test file uses its part

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::net::netlink::{AUDIT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use sandboxed::__private::audit::{Enable, Listener};
use std::fs::File;
use std::io;

const HEADER: usize = 16;
const AUDIT_GET: u16 = 1000;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;

/// One test of this machine at a time; until it is dropped, which is for after the listener.
#[must_use]
pub struct Turn(File);

pub fn turn() -> Turn {
    // A name for each user: what root made, another may not open.
    let name = format!("sandboxed-audit-{}.lock", rustix::process::geteuid().as_raw());
    let file = File::create(std::env::temp_dir().join(name)).expect("a file to lock");
    flock(&file, FlockOperation::LockExclusive).expect("a turn");
    Turn(file)
}

/// A listener, or `None` where there is none, which is said.
pub fn listener() -> Option<Listener> {
    match Listener::new(Enable::IfNeeded) {
        Ok(listener) => Some(listener),
        Err(why) => {
            eprintln!("not checked: audit records cannot be read here: {why}");
            None
        }
    }
}

/// What a listener changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub enabled: u32,
    pub backlog: u32,
}

/// From `struct audit_status`.
pub fn settings() -> io::Result<Settings> {
    let status = ask(AUDIT_GET, &[], AUDIT_GET)?.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Settings { enabled: word(&status, 4), backlog: word(&status, 20) })
}

/// An exclude rule (`auditctl -a never,exclude -F msgtype=...`), until it is dropped.
pub struct Exclude(Vec<u8>);

impl Exclude {
    pub fn records(kind: u32) -> io::Result<Exclude> {
        // `struct audit_rule_data`: AUDIT_FILTER_EXCLUDE, AUDIT_NEVER, one field, the mask of all calls; types, values and
        // comparisons of 64 fields; no text. AUDIT_MSGTYPE, AUDIT_EQUAL.
        let mut words = vec![0u32; 3 + 64 + 3 * 64 + 1];
        words[..3].copy_from_slice(&[5, 0, 1]);
        words[3..67].fill(u32::MAX);
        (words[67], words[67 + 64], words[67 + 128]) = (12, kind, 0x4000_0000);
        let rule: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        ask(AUDIT_ADD_RULE, &rule, NLMSG_ERROR)?;
        Ok(Exclude(rule))
    }
}

impl Drop for Exclude {
    fn drop(&mut self) {
        ask(AUDIT_DEL_RULE, &self.0, NLMSG_ERROR).expect("the rule is deleted again");
    }
}

/// Asks the kernel; the message of type `kind` in its answer, or `None` where it only says that it was done.
fn ask(request: u16, body: &[u8], kind: u16) -> io::Result<Option<Vec<u8>>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(AUDIT))?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    let length = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes();
    let kinds = [request.to_ne_bytes(), NLM_F_REQUEST_ACK.to_ne_bytes()].concat();
    // Sequence number and port are 0.
    send(&socket, &[&length[..], &kinds, &[0; 8], body].concat(), SendFlags::empty())?;
    loop {
        let (is, body) = message(&socket)?;
        match is {
            NLMSG_ERROR if word(&body, 0) != 0 => {
                return Err(io::Error::from_raw_os_error(word(&body, 0).cast_signed().wrapping_neg()));
            }
            // What was asked for may come behind it.
            NLMSG_ERROR if kind == NLMSG_ERROR => return Ok(None),
            is if is == kind => return Ok(Some(body)),
            _ => {}
        }
    }
}

/// A message's type and body; an error where none comes for long.
fn message(socket: &OwnedFd) -> io::Result<(u16, Vec<u8>)> {
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut buffer = [0; 16 * 1024];
    let (length, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    let kind = u16::from_ne_bytes(buffer[4..6].try_into().unwrap());
    Ok((kind, buffer[HEADER..length].to_vec()))
}

fn word(body: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(body[at..at + 4].try_into().unwrap())
}
