//! UDP: bind, connect and send, by port. Before ABI 10 nothing can tell ports apart.

use crate::Entry;
use crate::acts::{Act, Address, Kind, Op};
use crate::rows::{Line, line, since};
use crate::world::{IP, V4, World};
use Act::{Fresh, Given, Of, Then};
use Op::{Bind, Connect, Listen, Make, Message, Send, SendTo};
use libc::{EACCES, EAFNOSUPPORT, EDESTADDRREQ, EINVAL, EOPNOTSUPP};
use sandboxed::{Allow, Placement, Policy};

fn udp(name: &'static str, table: fn(&World) -> (Policy, Vec<Line<Act>>)) -> Entry {
    Entry::new(name, libc::IPPROTO_UDP, 10, IP, table)
}

fn new() -> Policy {
    Policy::new()
}

fn unspec(address: Address) -> Address {
    address.of_family(libc::AF_UNSPEC)
}

pub fn table() -> Vec<Entry> {
    [whole(), ports(), addresses(), handed_over()].into_iter().flatten().collect()
}

/// The family as a whole, on every kernel.
fn whole() -> Vec<Entry> {
    vec![
        // no self-test; SECCOMP_RET_ALLOW
        Entry {
            least: (1, 1),
            ..udp("udp_allow", |w| {
                let tcp = Kind { kind: libc::SOCK_STREAM, ..w.kind };
                (
                    new().allow(Allow::Udp),
                    vec![
                        line(Fresh(Bind(w.at(w.free))), 0, 0),
                        line(Fresh(SendTo(w.at(w.open))), 0, 0),
                        line(Fresh(Message(w.socket_addr(w.other))), 0, 0),
                        line(Fresh(Connect(w.at(w.open))), 0, 0),
                        line(Then(Send), 0, 0),
                        line(Then(Listen), EOPNOTSUPP, EACCES),
                        line(Of(tcp, Make), 0, EACCES),
                    ],
                )
            })
        }
        .in_place(),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (0, 0),
            ..udp("udp_not_granted", |w| {
                (
                    new().best_effort(),
                    vec![
                        line(Fresh(Make), 0, EACCES),
                        line(Fresh(Bind(w.at(w.free))), 0, EACCES),
                        line(Fresh(SendTo(w.at(w.open))), 0, EACCES),
                    ],
                )
            })
        }
        .in_place(),
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
        Entry {
            least: (0, 0),
            ..udp("udp_best_effort", |w| {
                (
                    new().udp_connect(w.open).best_effort(),
                    vec![
                        line(Fresh(SendTo(w.at(w.open))), 0, 0),
                        line(Fresh(SendTo(w.at(w.other))), 0, since(10, EACCES, 0)),
                        line(Fresh(Bind(w.at(w.free))), 0, since(10, EACCES, 0)),
                    ],
                )
            })
        },
    ]
}

