//! TCP: bind and connect, by port.

use crate::Entry;
use crate::acts::{Act, Address, Kind, Op};
use crate::rows::{ANY, Line, fixed, line, since};
use crate::world::{IP, Over, V4, World};
use Act::{Given, List, Of, Then};
use Op::{Accept, Bind, Connect, Listen, Make, Message, Send, SendTo, Set};
use libc::{EACCES, EAFNOSUPPORT, ECONNREFUSED, EINPROGRESS, EINVAL, ENETUNREACH, EPIPE};
use sandboxed::{Placement, Policy};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

const MPTCP: i32 = 262;

fn tcp(name: &'static str, table: fn(&World) -> (Policy, Vec<Line<Act>>)) -> Entry {
    Entry::new(name, libc::IPPROTO_TCP, 4, IP, table)
}

fn new() -> Policy {
    Policy::new()
}

fn bind(to: Address) -> Act {
    Act::Fresh(Bind(to))
}

fn connect(to: Address) -> Act {
    Act::Fresh(Connect(to))
}

/// As root the one, as another user the other: ports below 1024.
fn privileged(port: u16, then: i32) -> i32 {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first: u16 = first.ok().and_then(|first| first.trim().parse().ok()).unwrap_or(1024);
    if port >= first || rustix::process::geteuid().is_root() { then } else { EACCES }
}

pub fn table() -> Vec<Entry> {
    [ports(), special_ports(), addresses(), calls(), handed_over()].into_iter().flatten().collect()
}

