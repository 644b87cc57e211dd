//! The network: ports, families, and what a filter refuses. All traffic stays on loopback.

#[path = "support/raw.rs"]
mod raw;
mod support;

use libc::{EACCES, ECONNREFUSED, EINVAL, EPERM};
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sockopt};
use sandboxed::{Allow, ErrorKind, Hint, Policy, sandboxed};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use support::{errno, has_abi, in_child, output_in_child};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const MSG_FASTOPEN: SendFlags = SendFlags::from_bits_retain(libc::MSG_FASTOPEN as u32);

/// Something to do with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Op {
    /// Connect by TCP.
    Connect(SocketAddr),
    /// Bind a TCP socket and listen on it.
    Serve(SocketAddr),
    /// Listen on a TCP socket that was not bound.
    Listen,
    /// Connect and send in one step.
    FastOpen(SocketAddr),
    /// The same by `sendmsg(2)`.
    FastOpenMsg(SocketAddr),
    /// What of it a filter sees, by `sendmmsg(2)`.
    FastOpenMmsg,
    /// Send a datagram.
    Send(SocketAddr),
    /// Bind a UDP socket.
    BindUdp(SocketAddr),
}

use Op::*;

impl Op {
    fn attempt(self) -> io::Result<()> {
        match self {
            Connect(to) => Ok(rustix::net::connect(socket(to, SocketType::STREAM)?, &to)?),
            Serve(at) => {
                let socket = socket(at, SocketType::STREAM)?;
                sockopt::set_socket_reuseaddr(&socket, true)?;
                rustix::net::bind(&socket, &at)?;
                Ok(rustix::net::listen(&socket, 1)?)
            }
            Listen => Ok(rustix::net::listen(socket((V4, 0).into(), SocketType::STREAM)?, 1)?),
            FastOpen(to) => fast_open(socket(to, SocketType::STREAM)?.as_fd(), to),
            FastOpenMsg(to) => {
                let socket = socket(to, SocketType::STREAM)?;
                let text = [io::IoSlice::new(b"x")];
                let mut nothing = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg_addr(socket, &to, &text, &mut nothing, MSG_FASTOPEN).map(drop)?)
            }
            FastOpenMmsg => {
                let socket = socket((V4, 0).into(), SocketType::STREAM)?;
                send_no_messages(&socket, 0)?;
                send_no_messages(&socket, libc::MSG_FASTOPEN)
            }
            Send(to) => {
                Ok(rustix::net::sendto(socket(to, SocketType::DGRAM)?, b"x", SendFlags::empty(), &to)
                    .map(drop)?)
            }
            BindUdp(at) => Ok(rustix::net::bind(socket(at, SocketType::DGRAM)?, &at)?),
        }
    }

    fn errno(self) -> i32 {
        self.attempt().map_or_else(|error| error.raw_os_error().expect("an errno"), |()| 0)
    }
}

fn socket(like: SocketAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = if like.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

fn fast_open(socket: BorrowedFd<'_>, to: SocketAddr) -> io::Result<()> {
    Ok(rustix::net::sendto(socket, b"x", MSG_FASTOPEN, &to).map(drop)?)
}

fn send_no_messages(socket: &OwnedFd, flags: i32) -> io::Result<()> {
    let arguments = [socket.as_raw_fd().into(), 0.into(), 0.into(), flags.into()];
    raw::syscall(libc::SYS_sendmmsg, arguments).map(drop)
}

#[sandboxed(policy = &policy)]
fn in_process(policy: Policy, ops: &[Op]) -> Vec<i32> {
    ops.iter().map(|op| op.errno()).collect()
}

#[sandboxed(thread, policy = &policy)]
fn in_thread(policy: Policy, ops: &[Op]) -> Vec<i32> {
    ops.iter().map(|op| op.errno()).collect()
}

#[sandboxed(in_place, thread_sync = "signal", policy = &policy)]
fn restrict(policy: Policy) {}

#[track_caller]
fn check(policy: &Policy, expected: &[(Op, i32)]) {
    let ops: Vec<Op> = expected.iter().map(|(op, _)| *op).collect();
    for (placement, found) in
        [("process", in_process(policy.clone(), &ops)), ("thread", in_thread(policy.clone(), &ops))]
    {
        for ((op, expected), found) in expected.iter().zip(found) {
            assert_eq!(found, *expected, "{op:?} under `{policy}` in {placement}");
        }
    }
}

fn listener(ip: IpAddr) -> Option<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind((ip, 0)).inspect_err(|error| eprintln!("not checked: {ip}: {error}")).ok()?;
    let address = listener.local_addr().unwrap();
    Some((listener, address))
}