fn ports() -> Vec<Entry> {
    vec![
        // net_test.c: protocol.bind with udp
        udp("udp_bind", |w| {
            (
                new().udp_bind(w.free),
                vec![
                    line(Fresh(Bind(w.at(w.free))), 0, 0),
                    line(Fresh(Bind(w.at(w.other_free))), 0, EACCES),
                    line(Fresh(Bind(w.at(0))), 0, EACCES),
                    line(Fresh(SendTo(w.at(w.open))), 0, EACCES),
                    line(Fresh(Connect(w.at(w.open))), 0, EACCES),
                    line(Then(Listen), EOPNOTSUPP, EACCES),
                ],
            )
        })
        .in_place(),
        // net_test.c: protocol.connect with udp
        udp("udp_connect", |w| {
            (
                new().udp_connect(w.open),
                vec![
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                    line(Then(Send), 0, 0),
                    line(Fresh(Connect(w.at(w.other))), 0, EACCES),
                    line(Then(Send), 0, EDESTADDRREQ),
                    line(Fresh(Bind(w.at(w.free))), 0, EACCES),
                ],
            )
        })
        .in_place(),
        // net_test.c: protocol.sendmsg_dgram
        udp("udp_send", |w| {
            (
                new().udp_connect(w.open),
                vec![
                    line(Fresh(SendTo(w.at(w.open))), 0, 0),
                    line(Fresh(SendTo(w.at(w.other))), 0, EACCES),
                    line(Fresh(Message(w.socket_addr(w.open))), 0, 0),
                    line(Fresh(Message(w.socket_addr(w.other))), 0, EACCES),
                ],
            )
        }),
        // A connected socket has two ways to send.
        // net_test.c: protocol.sendmsg_dgram
        udp("udp_send_connected", |w| {
            (
                new().udp_connect(w.open),
                vec![
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                    line(Then(Send), 0, 0),
                    line(Then(SendTo(w.at(w.open))), 0, 0),
                    line(Then(SendTo(w.at(w.other))), 0, EACCES),
                    line(Then(Message(w.socket_addr(w.other))), 0, EACCES),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                ],
            )
        }),
        // Sending binds to a free port, which is port 0; no other.
        // net_test.c: protocol.sendmsg_dgram
        udp("udp_implicit_bind", |w| {
            (
                new().udp_connect(w.open),
                vec![
                    line(Fresh(SendTo(w.at(w.open))), 0, 0),
                    line(Fresh(Bind(w.at(0))), 0, 0),
                    line(Fresh(Bind(w.at(0).last())), 0, EACCES),
                    line(Fresh(Bind(w.at(w.open))), 0, EACCES),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
        udp("udp_bind_one_connect_other", |w| {
            (
                new().udp_bind(w.free).udp_connect(w.open),
                vec![
                    line(Fresh(Bind(w.at(w.free))), 0, 0),
                    line(Then(SendTo(w.at(w.open))), 0, 0),
                    line(Then(SendTo(w.at(w.other))), 0, EACCES),
                    line(Fresh(Bind(w.at(w.other_free))), 0, EACCES),
                    line(Fresh(SendTo(w.at(w.free))), 0, EACCES),
                ],
            )
        }),
        // net_test.c: port_specific.bind_connect_zero with udp
        udp("udp_bind_0", |w| {
            (
                new().udp_bind(0),
                vec![
                    line(Fresh(Bind(w.at(0))), 0, 0),
                    line(Fresh(Bind(w.at(0).last())), 0, EACCES),
                    line(Fresh(Bind(w.at(w.free))), 0, EACCES),
                    line(Fresh(SendTo(w.at(w.open))), 0, EACCES),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
        udp("udp_connect_0", |w| {
            (
                new().udp_connect(0),
                vec![
                    line(Fresh(SendTo(w.at(0))), EINVAL, EINVAL),
                    line(Fresh(SendTo(w.at(w.open))), 0, EACCES),
                    line(Fresh(Connect(w.at(w.open))), 0, EACCES),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_BIND_UDP
        udp("udp_ranges", |w| {
            (
                new().udp_bind(20001..=20003).udp_bind([20005, 20006]).udp_connect(w.open..=w.open),
                vec![
                    line(Fresh(Bind(w.at(20000))), 0, EACCES),
                    line(Fresh(Bind(w.at(20001))), 0, 0),
                    line(Fresh(Bind(w.at(20003))), 0, 0),
                    line(Fresh(Bind(w.at(20004))), 0, EACCES),
                    line(Fresh(Bind(w.at(20006))), 0, 0),
                    line(Fresh(SendTo(w.at(w.open))), 0, 0),
                    line(Fresh(SendTo(w.at(w.other))), 0, EACCES),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_BIND_UDP
        Entry {
            over: V4,
            places: &[Placement::Thread],
            ..udp("udp_all", |w| {
                (
                    new().udp_bind(1..=u16::MAX).udp_connect(w.open),
                    vec![
                        line(Fresh(Bind(w.at(w.free))), 0, 0),
                        line(Fresh(Bind(w.at(u16::MAX))), 0, 0),
                        line(Fresh(SendTo(w.at(w.open))), 0, 0),
                        line(Fresh(SendTo(w.at(w.other))), 0, EACCES),
                    ],
                )
            })
        },
        // net_test.c: ipv4_tcp.port_endianness, with udp
        udp("udp_endianness", |w| {
            const PORT: u16 = 10001;
            (
                new().udp_bind(PORT).udp_connect(w.open),
                vec![
                    line(Fresh(Bind(w.at(PORT))), 0, 0),
                    line(Fresh(Bind(w.at(PORT.swap_bytes()))), 0, EACCES),
                ],
            )
        }),
        // net_test.c: protocol with both: the ports of one are not those of the other
        udp("udp_ports_are_not_tcp_ports", |w| {
            let tcp = Kind { kind: libc::SOCK_STREAM, ..w.kind };
            (
                new().tcp_bind(w.free).udp_bind(w.other_free),
                vec![
                    line(Of(tcp, Bind(w.at(w.free))), 0, 0),
                    line(Of(tcp, Bind(w.at(w.other_free))), 0, EACCES),
                    line(Fresh(Bind(w.at(w.other_free))), 0, 0),
                    line(Fresh(Bind(w.at(w.free))), 0, EACCES),
                ],
            )
        }),
    ]
}

fn addresses() -> Vec<Entry> {
    vec![
        // net_test.c: protocol.bind_unspec with udp
        udp("udp_bind_unspec", |w| {
            (
                new().udp_bind(w.free),
                vec![
                    line(Fresh(Bind(unspec(w.any(w.free)))), w.v4(0, EAFNOSUPPORT), w.v4(0, EAFNOSUPPORT)),
                    line(
                        Fresh(Bind(unspec(w.any(w.other_free)))),
                        w.v4(0, EAFNOSUPPORT),
                        w.v4(EACCES, EAFNOSUPPORT),
                    ),
                    line(Fresh(Bind(unspec(w.at(w.free)))), EAFNOSUPPORT, EAFNOSUPPORT),
                ],
            )
        }),
        // net_test.c: protocol.connect_unspec with udp
        udp("udp_disconnect", |w| {
            (
                new().udp_connect(w.open),
                vec![
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                    line(Then(Connect(unspec(w.any(w.other)))), 0, 0),
                    line(Then(Send), EDESTADDRREQ, EDESTADDRREQ),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                    line(Then(Connect(w.at(w.open))), 0, 0),
                ],
            )
        }),
        // net_test.c: protocol.bind with udp, addresses of other lengths
        udp("udp_bind_lengths", |w| {
            let least = usize::try_from(w.v4(16, 24)).unwrap();
            let lengths =
                [(0, true), (2, true), (least - 1, true), (least, false), (128, false), (129, true)];
            let each = |port: u16, otherwise: i32| {
                lengths.map(|(length, invalid)| {
                    let of = |errno| if invalid { EINVAL } else { errno };
                    line(Fresh(Bind(w.at(port).of_length(length))), of(0), of(otherwise))
                })
            };
            let lines = [each(w.free, 0), each(w.other_free, EACCES)].into_iter().flatten();
            (new().udp_bind(w.free), lines.collect())
        }),
        // net_test.c: protocol.sendmsg_dgram, addresses of other lengths
        udp("udp_send_lengths", |w| {
            let least = usize::try_from(w.v4(16, 24)).unwrap();
            let lengths = [(2, true), (least - 1, true), (least, false), (128, false), (129, true)];
            let each = |port: u16, otherwise: i32| {
                lengths.map(|(length, invalid)| {
                    let of = |errno| if invalid { EINVAL } else { errno };
                    line(Fresh(SendTo(w.at(port).of_length(length))), of(0), of(otherwise))
                })
            };
            let lines = [each(w.open, 0), each(w.other, EACCES)].into_iter().flatten();
            (new().udp_connect(w.open), lines.collect())
        }),
    ]
}

fn handed_over() -> Vec<Entry> {
    vec![
        // Connected outside, it talks to its peer, whatever the ports.
        // net_test.c: protocol.sendmsg_dgram
        udp("udp_given_connected", |w| {
            (
                new().udp_connect(w.open),
                vec![
                    line(Given(Send), 0, 0),
                    line(Then(SendTo(w.at(w.other))), 0, EACCES),
                    line(Then(SendTo(w.at(w.open))), 0, 0),
                    line(Then(Connect(unspec(w.any(0)))), 0, 0),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                ],
            )
        })
        .given(|w| Ok(w.connected(w.at(w.other)))),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..udp("udp_given_connected_talks_to_its_peer_alone", |w| {
                (
                    new(),
                    vec![
                        line(Given(Send), 0, 0),
                        line(Then(SendTo(w.at(w.other))), 0, EACCES),
                        line(Then(SendTo(w.at(w.open))), 0, EACCES),
                        line(Then(Connect(unspec(w.any(0)))), 0, EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.connected(w.at(w.open))))
        .in_place(),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..udp("udp_given_bound_reaches_nobody", |w| {
                (
                    new(),
                    vec![
                        line(Given(SendTo(w.at(w.open))), 0, EACCES),
                        line(Then(Send), EDESTADDRREQ, EDESTADDRREQ),
                        line(Then(Connect(w.at(w.open))), 0, EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.bound(w.at(0)))),
        // With TCP granted, the filter lets addresses pass, and Landlock looks at UDP from ABI 10 on.
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
        Entry {
            least: (4, 4),
            ..udp("udp_given_under_tcp", |w| {
                (
                    new().tcp_connect(w.open),
                    vec![
                        line(Given(SendTo(w.at(w.open))), 0, since(10, EACCES, 0)),
                        line(Fresh(Make), 0, EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.fresh())),
    ]
}
