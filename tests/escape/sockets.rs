//! Sockets: of every family, and with those that are handed over or granted.

use crate::attack;
use crate::attempt::{Attempt, Stage, Tried, refused};
use crate::raw::{owned, socket, syscall};
use crate::world::World;
use libc::{EACCES, EPERM};
use rustix::net::{AddressFamily, SocketType};
use sandboxed::{Allow, Policy};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Family, type, protocol.
const KINDS: &[(&str, i32, i32, i32)] = &[
    ("tcp", libc::AF_INET, libc::SOCK_STREAM, 0),
    ("tcp6", libc::AF_INET6, libc::SOCK_STREAM, 0),
    ("udp", libc::AF_INET, libc::SOCK_DGRAM, 0),
    ("udp6", libc::AF_INET6, libc::SOCK_DGRAM, 0),
    ("udp_lite", libc::AF_INET, libc::SOCK_DGRAM, 136),
    ("ping", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    ("mptcp", libc::AF_INET, libc::SOCK_STREAM, 262),
    ("sctp", libc::AF_INET, libc::SOCK_STREAM, 132),
    ("sctp_seqpacket", libc::AF_INET, libc::SOCK_SEQPACKET, 132),
    ("dccp", libc::AF_INET, 6, 33),
    ("smc_by_protocol", libc::AF_INET, libc::SOCK_STREAM, 256),
    ("raw", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    ("raw6", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW),
    ("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
    ("packet_by_old_type", libc::AF_INET, 10, 0),
    ("netlink_route", libc::AF_NETLINK, libc::SOCK_RAW, 0),
    ("netlink_audit", libc::AF_NETLINK, libc::SOCK_RAW, 9),
    ("netlink_uevent", libc::AF_NETLINK, libc::SOCK_DGRAM, 15),
    ("netlink_generic", libc::AF_NETLINK, libc::SOCK_RAW, 16),
    ("unix_stream", libc::AF_UNIX, libc::SOCK_STREAM, 0),
    ("unix_datagram", libc::AF_UNIX, libc::SOCK_DGRAM, 0),
    ("unix_seqpacket", libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
    ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ("bluetooth", libc::AF_BLUETOOTH, libc::SOCK_RAW, 1),
    ("can", libc::AF_CAN, libc::SOCK_RAW, 1),
    ("rds", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
    ("tipc", libc::AF_TIPC, libc::SOCK_RDM, 0),
    ("kcm", 41, libc::SOCK_DGRAM, 0),
    ("smc", 43, libc::SOCK_STREAM, 0),
    ("xdp", libc::AF_XDP, libc::SOCK_RAW, 0),
    ("qipcrtr", 42, libc::SOCK_DGRAM, 0),
    ("ax25", libc::AF_AX25, libc::SOCK_DGRAM, 0),
    ("x25", libc::AF_X25, libc::SOCK_SEQPACKET, 0),
    ("key", libc::AF_KEY, libc::SOCK_RAW, 2),
    ("nfc", libc::AF_NFC, libc::SOCK_SEQPACKET, 0),
    ("phonet", libc::AF_PHONET, libc::SOCK_DGRAM, 0),
    ("llc", libc::AF_LLC, libc::SOCK_STREAM, 0),
    ("pppox", libc::AF_PPPOX, libc::SOCK_STREAM, 0),
    ("unspecified", 0, libc::SOCK_STREAM, 0),
];

fn make(s: &Stage) -> Tried {
    let (_, family, kind, protocol) = KINDS[(s.number & 0xffff) as usize];
    // The upper half is for the bits that the kernel does not look at.
    let high = (s.number >> 16) << 32;
    let [family, kind, protocol] = [family, kind, protocol].map(|value| high | value as u32 as u64);
    socket(family, kind, protocol).map(|()| 0)
}

fn kinds(except: &[&str], class: &str, policy: fn(&World) -> Policy) -> Vec<Attempt> {
    let kinds = KINDS.iter().enumerate().filter(|(_, kind)| !except.contains(&kind.0));
    kinds.map(|(at, kind)| made(format!("{class}{}", kind.0), at).under(policy)).collect()
}

fn made(name: String, at: usize) -> Attempt {
    // Types that a family does not have, or that only root may ask for.
    refused(name, EACCES, make).with(at).or_not_here(&[libc::EINVAL, libc::EPROTOTYPE])
}

pub fn ip(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let [a, b] = (libc::AF_INET as u16).to_ne_bytes();
    vec![a, b, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

pub fn unix(name: &[u8]) -> Vec<u8> {
    [&(libc::AF_UNIX as u16).to_ne_bytes(), name].concat()
}

fn at_path(path: &Path) -> Vec<u8> {
    unix(&[path.to_str().unwrap().as_bytes(), b"\0"].concat())
}

fn abstract_name(w: &World) -> Vec<u8> {
    unix(&[b"\0", w.name.as_bytes()].concat())
}

fn given(family: AddressFamily, kind: SocketType) -> OwnedFd {
    rustix::net::socket(family, kind, None).unwrap()
}

fn given_tcp(_: &World) -> OwnedFd {
    given(AddressFamily::INET, SocketType::STREAM)
}

fn given_udp(_: &World) -> OwnedFd {
    given(AddressFamily::INET, SocketType::DGRAM)
}

fn given_unix(_: &World) -> OwnedFd {
    given(AddressFamily::UNIX, SocketType::STREAM)
}

fn given_unix_datagram(_: &World) -> OwnedFd {
    given(AddressFamily::UNIX, SocketType::DGRAM)
}

fn given_pair(_: &World) -> OwnedFd {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // What nobody reads stays in the socket.
    std::mem::forget(theirs);
    ours.into()
}

fn bind(fd: i32, address: &[u8]) -> Tried {
    call!(SYS_bind, fd, address, address.len() as u64)
}

fn connect(fd: i32, address: &[u8]) -> Tried {
    call!(SYS_connect, fd, address, address.len() as u64)
}

fn send_to(fd: i32, flags: i32, address: &[u8]) -> Tried {
    call!(SYS_sendto, fd, &b"x"[..], 1, flags, address, address.len() as u64)
}

fn opened(family: i32, kind: i32) -> std::io::Result<OwnedFd> {
    syscall(libc::SYS_socket, [family.into(), kind.into(), 0.into()]).map(owned)
}

fn pair(kind: i32) -> std::io::Result<[OwnedFd; 2]> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::from_raw(kind as u32),
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map(|(a, b)| [a, b])
    .map_err(Into::into)
}

fn a_tcp_port(w: &World) -> Policy {
    // Any but those that are there.
    Policy::new().tcp_bind(other_port(w)).tcp_connect(other_port(w))
}

fn other_port(w: &World) -> u16 {
    (20_000..).find(|port| ![w.tcp, w.udp].contains(port)).unwrap()
}

fn abstract_sockets(_: &World) -> Policy {
    Policy::new().allow(Allow::AbstractUnixSocket)
}

fn sockets_of_files(w: &World) -> Policy {
    Policy::new().unix(w.granted())
}

pub fn attempts() -> Vec<Attempt> {
    let mut all = kinds(&[], "", |_| Policy::new());
    all.extend(kinds(&["tcp", "tcp6"], "with_tcp_", a_tcp_port));
    all.extend(kinds(&["unix_stream", "unix_datagram", "unix_seqpacket"], "with_unix_", abstract_sockets));
    all.extend(handed_over());
    all.extend(granted_tcp());
    all.extend(granted_unix());
    all.extend(pairs());
    all.extend([
        made("tcp_with_high_bits".into(), 1 << 16),
        made("udp_with_high_bits".into(), (0xffff << 16) | 2),
        made("raw_with_high_bits_with_tcp".into(), (1 << 16) | 11).under(a_tcp_port),
    ]);
    all
}

fn handed_over() -> Vec<Attempt> {
    vec![
        refused("bind_tcp", EACCES, |s| bind(s.given, &ip(0))).given(given_tcp),
        refused("connect_tcp", EACCES, |s| connect(s.given, &ip(s.world.tcp))).given(given_tcp),
        refused("disconnect_tcp", EACCES, |s| connect(s.given, &[0; 16])).given(given_tcp),
        refused("listen_unbound", EACCES, |s| call!(SYS_listen, s.given, 1)).given(given_tcp),
        refused("fast_open", EACCES, |s| send_to(s.given, libc::MSG_FASTOPEN, &ip(s.world.tcp)))
            .given(given_tcp)
            .or_not_here(&[libc::EINPROGRESS]),
        refused("bind_udp", EACCES, |s| bind(s.given, &ip(0))).given(given_udp),
        refused("connect_udp", EACCES, |s| connect(s.given, &ip(s.world.udp))).given(given_udp),
        refused("send_udp", EACCES, |s| send_to(s.given, 0, &ip(s.world.udp))).given(given_udp),
        refused("send_udp_message", EACCES, |s| attack::send_message(s.given, &mut ip(s.world.udp), None))
            .given(given_udp),
        refused("sendmmsg_udp", EACCES, |s| call!(SYS_sendmmsg, s.given, 0, 0, 0)).given(given_udp),
        refused("connect_stream", EACCES, |s| connect(s.given, &at_path(&s.world.directory.join("stream"))))
            .given(given_unix),
        refused("connect_abstract", EACCES, |s| connect(s.given, &abstract_name(&s.world))).given(given_unix),
        refused("send_datagram", EACCES, |s| {
            send_to(s.given, 0, &at_path(&s.world.directory.join("datagram")))
        })
        .given(given_unix_datagram),
        refused("bind_path", EACCES, |s| bind(s.given, &at_path(&s.world.directory.join("new"))))
            .given(given_unix)
            .outside(|s| bind(s.given, &at_path(&s.world.directory.join("new-outside")))),
        refused("bind_abstract", EACCES, |s| bind(s.given, &unix(b"\0sandboxed-escape-new")))
            .given(given_unix),
        refused("send_a_descriptor", EACCES, |s| attack::send_message(s.given, &mut [], Some(0)))
            .given(given_pair),
        refused("send_to_peer_with_high_bits", EACCES, |s| {
            let address = ip(s.world.udp);
            syscall(
                libc::SYS_sendto,
                [
                    s.given.into(),
                    b"x"[..].into(),
                    1.into(),
                    (1u64 << 32).into(),
                    address[..].into(),
                    ((1u64 << 32) | 16).into(),
                ],
            )
        })
        .given(given_udp),
    ]
}

fn granted_tcp() -> Vec<Attempt> {
    fn tcp() -> std::io::Result<OwnedFd> {
        opened(libc::AF_INET, libc::SOCK_STREAM)
    }
    let bind_other = |_: &Stage| bind(tcp()?.as_raw_fd(), &ip(0));
    let reach_other = |s: &Stage| connect(tcp()?.as_raw_fd(), &ip(s.world.tcp));
    vec![
        refused("bind_another_port", EACCES, bind_other).under(a_tcp_port),
        refused("connect_another_port", EACCES, reach_other).under(a_tcp_port),
        refused("fast_open_to_another_port", EACCES, |s| {
            send_to(tcp()?.as_raw_fd(), libc::MSG_FASTOPEN, &ip(s.world.tcp))
        })
        .under(a_tcp_port)
        .or_not_here(&[libc::EINPROGRESS]),
        refused("connect_after_unspecified", EACCES, |s| {
            let socket = tcp()?;
            connect(socket.as_raw_fd(), &[0; 16]).unwrap_or_default();
            connect(socket.as_raw_fd(), &ip(s.world.tcp))
        })
        .under(a_tcp_port),
        refused("listen_where_only_connect_is_granted", EACCES, |_| call!(SYS_listen, tcp()?.as_raw_fd(), 1))
            .under(|w| Policy::new().tcp_connect(other_port(w))),
        refused("bind_in_place", EACCES, bind_other).under(a_tcp_port).in_place(),
        refused("socket", EACCES, |_| socket(libc::AF_INET as u64, libc::SOCK_STREAM as u64, 0).map(|()| 0))
            .in_place(),
        refused("udp_socket", EACCES, |_| {
            socket(libc::AF_INET as u64, libc::SOCK_DGRAM as u64, 0).map(|()| 0)
        })
        .in_place(),
        refused("unix_socket", EACCES, |_| {
            socket(libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0).map(|()| 0)
        })
        .in_place(),
    ]
}

fn granted_unix() -> Vec<Attempt> {
    fn stream() -> std::io::Result<OwnedFd> {
        opened(libc::AF_UNIX, libc::SOCK_STREAM)
    }
    fn datagram() -> std::io::Result<OwnedFd> {
        opened(libc::AF_UNIX, libc::SOCK_DGRAM)
    }
    vec![
        refused("connect_another_path", EACCES, |s| {
            connect(stream()?.as_raw_fd(), &at_path(&s.world.directory.join("stream")))
        })
        .under(sockets_of_files),
        refused("send_to_another_path", EACCES, |s| {
            send_to(datagram()?.as_raw_fd(), 0, &at_path(&s.world.directory.join("datagram")))
        })
        .under(sockets_of_files),
        refused("connect_abstract_with_unix", EPERM, |s| {
            connect(stream()?.as_raw_fd(), &abstract_name(&s.world))
        })
        .under(sockets_of_files),
        refused("make_a_path_with_unix", EACCES, |s| {
            bind(stream()?.as_raw_fd(), &at_path(&s.world.granted().join("new")))
        })
        .under(sockets_of_files)
        .outside(|s| bind(stream()?.as_raw_fd(), &at_path(&s.world.granted().join("new-outside")))),
        refused("path_with_abstract", EACCES, |s| {
            connect(stream()?.as_raw_fd(), &at_path(&s.world.directory.join("stream")))
        })
        .under(|_| Policy::new().allow(Allow::AbstractUnixSocket)),
    ]
}

fn pairs() -> Vec<Attempt> {
    let stream = |_: &Stage| pair(libc::SOCK_STREAM).map(|_| 0);
    vec![
        refused("datagram_pair", EACCES, |_| pair(libc::SOCK_DGRAM).map(|_| 0)).beside(stream),
        refused("raw_pair", EACCES, |_| pair(libc::SOCK_RAW).map(|_| 0)).beside(stream),
        refused("pair_of_another_family", EACCES, |_| {
            call!(SYS_socketpair, libc::AF_TIPC, libc::SOCK_STREAM, 0, &[0u8; 8][..])
        })
        .beside(stream),
        refused("datagram_pair_then_path", EACCES, |s| {
            let [ours, _theirs] = pair(libc::SOCK_DGRAM)?;
            send_to(ours.as_raw_fd(), 0, &at_path(&s.world.directory.join("datagram")))
        })
        .beside(stream),
        refused("pair_then_connect", EACCES, |s| {
            let [ours, _theirs] = pair(libc::SOCK_STREAM)?;
            connect(ours.as_raw_fd(), &at_path(&s.world.directory.join("stream")))
        })
        .beside(stream),
        refused("pair_then_descriptor", EACCES, |_| {
            let [ours, _theirs] = pair(libc::SOCK_STREAM)?;
            attack::send_message(ours.as_raw_fd(), &mut [], Some(0))
        })
        .beside(stream),
    ]
}