/// A port that nobody else is given, and that can be bound a second time.
fn reserved(ip: IpAddr) -> Option<(OwnedFd, SocketAddr)> {
    let reserved = socket((ip, 0).into(), SocketType::STREAM).unwrap();
    sockopt::set_socket_reuseaddr(&reserved, true).unwrap();
    let bound = rustix::net::bind(&reserved, &SocketAddr::from((ip, 0)));
    bound.inspect_err(|error| eprintln!("not checked: {ip}: {error}")).ok()?;
    let address = rustix::net::getsockname(&reserved).unwrap().try_into().unwrap();
    Some((reserved, address))
}

#[test]
fn nothing_is_granted_by_default() {
    let (_open, open) = listener(V4).unwrap();
    let any = SocketAddr::from((V4, 0));
    let ops = [
        Connect(open),
        Serve(any),
        Listen,
        FastOpen(open),
        FastOpenMsg(open),
        FastOpenMmsg,
        Send(open),
        BindUdp(any),
    ];
    for op in [Connect(open), Serve(any), Listen, Send(open), BindUdp(any)] {
        assert_eq!(op.errno(), 0, "{op:?} outside of a sandbox");
    }
    check(&Policy::new(), &ops.map(|op| (op, EACCES)));
    check(&Policy::new().read("/usr").allow(Allow::Signal), &ops.map(|op| (op, EACCES)));
}

#[test]
fn tcp_connect_grants_a_port() {
    if !has_abi(4, "`tcp_connect`") {
        return;
    }
    for ip in [V4, V6] {
        let (Some((_open, open)), Some((_other, other))) = (listener(ip), listener(ip)) else { continue };
        let any = SocketAddr::from((ip, 0));
        check(
            &Policy::new().tcp_connect(open.port()),
            &[
                (Connect(open), 0),
                (Connect(other), EACCES),
                (Serve(any), EACCES),
                (Serve(open), EACCES),
                (Listen, EACCES),
                (Send(open), EACCES),
                (BindUdp(any), EACCES),
            ],
        );
    }
}

#[test]
fn tcp_bind_grants_a_port() {
    if !has_abi(4, "`tcp_bind`") {
        return;
    }
    for ip in [V4, V6] {
        let (Some((_open, open)), Some((_port, port)), Some((_other, other))) =
            (listener(ip), reserved(ip), reserved(ip))
        else {
            continue;
        };
        check(
            &Policy::new().tcp_bind(port.port()),
            &[
                (Serve(port), 0),
                (Serve(other), EACCES),
                // Any port is more than one.
                (Serve((ip, 0).into()), EACCES),
                (Connect(open), EACCES),
                (Connect(port), EACCES),
                (Send(open), EACCES),
            ],
        );
    }
}

#[test]
fn port_0_is_a_port_of_its_own() {
    if !has_abi(4, "`tcp_bind`") {
        return;
    }
    let (_port, port) = reserved(V4).unwrap();
    check(&Policy::new().tcp_bind(0), &[(Serve((V4, 0).into()), 0), (Serve(port), EACCES)]);
}