fn ports() -> Vec<Entry> {
    vec![
        // net_test.c: protocol.bind
        tcp("tcp_bind", |w| {
            (
                new().tcp_bind(w.free),
                vec![
                    line(bind(w.at(w.free)), 0, 0),
                    line(Then(Listen), 0, 0),
                    line(bind(w.at(w.other_free)), 0, EACCES),
                    line(bind(w.at(w.open)), libc::EADDRINUSE, EACCES),
                    line(bind(w.at(0)), 0, EACCES),
                    line(connect(w.at(w.open)), 0, EACCES),
                ],
            )
        })
        .in_place(),
        // net_test.c: protocol.connect
        tcp("tcp_connect", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(connect(w.at(w.open)), 0, 0),
                    line(Then(Send), 0, 0),
                    line(connect(w.at(w.other)), 0, EACCES),
                    line(connect(w.at(w.other_free)), ECONNREFUSED, EACCES),
                    line(bind(w.at(w.free)), 0, EACCES),
                    line(bind(w.at(w.open)), libc::EADDRINUSE, EACCES),
                ],
            )
        })
        .in_place(),
        // net_test.c: protocol.connect, where nobody listens
        tcp("tcp_connect_refused", |w| {
            (
                new().tcp_connect(w.free),
                vec![
                    line(connect(w.at(w.free)), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(w.other_free)), ECONNREFUSED, EACCES),
                ],
            )
        }),
        // net_test.c: protocol.bind and protocol.connect, both on one port
        tcp("tcp_bind_and_connect", |w| {
            (
                new().tcp_bind(w.free).tcp_connect(w.free),
                vec![
                    line(connect(w.at(w.free)), ECONNREFUSED, ECONNREFUSED),
                    line(bind(w.at(w.free)), 0, 0),
                    line(Then(Listen), 0, 0),
                    line(connect(w.at(w.free)), 0, 0),
                    line(bind(w.at(w.other_free)), 0, EACCES),
                    line(connect(w.at(w.open)), 0, EACCES),
                ],
            )
        }),
        // net_test.c: protocol.bind and protocol.connect, each on its own port
        tcp("tcp_bind_one_connect_other", |w| {
            (
                new().tcp_bind(w.free).tcp_connect(w.open),
                vec![
                    line(bind(w.at(w.free)), 0, 0),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                    line(connect(w.at(w.open)), 0, 0),
                    line(connect(w.at(w.free)), ECONNREFUSED, EACCES),
                    line(bind(w.at(w.open)), libc::EADDRINUSE, EACCES),
                ],
            )
        }),
        // net_test.c: mini.network_access_rights
        tcp("tcp_lists", |w| {
            (
                new().tcp_connect([w.open, w.free]).tcp_bind(vec![w.free, w.free]).tcp_bind(w.other_free),
                vec![
                    line(connect(w.at(w.open)), 0, 0),
                    line(connect(w.at(w.free)), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(w.other)), 0, EACCES),
                    line(bind(w.at(w.free)), 0, 0),
                    line(bind(w.at(w.other_free)), 0, 0),
                    line(bind(w.at(0)), 0, EACCES),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_BIND_TCP
        tcp("tcp_ranges", |w| {
            (
                new().tcp_bind(20001..=20003).tcp_bind(20003..20006).tcp_connect(w.open..=w.open),
                vec![
                    line(bind(w.at(20000)), 0, EACCES),
                    line(bind(w.at(20001)), 0, 0),
                    line(bind(w.at(20003)), 0, 0),
                    line(bind(w.at(20005)), 0, 0),
                    line(bind(w.at(20006)), 0, EACCES),
                    line(connect(w.at(w.open)), 0, 0),
                    line(connect(w.at(w.other)), 0, EACCES),
                ],
            )
        }),
        // An empty list names nothing, so no socket is needed.
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..tcp("tcp_empty_list", |w| {
                (
                    new().tcp_connect(Vec::<u16>::new()),
                    vec![line(connect(w.at(w.open)), 0, EACCES), line(bind(w.at(w.free)), 0, EACCES)],
                )
            })
        },
        // In one placement: these are many rules to add.
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_TCP
        Entry {
            over: V4,
            places: &[Placement::Thread],
            ..tcp("tcp_all_but_0", |w| {
                (
                    new().tcp_connect(1..=u16::MAX),
                    vec![
                        line(connect(w.at(w.open)), 0, 0),
                        line(connect(w.at(w.other)), 0, 0),
                        line(connect(w.at(u16::MAX)), ECONNREFUSED, ECONNREFUSED),
                        line(connect(w.at(0)), ECONNREFUSED, EACCES),
                        line(bind(w.at(w.free)), 0, EACCES),
                    ],
                )
            })
        },
        // no self-test; LANDLOCK_ACCESS_NET_BIND_TCP
        Entry {
            over: V4,
            places: &[Placement::Process],
            ..tcp("tcp_bind_all", |w| {
                (
                    new().tcp_bind(0..=u16::MAX),
                    vec![
                        line(bind(w.at(w.free)), 0, 0),
                        line(bind(w.at(0)), 0, 0),
                        line(bind(w.at(u16::MAX)), 0, 0),
                        line(connect(w.at(w.open)), 0, EACCES),
                    ],
                )
            })
        },
        // What no layer holds is lost, not an error.
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_TCP
        Entry {
            least: (0, 0),
            ..tcp("tcp_best_effort", |w| {
                (
                    new().tcp_connect(w.open).best_effort(),
                    vec![
                        line(connect(w.at(w.open)), 0, 0),
                        line(connect(w.at(w.other)), 0, since(4, EACCES, 0)),
                        line(bind(w.at(w.free)), 0, since(4, EACCES, 0)),
                    ],
                )
            })
        }
        .in_place(),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (0, 0),
            ..tcp("tcp_not_granted", |w| {
                (
                    new().best_effort(),
                    vec![
                        line(connect(w.at(w.open)), 0, EACCES),
                        line(bind(w.at(w.free)), 0, EACCES),
                        line(Act::Fresh(Make), 0, EACCES),
                    ],
                )
            })
        }
        .in_place(),
        // net_test.c: ipv4_tcp.with_fs
        tcp("tcp_with_files", |w| {
            (
                new().read("/usr").tcp_bind(w.free),
                vec![
                    line(List("/usr".into()), 0, 0),
                    line(List("/proc".into()), 0, EACCES),
                    line(bind(w.at(w.free)), 0, 0),
                    line(bind(w.at(w.other_free)), 0, EACCES),
                ],
            )
        }),
    ]
}

