//! What the guest asks and sets that no library offers safely.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

const VERSION: u32 = 1 << 0;
const ERRATA: u32 = 1 << 1;

/// The kernel's Landlock ABI and fixed errata; 0 where it has none. Asked here and not through the library, whose
/// answer is under test.
pub fn landlock() -> (u32, u32) {
    (ask_landlock(VERSION), ask_landlock(ERRATA))
}

fn ask_landlock(flags: u32) -> u32 {
    let none = std::ptr::null::<u8>();
    // SAFETY: with these flags the kernel reads no attribute: null, of size 0.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, flags) };
    u32::try_from(answer).unwrap_or(0)
}

/// Sets the loopback interface up.
pub fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all-zero is a valid value: no name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request lives through the call, and is what this operation takes.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
