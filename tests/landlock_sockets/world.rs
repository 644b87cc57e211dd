//! What there is to reach: ports and servers on loopback, abstract names.

use crate::acts::{Address, Kind, make};
use rustix::net::SocketAddrUnix;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// By which addresses, or, for Unix sockets, by which type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    V4,
    V6,
    /// IPv4 addresses as IPv6 sockets have them.
    Mapped,
    Stream,
    Datagram,
    Seqpacket,
}

pub const IP: &[Over] = &[Over::V4, Over::V6, Over::Mapped];
pub const V4: &[Over] = &[Over::V4];
pub const UNIX: &[Over] = &[Over::Stream, Over::Datagram, Over::Seqpacket];
pub const CONNECTIONS: &[Over] = &[Over::Stream, Over::Seqpacket];
pub const DATAGRAM: &[Over] = &[Over::Datagram];

/// What one kind of sockets can reach. The worlds of a row have the same ports and directory.
pub struct World {
    pub over: Over,
    pub kind: Kind,
    /// Somebody answers there; the tables grant the first.
    pub open: u16,
    pub other: u16,
    /// Nobody does, and they can be bound a second time.
    pub free: u16,
    pub other_free: u16,
    directory: PathBuf,
}

/// What stays as it is while a row is tried.
pub struct Held {
    _sockets: Vec<OwnedFd>,
    _directory: tempfile::TempDir,
}

/// Whether there is IPv6 here, and why not.
pub fn has_v6() -> io::Result<()> {
    let kind = Kind { family: libc::AF_INET6, ..ip_kind(libc::IPPROTO_TCP) };
    Ok(rustix::net::bind(&make(kind)?, &SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))?)
}

/// The worlds of these; without IPv6 those of IPv4 alone.
pub fn worlds(over: &[Over], protocol: i32) -> io::Result<(Vec<World>, Held)> {
    let has_v6 = has_v6().is_ok();
    let mut held = Vec::new();
    let mut port = |serve| hold_port(ip_kind(protocol), serve, has_v6, &mut held);
    let [open, other, free, other_free] = [port(true)?, port(true)?, port(false)?, port(false)?];
    let directory = tempfile::tempdir()?;
    ["one", "two"].iter().try_for_each(|name| std::fs::create_dir(directory.path().join(name)))?;
    let over = over.iter().filter(|over| has_v6 || ![Over::V6, Over::Mapped].contains(over));
    let world = |over: &Over| {
        let kind = match over {
            Over::V4 => ip_kind(protocol),
            Over::V6 | Over::Mapped => Kind { family: libc::AF_INET6, ..ip_kind(protocol) },
            Over::Stream => unix_kind(libc::SOCK_STREAM),
            Over::Datagram => unix_kind(libc::SOCK_DGRAM),
            Over::Seqpacket => unix_kind(libc::SOCK_SEQPACKET),
        };
        World { over: *over, kind, open, other, free, other_free, directory: directory.path().to_owned() }
    };
    let worlds: Vec<World> = over.map(world).collect();
    for world in worlds.iter().filter(|world| world.kind.family == libc::AF_UNIX) {
        held.extend(world.serve_names()?);
    }
    Ok((worlds, Held { _sockets: held, _directory: directory }))
}