#[test]
fn ports_come_as_lists_and_ranges() {
    if !has_abi(4, "`tcp_connect`") {
        return;
    }
    let ((_one, one), (_two, two), (_three, three)) =
        (listener(V4).unwrap(), listener(V4).unwrap(), listener(V4).unwrap());
    let beside = |by: i32| SocketAddr::from((V4, u16::try_from(i32::from(one.port()) + by).unwrap()));
    check(
        &Policy::new().tcp_connect([one.port(), two.port()]),
        &[(Connect(one), 0), (Connect(two), 0), (Connect(three), EACCES)],
    );
    let around = one.port() - 1..=one.port() + 1;
    check(
        &Policy::new().tcp_connect(around),
        &[(Connect(one), 0), (Connect(beside(-2)), EACCES), (Connect(beside(2)), EACCES)],
    );
    check(
        &Policy::new().tcp_connect(one.port()..one.port() + 1),
        &[(Connect(one), 0), (Connect(beside(1)), EACCES)],
    );
    check(&Policy::new().tcp_connect(Vec::<u16>::new()), &[(Connect(one), EACCES)]);
    check(
        &Policy::new().tcp_connect(0..=u16::MAX),
        &[(Connect(one), 0), (Connect(two), 0), (Serve(one), EACCES)],
    );
}

#[test]
fn the_attribute_takes_ports_from_arguments() {
    #[sandboxed(tcp_connect = [port, 1], tcp_bind = 0)]
    fn connects(port: u16, to: &[SocketAddr]) -> Vec<i32> {
        to.iter().map(|to| Connect(*to).errno()).collect()
    }

    if has_abi(4, "`tcp_connect`") {
        let ((_open, open), (_other, other)) = (listener(V4).unwrap(), listener(V4).unwrap());
        // Nobody serves port 1.
        let found = connects(open.port(), &[open, other, (V4, 1).into()]);
        assert_eq!(found, [0, EACCES, ECONNREFUSED]);
    }
}

/// Before Linux 7.2 Landlock does not see it, so a filter refuses it, also to the granted port.
#[test]
fn fast_open_is_no_way_around_connect() {
    if !has_abi(4, "`tcp_connect`") {
        return;
    }
    let ((_open, open), (_other, other)) = (listener(V4).unwrap(), listener(V4).unwrap());
    assert_eq!(FastOpenMmsg.errno(), 0, "outside of a sandbox");
    for policy in [Policy::new().tcp_connect(open.port()), Policy::new().tcp_bind(0)] {
        check(
            &policy,
            &[
                (FastOpen(open), EACCES),
                (FastOpen(other), EACCES),
                (FastOpenMsg(other), EACCES),
                (FastOpenMmsg, EACCES),
            ],
        );
    }
}

#[test]
fn allow_udp_grants_every_port_on_every_kernel() {
    for ip in [V4, V6] {
        let Ok(receiver) = UdpSocket::bind((ip, 0)) else { continue };
        let (to, any) = (receiver.local_addr().unwrap(), SocketAddr::from((ip, 0)));
        check(
            &Policy::new().allow(Allow::Udp),
            &[
                (Send(to), 0),
                (BindUdp(any), 0),
                (Connect(to), EACCES),
                (Serve(any), EACCES),
                (Listen, EACCES),
            ],
        );
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 1);
    }
}

#[test]
fn udp_ports_are_granted_one_by_one() {
    if !has_abi(10, "`udp_connect` and `udp_bind`") {
        return;
    }
    let (open, other) = (UdpSocket::bind((V4, 0)).unwrap(), UdpSocket::bind((V4, 0)).unwrap());
    let (open, other) = (open.local_addr().unwrap(), other.local_addr().unwrap());
    let any = SocketAddr::from((V4, 0));
    check(
        &Policy::new().udp_connect(open.port()),
        &[(Send(open), 0), (Send(other), EACCES), (BindUdp(other), EACCES), (Connect(open), EACCES)],
    );
    check(&Policy::new().udp_bind(0), &[(BindUdp(any), 0), (BindUdp(other), EACCES), (Send(open), EACCES)]);
}