fn special_ports() -> Vec<Entry> {
    vec![
        // net_test.c: port_specific.bind_connect_zero
        tcp("tcp_bind_0", |w| {
            (
                new().tcp_bind(0),
                vec![
                    line(bind(w.at(0)), 0, 0),
                    // The number that the kernel chose is another port.
                    line(bind(w.at(0).last()), 0, EACCES),
                    line(bind(w.at(0)), 0, 0),
                    line(Then(Listen), 0, 0),
                    line(connect(w.at(0).last()), 0, EACCES),
                    line(connect(w.at(0)), ECONNREFUSED, EACCES),
                    line(bind(w.at(w.free)), 0, EACCES),
                ],
            )
        }),
        // net_test.c: port_specific.bind_connect_zero
        tcp("tcp_connect_0", |w| {
            (
                new().tcp_connect(0),
                vec![
                    line(connect(w.at(0)), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(w.open)), 0, EACCES),
                    line(bind(w.at(0)), 0, EACCES),
                ],
            )
        }),
        // net_test.c: port_specific.bind_connect_zero
        tcp("tcp_bind_0_connect_0", |w| {
            (
                new().tcp_bind(0).tcp_connect(0),
                vec![
                    line(bind(w.at(0)), 0, 0),
                    line(Then(Listen), 0, 0),
                    line(connect(w.at(0)), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(0).last()), 0, EACCES),
                ],
            )
        }),
        // net_test.c: port_specific.bind_connect_1023
        tcp("tcp_1023", |w| {
            (
                new().tcp_bind([1023, 1024]).tcp_connect([1023, 1024]),
                vec![
                    line(bind(w.at(1023)), privileged(1023, 0), privileged(1023, 0)),
                    line(bind(w.at(1022)), privileged(1022, 0), EACCES),
                    line(bind(w.at(1024)), 0, 0),
                    line(bind(w.at(1025)), 0, EACCES),
                    line(connect(w.at(1023)), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(1022)), ECONNREFUSED, EACCES),
                ],
            )
        }),
        // net_test.c: mini.tcp_port_overflow
        tcp("tcp_65535", |w| {
            (
                new().tcp_bind(u16::MAX).tcp_connect(u16::MAX),
                vec![
                    line(bind(w.at(u16::MAX)), 0, 0),
                    line(bind(w.at(u16::MAX - 1)), 0, EACCES),
                    line(bind(w.at(0)), 0, EACCES),
                    line(connect(w.at(u16::MAX)), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(u16::MAX - 1)), ECONNREFUSED, EACCES),
                    line(connect(w.at(0)), ECONNREFUSED, EACCES),
                ],
            )
        }),
        // net_test.c: ipv4_tcp.port_endianness
        tcp("tcp_endianness", |w| {
            const PORT: u16 = 10001;
            (
                new().tcp_bind(PORT).tcp_connect(PORT.swap_bytes()),
                vec![
                    line(bind(w.at(PORT)), 0, 0),
                    line(bind(w.at(PORT.swap_bytes())), 0, EACCES),
                    line(connect(w.at(PORT.swap_bytes())), ECONNREFUSED, ECONNREFUSED),
                    line(connect(w.at(PORT)), ECONNREFUSED, EACCES),
                ],
            )
        }),
    ]
}