/// A port of loopback, the same over IPv4 and IPv6.
fn hold_port(kind: Kind, serve: bool, has_v6: bool, held: &mut Vec<OwnedFd>) -> io::Result<u16> {
    loop {
        let v4 = make(kind)?;
        rustix::net::bind(&v4, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let port = SocketAddr::try_from(rustix::net::getsockname(&v4)?)?.port();
        let mut sockets = vec![v4];
        if has_v6 {
            let v6 = make(Kind { family: libc::AF_INET6, ..kind })?;
            // Somebody else may have it there.
            if rustix::net::bind(&v6, &SocketAddr::from((Ipv6Addr::LOCALHOST, port))).is_err() {
                continue;
            }
            sockets.push(v6);
        }
        if serve && kind.kind == libc::SOCK_STREAM {
            sockets.iter().try_for_each(|socket| rustix::net::listen(socket, 128))?;
        }
        held.append(&mut sockets);
        return Ok(port);
    }
}

impl World {
    /// Servers of this kind of Unix sockets: under an abstract name, and in each directory.
    fn serve_names(&self) -> io::Result<Vec<OwnedFd>> {
        let abstract_name = SocketAddrUnix::new_abstract_name(self.name("server").as_bytes())?;
        let [one, two] = ["one", "two"].map(|name| SocketAddrUnix::new(self.socket_in(name)));
        let serve = |address: SocketAddrUnix| {
            let socket = make(self.kind)?;
            rustix::net::bind(&socket, &address)?;
            if self.kind.kind != libc::SOCK_DGRAM {
                rustix::net::listen(&socket, 128)?;
            }
            Ok(socket)
        };
        [abstract_name, one?, two?].into_iter().map(serve).collect()
    }

    /// The loopback address.
    pub fn at(&self, port: u16) -> Address {
        match self.over {
            Over::V6 => self.ip(Ipv6Addr::LOCALHOST, port),
            _ => self.ip(Ipv4Addr::LOCALHOST, port),
        }
    }

    /// The wildcard address.
    pub fn any(&self, port: u16) -> Address {
        match self.over {
            Over::V6 => self.ip(Ipv6Addr::UNSPECIFIED, port),
            _ => self.ip(Ipv4Addr::UNSPECIFIED, port),
        }
    }

    /// As the table's sockets have it.
    pub fn ip(&self, ip: impl Into<IpAddr>, port: u16) -> Address {
        match (self.over, ip.into()) {
            (Over::Mapped, IpAddr::V4(ip)) => sockaddr((ip.to_ipv6_mapped(), port).into()),
            (_, ip) => sockaddr((ip, port).into()),
        }
    }

    /// The loopback address, for `sendmsg(2)`.
    pub fn socket_addr(&self, port: u16) -> SocketAddr {
        let ip: IpAddr = match self.over {
            Over::V6 => Ipv6Addr::LOCALHOST.into(),
            Over::Mapped => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        (ip, port).into()
    }

    pub fn is_v4(&self) -> bool {
        self.over == Over::V4
    }

    /// With IPv4 sockets the one, with IPv6 sockets the other.
    pub fn v4(&self, then: i32, otherwise: i32) -> i32 {
        if self.is_v4() { then } else { otherwise }
    }

    /// With datagram sockets the one, with others the other.
    pub fn datagram(&self, then: i32, otherwise: i32) -> i32 {
        if self.over == Over::Datagram { then } else { otherwise }
    }

    fn name(&self, what: &str) -> String {
        let row = self.directory.file_name().unwrap().to_string_lossy();
        format!("sandboxed-{row}-{:?}-{what}", self.over)
    }

    /// Where a server outside answers.
    pub fn server(&self) -> Address {
        unix_address(&format!("\0{}", self.name("server")))
    }

    /// An abstract name that nobody has yet.
    pub fn own(&self) -> Address {
        Address::Own(unix_address(&format!("\0{}", self.name("own"))).bytes())
    }

    /// The directories `one` and `two`, in which servers have their sockets.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn socket_in(&self, name: &str) -> PathBuf {
        self.path(name).join(format!("{:?}", self.over))
    }

    pub fn at_path(&self, name: &str) -> Address {
        unix_address(&format!("{}\0", self.socket_in(name).to_str().unwrap()))
    }

    /// A new socket of the table's kind, to be handed over.
    pub fn fresh(&self) -> OwnedFd {
        make(self.kind).unwrap()
    }

    /// A socket that is bound to this address.
    pub fn bound(&self, to: Address) -> OwnedFd {
        let socket = self.fresh();
        call(libc::SYS_bind, &socket, to);
        socket
    }

    /// A socket that is connected to this address.
    pub fn connected(&self, to: Address) -> OwnedFd {
        let socket = self.fresh();
        call(libc::SYS_connect, &socket, to);
        socket
    }
}

fn call(number: libc::c_long, socket: &impl AsFd, to: Address) {
    use std::os::fd::AsRawFd;
    let to = to.bytes();
    let length = to.len() as u64;
    crate::raw::syscall(number, [socket.as_fd().as_raw_fd().into(), to[..].into(), length.into()]).unwrap();
}

fn ip_kind(protocol: i32) -> Kind {
    let kind = if protocol == libc::IPPROTO_TCP { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
    Kind { family: libc::AF_INET, kind, protocol: 0 }
}

fn unix_kind(kind: i32) -> Kind {
    Kind { family: libc::AF_UNIX, kind, protocol: 0 }
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn sockaddr(address: SocketAddr) -> Address {
    let family = |family: i32| u16::try_from(family).unwrap().to_ne_bytes();
    let port = address.port().to_be_bytes();
    Address::Bytes(match address.ip() {
        IpAddr::V4(ip) => [&family(libc::AF_INET)[..], &port, &ip.octets(), &[0; 8]].concat(),
        IpAddr::V6(ip) => [&family(libc::AF_INET6)[..], &port, &[0; 4], &ip.octets(), &[0; 4]].concat(),
    })
}

/// `struct sockaddr_un`, as long as its name.
fn unix_address(name: &str) -> Address {
    let family = u16::try_from(libc::AF_UNIX).unwrap().to_ne_bytes();
    Address::Bytes([&family, name.as_bytes()].concat())
}