#[test]
fn in_place_restricts_every_thread() {
    in_child("in_place_restricts_every_thread", || {
        let (_open, open) = listener(V4).unwrap();
        let (_other, other) = listener(V4).unwrap();
        // It began before the restriction and acts after it.
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let bystander = std::thread::spawn(move || {
            gone.recv().unwrap();
            [Connect(open), Connect(other), Send(open)].map(Op::errno)
        });
        let (policy, expected) = match has_abi(4, "`tcp_connect`") {
            true => (Policy::new().tcp_connect(open.port()), [0, EACCES, EACCES]),
            false => (Policy::new().best_effort(), [EACCES; 3]),
        };
        restrict(policy);
        go.send(()).unwrap();
        assert_eq!(bystander.join().unwrap(), expected);
        assert_eq!([Connect(open), Connect(other), Send(open)].map(Op::errno), expected);
    });
}

/// `socket(2)` with these arguments, all 64 bits of each.
type Socket = (u64, u64, u64);

const INET: u64 = libc::AF_INET as u64;
const INET6: u64 = libc::AF_INET6 as u64;
const STREAM: u64 = libc::SOCK_STREAM as u64;
const DGRAM: u64 = libc::SOCK_DGRAM as u64;
const TCP: u64 = libc::IPPROTO_TCP as u64;
const UDP: u64 = libc::IPPROTO_UDP as u64;
const CLOEXEC: u64 = libc::SOCK_CLOEXEC as u64;

fn attempt_sockets(sockets: &[Socket]) -> Vec<i32> {
    let attempt = |(family, kind, protocol): &Socket| raw::socket(*family, *kind, *protocol);
    sockets
        .iter()
        .map(|socket| attempt(socket).map_or_else(|error| error.raw_os_error().unwrap(), |()| 0))
        .collect()
}

#[sandboxed(policy = &policy)]
fn sockets_in_process(policy: Policy, sockets: &[Socket]) -> Vec<i32> {
    attempt_sockets(sockets)
}

#[sandboxed(thread, policy = &policy)]
fn sockets_in_thread(policy: Policy, sockets: &[Socket]) -> Vec<i32> {
    attempt_sockets(sockets)
}

#[track_caller]
fn check_sockets(policy: &Policy, expected: &[(Socket, i32)]) {
    let sockets: Vec<Socket> = expected.iter().map(|(socket, _)| *socket).collect();
    for found in [sockets_in_process(policy.clone(), &sockets), sockets_in_thread(policy.clone(), &sockets)] {
        for ((socket, expected), found) in expected.iter().zip(found) {
            assert_eq!(found, *expected, "socket{socket:?} under `{policy}`");
        }
    }
}

/// A grant that needs TCP, on any kernel.
fn tcp() -> Policy {
    Policy::new().tcp_connect(80).best_effort()
}

fn udp() -> Policy {
    Policy::new().allow(Allow::Udp)
}

const TCP_SOCKETS: &[Socket] = &[
    (INET, STREAM, 0),
    (INET, STREAM, TCP),
    (INET6, STREAM | CLOEXEC, TCP),
    // The kernel looks at 32 bits.
    (INET | 1 << 32, STREAM | 1 << 63, TCP | 1 << 40),
];
const UDP_SOCKETS: &[Socket] = &[
    (INET, DGRAM, 0),
    (INET, DGRAM, UDP),
    (INET6, DGRAM | CLOEXEC, UDP),
    (INET | 1 << 32, DGRAM | 1 << 63, UDP | 1 << 40),
];