fn addresses() -> Vec<Entry> {
    vec![
        // net_test.c: protocol.bind_unspec
        tcp("tcp_bind_unspec", |w| {
            let any = |port| w.any(port).of_family(libc::AF_UNSPEC);
            let loopback = |port| w.at(port).of_family(libc::AF_UNSPEC);
            (
                new().tcp_bind(w.free),
                vec![
                    // IPv4 takes it for the wildcard address, IPv6 for nothing.
                    line(bind(any(w.free)), w.v4(0, EAFNOSUPPORT), w.v4(0, EAFNOSUPPORT)),
                    line(bind(any(w.other_free)), w.v4(0, EAFNOSUPPORT), w.v4(EACCES, EAFNOSUPPORT)),
                    line(bind(loopback(w.free)), EAFNOSUPPORT, EAFNOSUPPORT),
                    line(bind(loopback(w.other_free)), EAFNOSUPPORT, EAFNOSUPPORT),
                ],
            )
        }),
        // net_test.c: protocol.connect_unspec
        tcp("tcp_disconnect", |w| {
            let unspec = || w.any(w.other).of_family(libc::AF_UNSPEC);
            (
                new().tcp_connect(w.open),
                vec![
                    line(connect(unspec()), 0, 0),
                    line(Then(Connect(w.at(w.open))), 0, 0),
                    line(Then(Connect(unspec())), 0, 0),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                    line(connect(w.at(w.open)), 0, 0),
                    line(Then(Connect(unspec())), 0, 0),
                    line(Then(Connect(w.at(w.open))), 0, 0),
                ],
            )
        }),
        // net_test.c: protocol.connect_unspec
        tcp("tcp_disconnect_given", |w| {
            let unspec = || w.any(0).of_family(libc::AF_UNSPEC);
            (
                new().tcp_bind(w.free),
                vec![
                    line(Given(Send), 0, 0),
                    line(Then(Connect(unspec())), 0, 0),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                    line(bind(w.at(w.free)), 0, 0),
                ],
            )
        })
        .given(|w| Ok(w.connected(w.at(w.other)))),
        // net_test.c: protocol.bind, addresses of other lengths
        tcp("tcp_bind_lengths", |w| {
            let least = usize::try_from(w.v4(16, 24)).unwrap();
            let lengths = [
                (0, true),
                (1, true),
                (2, true),
                (least - 1, true),
                (least, false),
                (128, false),
                (129, true),
            ];
            let each = |port: u16, otherwise: i32| {
                lengths.map(|(length, invalid)| {
                    let of = |errno| if invalid { EINVAL } else { errno };
                    line(bind(w.at(port).of_length(length)), of(0), of(otherwise))
                })
            };
            let lines = [each(w.free, 0), each(w.other_free, EACCES)].into_iter().flatten();
            (new().tcp_bind(w.free), lines.collect())
        }),
        // net_test.c: protocol.connect, addresses of other lengths
        tcp("tcp_connect_lengths", |w| {
            let least = usize::try_from(w.v4(16, 24)).unwrap();
            let lengths = [
                (0, true),
                (1, true),
                (2, true),
                (least - 1, true),
                (least, false),
                (128, false),
                (129, true),
            ];
            let each = |port: u16, otherwise: i32| {
                lengths.map(|(length, invalid)| {
                    let of = |errno| if invalid { EINVAL } else { errno };
                    line(connect(w.at(port).of_length(length)), of(0), of(otherwise))
                })
            };
            let lines = [each(w.open, 0), each(w.other, EACCES)].into_iter().flatten();
            (new().tcp_connect(w.open), lines.collect())
        }),
        // net_test.c: protocol.bind and protocol.connect, an address of another family
        tcp("tcp_other_family", |w| {
            let (family, unix) = (w.v4(libc::AF_INET6, libc::AF_INET), libc::AF_UNIX);
            (
                new().tcp_bind(w.free).tcp_connect(w.open),
                vec![
                    line(bind(w.at(w.other_free).of_family(unix)), EAFNOSUPPORT, EAFNOSUPPORT),
                    line(connect(w.at(w.other).of_family(unix)), EAFNOSUPPORT, EAFNOSUPPORT),
                    line(bind(w.at(w.other_free).of_length(28).of_family(family)), EAFNOSUPPORT, EINVAL),
                    line(connect(w.at(w.other).of_length(28).of_family(family)), EAFNOSUPPORT, EINVAL),
                    line(bind(w.at(w.free)), 0, 0),
                    line(connect(w.at(w.open)), 0, 0),
                ],
            )
        }),
        // A port is granted at every address.
        // no self-test; hook_socket_connect
        tcp("tcp_connect_wildcard", |w| {
            (
                new().tcp_connect(w.open),
                vec![line(connect(w.any(w.open)), 0, 0), line(connect(w.any(w.other)), 0, EACCES)],
            )
        }),
        // no self-test; hook_socket_connect
        Entry {
            over: &[Over::V4, Over::Mapped],
            ..tcp("tcp_other_loopback", |w| {
                let beside = |port| w.ip(Ipv4Addr::new(127, 0, 0, 2), port);
                (
                    new().tcp_connect(w.open).tcp_bind(w.free),
                    vec![
                        line(connect(beside(w.open)), ECONNREFUSED, ECONNREFUSED),
                        line(connect(beside(w.other)), ECONNREFUSED, EACCES),
                        line(bind(beside(w.free)), 0, 0),
                        line(bind(beside(w.other_free)), 0, EACCES),
                    ],
                )
            })
        },
        // no self-test; hook_socket_connect
        Entry {
            over: &[Over::Mapped],
            ..tcp("tcp_v6_only", |w| {
                let v6_only = || Act::Fresh(Set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1));
                (
                    new().tcp_connect(w.open),
                    vec![
                        line(v6_only(), 0, 0),
                        line(Then(Connect(w.at(w.open))), ENETUNREACH, ENETUNREACH),
                        line(v6_only(), 0, 0),
                        line(Then(Connect(w.at(w.other))), ENETUNREACH, EACCES),
                    ],
                )
            })
        },
    ]
}

