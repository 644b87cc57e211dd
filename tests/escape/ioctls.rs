//! `ioctl` on descriptors that were handed over: an allow list, compared on the 32 bits that the kernel looks at.

use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::syscall;
use crate::world::World;
use libc::EACCES;
use rustix::fs::{Mode, OFlags, open};
use std::os::fd::OwnedFd;

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
const TIOCSCTTY: u64 = 0x540e;
const TIOCSPGRP: u64 = 0x5410;
const TIOCGPGRP: u64 = 0x540f;
const TIOCNOTTY: u64 = 0x5422;
const TIOCSETD: u64 = 0x5423;
const TIOCCONS: u64 = 0x541d;
const TIOCGPTPEER: u64 = 0x5441;
const TIOCSWINSZ: u64 = 0x5414;
const TIOCSIG: u64 = 0x4004_5436;
const FS_IOC_SETFLAGS: u64 = 0x4008_6602;
const FS_IOC32_SETFLAGS: u64 = 0x4004_6602;
const FS_IOC_FSSETXATTR: u64 = 0x401c_5820;
const FIOASYNC: u64 = 0x5452;
const SIOCGIFCONF: u64 = 0x8912;
const SIOCSIFFLAGS: u64 = 0x8914;
const SIOCETHTOOL: u64 = 0x8946;
const SIOCGSKNS: u64 = 0x894c;
const SIOCUNIXFILE: u64 = 0x89e0;
const NS_GET_PARENT: u64 = 0xb702;

fn terminal(_: &World) -> OwnedFd {
    open("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn file(w: &World) -> OwnedFd {
    open(w.secret(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn socket(_: &World) -> OwnedFd {
    use rustix::net::{AddressFamily, SocketType};
    rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap()
}

fn unix_socket(_: &World) -> OwnedFd {
    std::os::unix::net::UnixStream::pair().unwrap().0.into()
}

fn with_zeroes(s: &Stage) -> Tried {
    syscall(libc::SYS_ioctl, [s.given.into(), s.number.into(), [0u8; 64][..].into()])
}

/// Who takes a terminal is told of its end.
fn hung_up(s: &Stage) -> Tried {
    crate::sys::catch(libc::SIGHUP);
    with_zeroes(s)
}

pub fn attempts() -> Vec<Attempt> {
    // What else a terminal may answer: that it is not the caller's own, or that the machine has that switched off.
    const NOT_OURS: &[i32] = &[libc::ENOTTY, libc::EIO, libc::EINVAL, libc::EBUSY];
    let on_terminal = |name: &str, command: u64| {
        refused(name, EACCES, with_zeroes).with(command).given(terminal).or_not_here(NOT_OURS)
    };
    let high = |command: u64| (1u64 << 32) | command;
    vec![
        on_terminal("tiocsti", TIOCSTI),
        on_terminal("tiocsti_with_high_bits", high(TIOCSTI)),
        on_terminal("tiocsti_with_all_high_bits", 0xffff_ffff_0000_0000 | TIOCSTI),
        on_terminal("tioclinux", TIOCLINUX),
        on_terminal("tioclinux_with_high_bits", high(TIOCLINUX)),
        on_terminal("tiocsctty", TIOCSCTTY).outside(hung_up),
        on_terminal("tiocsctty_with_high_bits", high(TIOCSCTTY)).outside(hung_up),
        on_terminal("tiocspgrp", TIOCSPGRP),
        on_terminal("tiocgpgrp", TIOCGPGRP),
        on_terminal("tiocnotty", TIOCNOTTY),
        on_terminal("tiocsetd", TIOCSETD),
        // Outside it would take the machine's console away.
        on_terminal("tioccons", TIOCCONS).beside(|s| call!(SYS_fstat, s.given, &[0u8; 256][..])),
        on_terminal("tiocswinsz", TIOCSWINSZ),
        on_terminal("tiocsig", TIOCSIG),
        on_terminal("tiocgptpeer", TIOCGPTPEER),
        refused("setflags", EACCES, with_zeroes)
            .with(FS_IOC_SETFLAGS)
            .given(file)
            .or_not_here(&[libc::ENOTTY]),
        refused("setflags_with_high_bits", EACCES, with_zeroes)
            .with(high(FS_IOC_SETFLAGS))
            .given(file)
            .or_not_here(&[libc::ENOTTY]),
        refused("setflags_of_32_bits", EACCES, with_zeroes)
            .with(FS_IOC32_SETFLAGS)
            .given(file)
            .or_not_here(&[libc::ENOTTY]),
        refused("fssetxattr", EACCES, with_zeroes)
            .with(FS_IOC_FSSETXATTR)
            .given(file)
            .or_not_here(&[libc::ENOTTY]),
        refused("unknown_command", EACCES, with_zeroes)
            .with(0xdead_beefu32)
            .given(file)
            .reaches(libc::ENOTTY),
        refused("signals_to_the_owner", EACCES, with_zeroes).with(FIOASYNC).given(unix_socket),
        refused("interfaces", EACCES, with_zeroes).with(SIOCGIFCONF).given(socket),
        refused("interface_flags", EACCES, with_zeroes).with(SIOCSIFFLAGS).given(socket),
        refused("ethtool", EACCES, with_zeroes).with(SIOCETHTOOL).given(socket).reaches(libc::EFAULT),
        refused("namespace_of_a_socket", EACCES, with_zeroes).with(SIOCGSKNS).given(socket),
        refused("file_of_a_socket", EACCES, with_zeroes)
            .with(SIOCUNIXFILE)
            .given(unix_socket)
            .or_not_here(&[libc::ENOENT]),
        refused("namespace_of_a_namespace", EACCES, with_zeroes)
            .with(NS_GET_PARENT)
            .given(|_| open("/proc/self/ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()),
    ]
}