#[test]
fn sockets_of_the_granted_kind_can_be_made() {
    let of = |granted: &[&[Socket]]| {
        let all = TCP_SOCKETS.iter().chain(UDP_SOCKETS);
        all.map(|socket| (*socket, if granted.iter().any(|some| some.contains(socket)) { 0 } else { EACCES }))
            .collect::<Vec<_>>()
    };
    check_sockets(&Policy::new(), &of(&[]));
    check_sockets(&tcp(), &of(&[TCP_SOCKETS]));
    check_sockets(&udp(), &of(&[UDP_SOCKETS]));
    check_sockets(&tcp().allow(Allow::Udp), &of(&[TCP_SOCKETS, UDP_SOCKETS]));
}

/// Packet, netlink, vsock, Bluetooth, AF_ALG and everything that there is or will be.
#[test]
fn other_families_are_refused() {
    let families = (0..64).filter(|family| ![INET, INET6].contains(family));
    let kinds = [STREAM, DGRAM, libc::SOCK_RAW as u64, libc::SOCK_SEQPACKET as u64];
    let others: Vec<_> = families.flat_map(|family| kinds.map(|kind| ((family, kind, 0), EACCES))).collect();
    for policy in [Policy::new(), tcp(), udp(), tcp().allow(Allow::Udp)] {
        check_sockets(&policy, &others);
        check_sockets(&policy, &[((libc::AF_PACKET as u64 | 1 << 32, libc::SOCK_RAW as u64, 0), EACCES)]);
    }
}

#[test]
fn other_types_and_protocols_are_refused() {
    const MPTCP: u64 = 262;
    const SMC: u64 = 256;
    const SCTP: u64 = libc::IPPROTO_SCTP as u64;
    const UDP_LITE: u64 = libc::IPPROTO_UDPLITE as u64;
    const ICMP: u64 = libc::IPPROTO_ICMP as u64;
    const ICMP6: u64 = libc::IPPROTO_ICMPV6 as u64;
    const RAW: u64 = libc::SOCK_RAW as u64;
    const SEQPACKET: u64 = libc::SOCK_SEQPACKET as u64;
    // With AF_INET it is another name for AF_PACKET.
    const PACKET: u64 = 10;
    let others = [
        (INET, STREAM, MPTCP),
        (INET6, STREAM, MPTCP),
        (INET, STREAM | CLOEXEC, MPTCP | 1 << 32),
        (INET, STREAM, SMC),
        (INET, STREAM, SCTP),
        (INET, SEQPACKET, SCTP),
        (INET, DGRAM, UDP_LITE),
        (INET, DGRAM, ICMP),
        (INET6, DGRAM, ICMP6),
        (INET, RAW, TCP),
        (INET, RAW | 1 << 32, UDP),
        (INET6, RAW, ICMP6),
        (INET, PACKET, 3 << 8),
        (INET, SEQPACKET, 0),
        (INET, libc::SOCK_RDM as u64, 0),
        (INET, libc::SOCK_DCCP as u64, 33),
    ];
    // Ping sockets are refused by a system setting.
    for (socket, free) in
        others.iter().zip(attempt_sockets(&others)).filter(|(socket, _)| ![ICMP, ICMP6].contains(&socket.2))
    {
        assert_ne!(free, EACCES, "socket{socket:?} outside of a sandbox");
    }
    for policy in [Policy::new(), tcp(), udp(), tcp().allow(Allow::Udp)] {
        check_sockets(&policy, &others.map(|socket| (socket, EACCES)));
    }
}

#[sandboxed]
fn talks(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.write_all(b"from the worker").unwrap();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_connection_can_be_handed_over() {
    let (listener, address) = listener(V4).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let (mut host, _) = listener.accept().unwrap();
    host.write_all(b"from the host").unwrap();
    host.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(talks(stream), "from the host");
    let mut text = String::new();
    host.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the worker");
}

#[sandboxed]
fn accepts(listener: OwnedFd) -> u8 {
    let (mut stream, _) = TcpListener::from(listener).accept().unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    byte[0]
}

#[test]
fn a_listener_can_be_handed_over() {
    let (listener, address) = listener(V4).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"!").unwrap();
    assert_eq!(accepts(listener.into()), b'!');
}