fn calls() -> Vec<Entry> {
    vec![
        // no self-test; hook_socket_connect
        tcp("tcp_nonblocking", |w| {
            let kind = Kind { kind: w.kind.kind | libc::SOCK_NONBLOCK, ..w.kind };
            (
                new().tcp_connect(w.open),
                vec![
                    line(Of(kind, Connect(w.at(w.open))), EINPROGRESS, EINPROGRESS),
                    line(Of(kind, Connect(w.at(w.other))), EINPROGRESS, EACCES),
                    line(Of(kind, Bind(w.at(w.free))), 0, EACCES),
                ],
            )
        }),
        // The kernel connects when the first byte is sent, and asks here.
        // no self-test; hook_socket_connect
        tcp("tcp_fastopen_connect", |w| {
            const TCP_FASTOPEN_CONNECT: i32 = 30;
            let later = || Act::Fresh(Set(libc::IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
            (
                new().tcp_connect(w.open),
                vec![
                    line(later(), 0, 0),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                    line(Then(Send), 0, EPIPE),
                    line(later(), 0, 0),
                    line(Then(Connect(w.at(w.open))), 0, 0),
                    line(Then(Send), 0, 0),
                ],
            )
        }),
        // A bind that leaves the port to `connect` is a bind to port 0.
        // no self-test; hook_socket_bind
        tcp("tcp_bind_no_port", |w| {
            const IP_BIND_ADDRESS_NO_PORT: i32 = 24;
            let no_port = || Act::Fresh(Set(libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
            (
                new().tcp_connect(w.open),
                vec![
                    line(no_port(), 0, 0),
                    line(Then(Bind(w.at(0))), 0, EACCES),
                    line(Then(Connect(w.at(w.open))), 0, 0),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_BIND_TCP
        tcp("tcp_reuseport", |w| {
            let shared = || Act::Fresh(Set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1));
            (
                new().tcp_bind(w.free),
                vec![
                    line(shared(), 0, 0),
                    line(Then(Bind(w.at(w.free))), 0, 0),
                    line(shared(), 0, 0),
                    line(Then(Bind(w.at(w.other_free))), 0, EACCES),
                ],
            )
        }),
        // `listen` is no right of Landlock: it is refused by the filter.
        // no self-test; SECCOMP_RET_ERRNO
        tcp("tcp_listen_unbound", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(Act::Fresh(Listen), 0, EACCES),
                    line(connect(w.at(w.open)), 0, 0),
                    line(Then(Listen), EINVAL, EACCES),
                ],
            )
        }),
        // With `tcp_bind` it opens an ephemeral port, also after a bind that was refused: a reported loss.
        // no self-test; SECCOMP_RET_ALLOW
        tcp("tcp_listen_after_refusal", |w| {
            (
                new().tcp_bind(w.free),
                vec![
                    line(bind(w.at(w.other_free)), 0, EACCES),
                    line(Then(Listen), 0, 0),
                    line(Act::Fresh(Listen), 0, 0),
                ],
            )
        }),
        // An address in a call that sends is not a connection.
        // net_test.c: protocol.sendmsg_stream
        tcp("tcp_send_unconnected", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(Act::Fresh(Send), EPIPE, EPIPE),
                    line(Act::Fresh(SendTo(w.at(w.other))), EPIPE, EPIPE),
                    line(Act::Fresh(Message(w.socket_addr(w.other))), EPIPE, EPIPE),
                    line(connect(w.at(w.open)), 0, 0),
                    line(Then(SendTo(w.at(w.other))), 0, 0),
                ],
            )
        }),
        // net_test.c: protocol.bind and protocol.connect with mptcp: the filter refuses the socket
        tcp("tcp_mptcp_refused", |w| {
            let kinds = [MPTCP, libc::IPPROTO_SCTP, 256].map(|protocol| Kind { protocol, ..w.kind });
            let mut lines: Vec<_> = kinds.map(|kind| line(Of(kind, Make), ANY, EACCES)).to_vec();
            lines.push(line(connect(w.at(w.open)), 0, 0));
            (new().tcp_connect(w.open), lines)
        }),
        // net_test.c: protocol.bind with udp, ipv4.from_unix_to_inet: no grant needs those sockets
        tcp("tcp_needs_no_other_sockets", |w| {
            let unix = Kind { family: libc::AF_UNIX, ..w.kind };
            let datagram = Kind { kind: libc::SOCK_DGRAM, ..w.kind };
            (
                new().tcp_connect(w.open).tcp_bind(w.free),
                vec![
                    line(Of(unix, Make), 0, EACCES),
                    line(Of(datagram, Make), 0, EACCES),
                    line(Of(w.kind, Make), 0, 0),
                ],
            )
        }),
    ]
}

/// A kind of socket that the filter lets nobody make inside.
fn mptcp(w: &World) -> Result<OwnedFd, String> {
    let made = crate::acts::make(Kind { protocol: MPTCP, ..w.kind });
    made.map_err(|error| format!("no MPTCP here: {error}"))
}

fn handed_over() -> Vec<Entry> {
    vec![
        // no self-test; hook_socket_connect
        tcp("tcp_given_fresh", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(Given(Bind(w.at(w.free))), 0, EACCES),
                    line(Then(Connect(w.at(w.open))), 0, 0),
                    line(connect(w.at(w.other)), 0, EACCES),
                ],
            )
        })
        .given(|w| Ok(w.fresh())),
        // Bound outside, it may be used as what it is.
        // no self-test; hook_socket_connect
        tcp("tcp_given_bound", |w| {
            (
                new().tcp_connect(w.open),
                vec![line(Given(Connect(w.at(w.open))), 0, 0), line(bind(w.at(w.other_free)), 0, EACCES)],
            )
        })
        .given(|w| Ok(w.bound(w.at(0)))),
        // no self-test; SECCOMP_RET_ALLOW
        tcp("tcp_given_bound_listens", |w| {
            (
                new().tcp_bind(w.free),
                vec![line(Given(Listen), 0, 0), line(bind(w.at(w.other_free)), 0, EACCES)],
            )
        })
        .given(|w| Ok(w.bound(w.at(0)))),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..tcp("tcp_given_bound_reaches_nobody", |w| {
                (
                    new(),
                    vec![
                        line(Given(Send), EPIPE, EPIPE),
                        line(Then(Connect(w.at(w.open))), 0, EACCES),
                        line(Then(Listen), EINVAL, EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.bound(w.at(0))))
        .in_place(),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..tcp("tcp_given_connected", |w| {
                let unspec = w.any(0).of_family(libc::AF_UNSPEC);
                (
                    new(),
                    vec![
                        line(Given(Send), 0, 0),
                        line(Then(SendTo(w.at(w.other))), 0, EACCES),
                        line(Then(Connect(unspec)), 0, EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.connected(w.at(w.open)))),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..tcp("tcp_given_listening", |w| {
                (
                    new(),
                    vec![
                        // Nobody came, but it may be asked.
                        line(Given(Accept), libc::EAGAIN, libc::EAGAIN),
                        line(bind(w.at(0)), 0, EACCES),
                    ],
                )
            })
        }
        .given(|w| {
            let kind = Kind { kind: w.kind.kind | libc::SOCK_NONBLOCK, ..w.kind };
            let socket = crate::acts::make(kind).unwrap();
            rustix::net::listen(&socket, 8).unwrap();
            Ok(socket)
        }),
        // Its rights reach as far as the kernel takes it for TCP: erratum 1.
        // net_test.c: protocol.connect with mptcp
        tcp("tcp_given_mptcp", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(Given(Connect(w.at(w.other))), 0, fixed(1, 0, EACCES)),
                    line(connect(w.at(w.other)), 0, EACCES),
                ],
            )
        })
        .given(mptcp),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..tcp("tcp_given_mptcp_reaches_nobody", |w| {
                (
                    new(),
                    vec![
                        line(Given(Send), EPIPE, EPIPE),
                        // From a port of its own: one that a connection has just had may not be free.
                        line(Then(Connect(w.at(w.open))), 0, EACCES),
                        line(Then(Bind(w.at(w.free))), EINVAL, EACCES),
                        line(Then(Listen), EINVAL, EACCES),
                    ],
                )
            })
        }
        .given(mptcp),
    ]
}
