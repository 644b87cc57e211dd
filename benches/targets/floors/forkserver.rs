//! A process that forks a child for each request, as one would in C: the child restricts itself by Landlock, installs
//! its filters and ends.

use super::{Peer, filter};
use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, Scope};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

pub const ROLE: &str = "forkserver";

/// What a child ends with when it is locked.
const LOCKED: u8 = 7;

pub struct Forkserver {
    socket: UnixStream,
    _peer: Peer,
}

impl Forkserver {
    pub fn start() -> io::Result<Forkserver> {
        let (socket, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let peer = Peer::start(ROLE, theirs.try_clone()?, theirs)?;
        Ok(Forkserver { socket, _peer: peer })
    }

    /// Returns when the child has ended.
    pub fn fork(&self) {
        let mut code = [0];
        let mut socket = &self.socket;
        socket.write_all(b"!").and_then(|()| socket.read_exact(&mut code)).expect("the forkserver serves");
        assert_eq!(code, [LOCKED], "a child could not lock itself");
    }
}

pub fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let ruleset = deny_all()?;
    let filters = filter::LENGTHS.map(filter::of_length);
    // Children inherit it, and may restrict themselves then.
    rustix::thread::set_no_new_privs(true)?;
    let (stdin, stdout) = (io::stdin(), io::stdout());
    while rustix::io::read(&stdin, &mut [0_u8; 1])? > 0 {
        let child = match clone()? {
            Some(child) => child,
            None => end(if lock(ruleset.as_ref(), &filters) { LOCKED } else { 1 }),
        };
        let ended = waitpid(Some(child), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status());
        rustix::io::write(&stdout, &[ended.map_or(0, |code| code as u8)])?;
    }
    Ok(())
}

/// Grants nothing; `None` where the kernel has no Landlock, which ours does without then too.
fn deny_all() -> Result<Option<OwnedFd>, landlock::RulesetError> {
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?;
    Ok(ruleset.create()?.into())
}

/// The system call alone, without what libc does around it. `None` in the child.
fn clone() -> io::Result<Option<Pid>> {
    // SAFETY: without flags it is a fork; this process has one thread, and the child makes only system calls.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match child {
        ..0 => Err(io::Error::last_os_error()),
        child => Ok(Pid::from_raw(child as i32)),
    }
}

fn lock(ruleset: Option<&OwnedFd>, filters: &[Vec<libc::sock_filter>]) -> bool {
    let restricted = ruleset.is_none_or(|ruleset| {
        // SAFETY: takes two integers.
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) == 0 }
    });
    restricted && filters.iter().all(|filter| filter::install(filter))
}

fn end(code: u8) -> ! {
    // SAFETY: ends the process; nothing runs afterwards.
    unsafe { libc::_exit(code.into()) }
}