/// What can be done with a fresh TCP socket that was handed over.
fn use_fresh_socket(socket: &OwnedFd, to: SocketAddr) -> [i32; 4] {
    let any = SocketAddr::from((V4, 0));
    [
        errno(fast_open(socket.as_fd(), to)),
        errno(rustix::net::connect(socket, &to).map_err(io::Error::from)),
        errno(rustix::net::bind(socket, &any).map_err(io::Error::from)),
        errno(rustix::net::listen(socket, 1).map_err(io::Error::from)),
    ]
}

#[sandboxed]
fn use_in_process(socket: OwnedFd, to: SocketAddr) -> [i32; 4] {
    use_fresh_socket(&socket, to)
}

#[sandboxed(thread)]
fn use_in_thread(socket: OwnedFd, to: SocketAddr) -> [i32; 4] {
    use_fresh_socket(&socket, to)
}

#[test]
fn a_fresh_socket_that_was_handed_over_reaches_nobody() {
    let (listener, address) = listener(V4).unwrap();
    let fresh = || socket(address, SocketType::STREAM).unwrap();
    assert_eq!(use_in_process(fresh(), address), [EACCES; 4]);
    assert_eq!(use_in_thread(fresh(), address), [EACCES; 4]);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(errno(listener.accept()), libc::EAGAIN, "nobody came");
}

/// What a datagram socket that was handed over can do: talk to its peer, send to an address, by either call.
fn use_datagrams(socket: &UdpSocket, to: SocketAddr) -> [i32; 2] {
    let by_message = || {
        let mut control = rustix::net::SendAncillaryBuffer::default();
        let parts = [std::io::IoSlice::new(b"out")];
        rustix::net::sendmsg_addr(socket, &to, &parts, &mut control, SendFlags::empty())
    };
    let sent = |result: io::Result<usize>| result.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    [sent(socket.send_to(b"out", to)), sent(by_message().map_err(io::Error::from))]
}

#[sandboxed]
fn datagrams_in_process(socket: OwnedFd, to: SocketAddr) -> ([i32; 2], bool) {
    let socket = UdpSocket::from(socket);
    let outside = use_datagrams(&socket, to);
    (outside, socket.send(b"peer").is_ok())
}

#[sandboxed(thread)]
fn datagrams_in_thread(socket: OwnedFd, to: SocketAddr) -> ([i32; 2], bool) {
    let socket = UdpSocket::from(socket);
    let outside = use_datagrams(&socket, to);
    (outside, socket.send(b"peer").is_ok())
}

/// Before ABI 10 Landlock does not look at UDP.
#[test]
fn a_datagram_socket_that_was_handed_over_reaches_its_peer_alone() {
    let (peer, stranger) = (UdpSocket::bind((V4, 0)).unwrap(), UdpSocket::bind((V4, 0)).unwrap());
    stranger.set_nonblocking(true).unwrap();
    let to = stranger.local_addr().unwrap();
    let connected = || {
        let socket = UdpSocket::bind((V4, 0)).unwrap();
        socket.connect(peer.local_addr().unwrap()).unwrap();
        OwnedFd::from(socket)
    };
    let nobody_heard = || assert_eq!(errno(stranger.recv(&mut [0; 8])), libc::EAGAIN);
    assert_eq!(datagrams_in_process(connected(), to), ([EACCES; 2], true));
    nobody_heard();
    // In a thread `sendmsg` is not refused: the program's own calls need it.
    let ([by_address, _], to_peer) = datagrams_in_thread(connected(), to);
    assert_eq!((by_address, to_peer), (EACCES, true));
    let mut text = [0; 8];
    assert_eq!(peer.recv(&mut text).unwrap(), 4);
    assert_eq!(&text[..4], b"peer");
}

fn pair(kind: SocketType) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

