//! The end of children as something to poll for (`signalfd(2)`).
#![allow(unsafe_code)]

use rustix::fd::{FromRawFd, OwnedFd};
use std::io;

/// Blocks `SIGCHLD` for this thread and returns a descriptor that becomes readable instead.
pub(crate) fn of_children() -> io::Result<OwnedFd> {
    let set = super::process::signal_set(&[libc::SIGCHLD]);
    // SAFETY: the set was initialised; no old mask is asked for.
    let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if blocked != 0 {
        return Err(io::Error::from_raw_os_error(blocked));
    }
    // SAFETY: -1 asks for a new descriptor; the set was initialised.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