/// Makes a pair and sends a byte through it: 0, or the errno.
fn attempt_pair(kind: u32) -> i32 {
    let sent = pair(SocketType::from_raw(kind)).map_err(io::Error::from).and_then(|(one, two)| {
        rustix::io::write(one, b"x")?;
        Ok(rustix::io::read(two, &mut [0; 1])?)
    });
    sent.map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)
}

/// Sends to a path from a pair that needs no `connect`.
fn send_to_path(kind: u32, path: &Path) -> i32 {
    let sent = pair(SocketType::from_raw(kind)).and_then(|(one, _two)| {
        let to = rustix::net::SocketAddrUnix::new(path)?;
        rustix::net::sendto(one, b"x", SendFlags::empty(), &to)
    });
    sent.map_or_else(|errno| errno.raw_os_error(), |_| 0)
}

const PAIRS: [u32; 5] = [
    libc::SOCK_STREAM as u32,
    libc::SOCK_SEQPACKET as u32,
    libc::SOCK_DGRAM as u32,
    // Among Unix sockets another name for datagram.
    libc::SOCK_RAW as u32,
    (libc::SOCK_DGRAM | libc::SOCK_NONBLOCK) as u32,
];

#[sandboxed]
fn pairs_in_process(path: &Path) -> Vec<(i32, i32)> {
    PAIRS.map(|kind| (attempt_pair(kind), send_to_path(kind, path))).to_vec()
}

#[sandboxed(thread, read = path)]
fn pairs_in_thread(path: &Path) -> Vec<(i32, i32)> {
    PAIRS.map(|kind| (attempt_pair(kind), send_to_path(kind, path))).to_vec()
}

#[test]
fn pairs_that_reach_nobody_else_need_no_grant() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let receiver = UnixDatagram::bind(&path).unwrap();
    assert_eq!(send_to_path(libc::SOCK_RAW as u32, &path), 0, "outside of a sandbox");
    receiver.recv(&mut [0; 8]).unwrap();
    for found in [pairs_in_process(&path), pairs_in_thread(&path)] {
        let [(stream, _), (seqpacket, _), others @ ..] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((*stream, *seqpacket), (0, 0));
        assert_eq!(others, [(EACCES, EACCES); 3]);
    }
    receiver.set_nonblocking(true).unwrap();
    assert_eq!(errno(receiver.recv(&mut [0; 8])), libc::EAGAIN, "nothing came");
}

#[sandboxed]
fn pair_of_another_family() -> i32 {
    let internet =
        rustix::net::socketpair(AddressFamily::INET, SocketType::STREAM, SocketFlags::empty(), None);
    errno(internet.map_err(io::Error::from))
}

#[test]
fn pairs_of_other_families_are_refused() {
    assert_eq!(pair_of_another_family(), EACCES);
}

fn connect_unix(path: &Path) -> i32 {
    UnixStream::connect(path).map_or_else(|error| error.raw_os_error().unwrap(), |_| 0)
}

#[sandboxed]
fn connect_unix_without_grant(path: &Path) -> i32 {
    connect_unix(path)
}

#[sandboxed(thread, read = path, write = path)]
fn connect_unix_with_files(path: &Path) -> i32 {
    connect_unix(path)
}

#[sandboxed(unix = granted)]
fn connect_unix_granted(granted: &Path, paths: &[PathBuf]) -> Vec<i32> {
    paths.iter().map(|path| connect_unix(path)).collect()
}

#[test]
fn pathname_sockets_need_a_grant() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let _listeners = ["one", "two"].map(|name| UnixListener::bind(at(name)).unwrap());
    assert_eq!(connect_unix(&at("one")), 0, "outside of a sandbox");
    assert_eq!(connect_unix_without_grant(&at("one")), EACCES);
    assert_eq!(connect_unix_with_files(&at("one")), EACCES);
    if has_abi(9, "`unix`") {
        assert_eq!(connect_unix_granted(&at("one"), &[at("one"), at("two")]), [0, EACCES]);
        assert_eq!(connect_unix_granted(dir.path(), &[at("one"), at("two")]), [0, 0]);
    }
}

fn io_uring() -> [i32; 3] {
    let setup = || raw::syscall(libc::SYS_io_uring_setup, [1.into(), [0u8; 120].as_slice().into()]);
    let enter = || {
        raw::syscall(
            libc::SYS_io_uring_enter,
            [(-1).into(), 0.into(), 0.into(), 0.into(), 0.into(), 0.into()],
        )
    };
    let register = || raw::syscall(libc::SYS_io_uring_register, [(-1).into(), 0.into(), 0.into(), 0.into()]);
    [errno(setup()), errno(enter()), errno(register())]
}

#[sandboxed]
fn io_uring_in_process() -> [i32; 3] {
    io_uring()
}

#[sandboxed(thread, read = "/", write = "/", execute = "/", allow(udp, signal, metadata))]
fn io_uring_in_thread() -> [i32; 3] {
    io_uring()
}

#[test]
fn io_uring_is_refused() {
    assert_eq!(io_uring_in_process(), [EPERM; 3]);
    assert_eq!(io_uring_in_thread(), [EPERM; 3]);
}

/// An option of `prctl(2)` that does not exist.
fn unknown_option() -> i32 {
    errno(raw::syscall(libc::SYS_prctl, [0x5342_5a00u64.into(), 0.into()]))
}

#[sandboxed]
fn unknown_option_in_process() -> i32 {
    unknown_option()
}

#[sandboxed(thread)]
fn unknown_option_in_thread() -> i32 {
    unknown_option()
}

#[test]
fn other_calls_reach_the_kernel_from_threads_alone() {
    assert_eq!(unknown_option(), EINVAL);
    assert_eq!(unknown_option_in_thread(), EINVAL);
    assert_eq!(unknown_option_in_process(), EPERM);
}

#[cfg(target_arch = "x86_64")]
mod foreign_calls {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const X32: i64 = 1 << 30;

    #[sandboxed(allow(udp, signal))]
    fn by_x32() -> Result<i64, sandboxed::Error> {
        Ok(raw::syscall(X32 | libc::SYS_getpid, []).unwrap_or(0))
    }

    #[sandboxed]
    fn by_int_0x80() -> Result<i64, sandboxed::Error> {
        Ok(raw::getpid_by_int_0x80())
    }

    #[sandboxed(thread)]
    fn by_x32_in_thread() {
        drop(raw::syscall(X32 | libc::SYS_getpid, []));
    }

    #[sandboxed(thread)]
    fn by_int_0x80_in_thread() {
        raw::getpid_by_int_0x80();
    }

    #[track_caller]
    fn is_killed(error: sandboxed::Error) {
        assert_eq!(error.signal(), Some(libc::SIGSYS), "{error}");
        assert!(matches!(error.kind(), ErrorKind::Killed { hint: Some(Hint::Filter), .. }), "{error:?}");
    }

    #[test]
    fn numbers_of_x32_kill() {
        is_killed(by_x32().unwrap_err());
    }

    #[test]
    fn the_gate_of_32_bit_programs_kills() {
        is_killed(by_int_0x80().unwrap_err());
    }

    #[test]
    fn numbers_of_x32_kill_in_a_thread() {
        let name = "foreign_calls::numbers_of_x32_kill_in_a_thread";
        if let Some(output) = output_in_child(name, by_x32_in_thread) {
            assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{output:?}");
        }
    }

    #[test]
    fn the_gate_of_32_bit_programs_kills_in_a_thread() {
        let name = "foreign_calls::the_gate_of_32_bit_programs_kills_in_a_thread";
        if let Some(output) = output_in_child(name, by_int_0x80_in_thread) {
            assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{output:?}");
        }
    }
}
