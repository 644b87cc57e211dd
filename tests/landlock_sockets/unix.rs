//! Abstract sockets, which stay inside, and pathname sockets, which need a grant; neither cares for ports.

use crate::Entry;
use crate::acts::{Act, Address, Kind, Op};
use crate::rows::{Line, line, since};
use crate::world::{CONNECTIONS, DATAGRAM, Over, UNIX, World};
use Act::{Enter, Fresh, Given, Leave, Of, Then};
use Op::{Bind, Connect, Listen, Make, Send, SendTo};
use libc::{EACCES, ECONNREFUSED, EINVAL, EISCONN, ENOTCONN, EPERM};
use sandboxed::{Allow, Policy};

fn unix(name: &'static str, table: fn(&World) -> (Policy, Vec<Line<Act>>)) -> Entry {
    Entry::new(name, libc::IPPROTO_TCP, 0, UNIX, table)
}

/// Unix sockets can be made; abstract ones outside are refused where Landlock can.
fn scoped() -> Policy {
    // Before ABI 9 the grant of a path cannot be held.
    Policy::new().unix("/usr").best_effort()
}

/// Abstract sockets outside are open.
fn open() -> Policy {
    Policy::new().allow(Allow::AbstractUnixSocket)
}

fn refused() -> i32 {
    since(6, EPERM, 0)
}

fn connect(to: Address) -> Act {
    Fresh(Connect(to))
}

/// A server of one's own, for datagrams: it need not listen, which goes with `tcp_bind` alone.
fn serve(w: &World) -> Line<Act> {
    line(Fresh(Bind(w.own())), 0, 0)
}

pub fn table() -> Vec<Entry> {
    [names(), domains(), handed_over(), paths(), ports()].into_iter().flatten().collect()
}

fn names() -> Vec<Entry> {
    vec![
        // scoped_abstract_unix_test.c: scoped_domains.connect_to_parent
        unix("abstract_scoped", |w| {
            (
                scoped(),
                vec![
                    line(connect(w.server()), 0, refused()),
                    line(Fresh(Make), 0, 0),
                    line(Then(Connect(w.server())), 0, refused()),
                ],
            )
        })
        .in_place(),
        // scoped_abstract_unix_test.c: datagram_sockets
        Entry {
            over: DATAGRAM,
            ..unix("abstract_scoped_send", |w| {
                (
                    scoped(),
                    vec![
                        line(Fresh(SendTo(w.server())), 0, refused()),
                        line(Fresh(Bind(w.own())), 0, 0),
                        line(Fresh(SendTo(w.own())), 0, 0),
                        line(Then(Connect(w.own())), 0, 0),
                        line(Then(Send), 0, 0),
                        line(Then(SendTo(w.server())), 0, refused()),
                    ],
                )
            })
        }
        .in_place(),
        // scoped_abstract_unix_test.c: scoped_vs_unscoped.unix_scoping, not scoped
        Entry {
            least: (9, 1),
            ..unix("abstract_allowed", |w| {
                (open(), vec![line(connect(w.server()), 0, 0), line(Then(Send), 0, 0)])
            })
        },
        // The grant of names is none of ports.
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (9, 1),
            ..unix("abstract_allowed_is_no_network", |w| {
                let tcp = Kind { family: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 0 };
                let udp = Kind { kind: libc::SOCK_DGRAM, ..tcp };
                (
                    open(),
                    vec![
                        line(connect(w.server()), 0, 0),
                        line(Of(tcp, Make), 0, EACCES),
                        line(Of(udp, Make), 0, EACCES),
                    ],
                )
            })
        },
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..unix("unix_not_granted", |w| {
                (Policy::new(), vec![line(Fresh(Make), 0, EACCES), line(connect(w.server()), 0, EACCES)])
            })
        },
        // scoped_abstract_unix_test.c: self_connect; a socket that sends to itself
        Entry {
            over: DATAGRAM,
            ..unix("abstract_self", |w| {
                (
                    scoped(),
                    vec![
                        line(Fresh(Bind(w.own())), 0, 0),
                        line(Then(Connect(w.own())), 0, 0),
                        line(Then(Send), 0, 0),
                    ],
                )
            })
        },
        // The kernel chooses a name.
        // no self-test; LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
        unix("abstract_autobind", |w| {
            (
                scoped(),
                vec![
                    line(Fresh(Bind(w.own().of_length(2))), 0, 0),
                    line(connect(w.own()), ECONNREFUSED, ECONNREFUSED),
                ],
            )
        }),
    ]
}

/// Who made the server, and who comes: in one sandbox, in one inside it, beside it.
fn domains() -> Vec<Entry> {
    vec![
        // scoped_abstract_unix_test.c: scoped_domains, one domain
        Entry {
            over: DATAGRAM,
            ..unix("abstract_own", |w| {
                let mut lines = vec![serve(w)];
                lines.push(line(connect(w.own()), 0, 0));
                lines.push(line(Then(Send), 0, 0));
                (scoped(), lines)
            })
        },
        // scoped_abstract_unix_test.c: scoped_domains.connect_to_parent, nested
        Entry {
            over: DATAGRAM,
            ..unix("abstract_of_the_outer_from_the_inner", |w| {
                let mut lines = vec![serve(w)];
                lines.extend([
                    line(Enter(scoped()), 0, 0),
                    line(connect(w.own()), 0, refused()),
                    line(connect(w.server()), 0, refused()),
                    line(Leave, 0, 0),
                    line(connect(w.own()), 0, 0),
                ]);
                (scoped(), lines)
            })
        },
        // scoped_abstract_unix_test.c: scoped_domains.connect_to_child
        Entry {
            over: DATAGRAM,
            ..unix("abstract_of_the_inner_from_the_outer", |w| {
                let mut lines = vec![line(Enter(scoped()), 0, 0)];
                lines.push(serve(w));
                lines.extend([
                    line(connect(w.own()), 0, 0),
                    line(Leave, 0, 0),
                    line(connect(w.own()), 0, 0),
                    line(connect(w.server()), 0, refused()),
                ]);
                (scoped(), lines)
            })
        },
        // scoped_abstract_unix_test.c: scoped_domains, siblings
        Entry {
            over: DATAGRAM,
            ..unix("abstract_of_a_sibling", |w| {
                let mut lines = vec![line(Enter(scoped()), 0, 0)];
                lines.push(serve(w));
                lines.extend([
                    line(Leave, 0, 0),
                    line(Enter(scoped()), 0, 0),
                    line(connect(w.own()), 0, refused()),
                    line(Leave, 0, 0),
                ]);
                (scoped(), lines)
            })
        },
        // scoped_abstract_unix_test.c: scoped_vs_unscoped, only the outer scoped
        Entry {
            over: DATAGRAM,
            ..unix("abstract_inner_unscoped", |w| {
                let mut lines = vec![serve(w)];
                lines.extend([
                    line(Enter(open().best_effort()), 0, 0),
                    line(connect(w.own()), 0, 0),
                    line(connect(w.server()), 0, refused()),
                ]);
                (scoped(), lines)
            })
        },
        // scoped_abstract_unix_test.c: scoped_vs_unscoped, only the inner scoped
        unix("abstract_outer_unscoped", |w| {
            (
                open().best_effort(),
                vec![
                    line(connect(w.server()), 0, 0),
                    line(Enter(scoped()), 0, 0),
                    line(connect(w.server()), 0, refused()),
                    line(Leave, 0, 0),
                    line(connect(w.server()), 0, 0),
                ],
            )
        }),
        // scoped_abstract_unix_test.c: outside_socket.socket_with_different_domain
        unix("abstract_socket_of_the_outer", |w| {
            (
                open().best_effort(),
                vec![
                    line(Fresh(Make), 0, 0),
                    line(Enter(scoped()), 0, 0),
                    line(Then(Connect(w.server())), 0, refused()),
                    line(Leave, 0, 0),
                    // Outside it is connected already.
                    line(
                        Then(Connect(w.server())),
                        w.datagram(0, EISCONN),
                        w.datagram(0, since(6, 0, EISCONN)),
                    ),
                ],
            )
        }),
        // Connected before the inner sandbox, used in it.
        // no self-test; hook_unix_may_send
        unix("abstract_connected_before", |w| {
            (
                open().best_effort(),
                vec![
                    line(connect(w.server()), 0, 0),
                    line(Enter(scoped()), 0, 0),
                    line(Then(Send), 0, 0),
                    line(connect(w.server()), 0, refused()),
                ],
            )
        }),
        // no self-test; LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
        Entry {
            over: CONNECTIONS,
            ..unix("abstract_listens_with_tcp_bind", |w| {
                (
                    scoped_with_listen(),
                    vec![
                        line(Fresh(Bind(w.own())), 0, 0),
                        line(Then(Listen), 0, 0),
                        line(connect(w.own()), 0, 0),
                        line(Enter(scoped_with_listen()), 0, 0),
                        line(connect(w.own()), 0, refused()),
                        line(Leave, 0, 0),
                        line(connect(w.own()), 0, 0),
                    ],
                )
            })
        },
    ]
}

/// `listen` goes with `tcp_bind`, for sockets of every family.
fn scoped_with_listen() -> Policy {
    scoped().tcp_bind(1)
}

fn handed_over() -> Vec<Entry> {
    vec![
        // scoped_abstract_unix_test.c: outside_socket.socket_with_different_domain
        unix("abstract_given_fresh", |w| (scoped(), vec![line(Given(Connect(w.server())), 0, refused())]))
            .given(|w| Ok(w.fresh())),
        // scoped_abstract_unix_test.c: datagram_sockets, connected before
        unix("abstract_given_connected", |w| {
            (scoped(), vec![line(Given(Send), 0, 0), line(connect(w.server()), 0, refused())])
        })
        .given(|w| Ok(w.connected(w.server()))),
        // To its peer also by name.
        // no self-test; hook_unix_may_send
        Entry {
            over: DATAGRAM,
            ..unix("abstract_given_connected_sends_by_name", |w| {
                (
                    scoped(),
                    vec![
                        line(Given(SendTo(w.server())), 0, 0),
                        line(Fresh(SendTo(w.server())), 0, refused()),
                    ],
                )
            })
        }
        .given(|w| Ok(w.connected(w.server()))),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            ..unix("unix_given_connected_without_grants", |w| {
                (
                    Policy::new(),
                    vec![
                        line(Given(Send), 0, 0),
                        line(
                            Then(SendTo(w.server())),
                            if w.over == Over::Stream { EISCONN } else { 0 },
                            EACCES,
                        ),
                        line(Then(Connect(w.server())), w.datagram(0, EISCONN), EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.connected(w.server()))),
        // no self-test; SECCOMP_RET_ERRNO
        Entry {
            least: (1, 1),
            over: CONNECTIONS,
            ..unix("unix_given_fresh_without_grants", |w| {
                (
                    Policy::new(),
                    vec![
                        line(Given(Send), ENOTCONN, ENOTCONN),
                        line(Then(Bind(w.own())), 0, EACCES),
                        line(Then(Connect(w.server())), 0, EACCES),
                    ],
                )
            })
        }
        .given(|w| Ok(w.fresh())),
    ]
}

fn paths() -> Vec<Entry> {
    vec![
        // scoped_abstract_unix_test.c: various_address_sockets.scoped_pathname_sockets
        unix("pathname_is_not_abstract", |w| {
            (
                scoped(),
                vec![
                    line(connect(w.at_path("one")), 0, since(9, EACCES, 0)),
                    line(connect(w.server()), 0, refused()),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Entry {
            least: (9, 9),
            ..unix("pathname_granted", |w| {
                (
                    Policy::new().unix(w.path("one")),
                    vec![
                        line(connect(w.at_path("one")), 0, 0),
                        line(connect(w.at_path("two")), 0, EACCES),
                        line(connect(w.server()), 0, EPERM),
                    ],
                )
            })
        }
        .in_place(),
        // no self-test; hook_unix_find
        Entry {
            least: (9, 9),
            over: DATAGRAM,
            ..unix("pathname_sent_to", |w| {
                (
                    Policy::new().unix(w.path("one")),
                    vec![
                        line(Fresh(SendTo(w.at_path("one"))), 0, 0),
                        line(Fresh(SendTo(w.at_path("two"))), 0, EACCES),
                    ],
                )
            })
        },
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Entry {
            least: (9, 1),
            ..unix("pathname_under_abstract_allowed", |w| {
                (
                    open(),
                    vec![
                        line(connect(w.server()), 0, 0),
                        line(connect(w.at_path("one")), 0, since(9, EACCES, 0)),
                    ],
                )
            })
        },
        // Connected outside.
        // no self-test; hook_unix_find
        Entry {
            least: (9, 9),
            ..unix("pathname_given_connected", |w| {
                (
                    Policy::new().unix(w.path("one")),
                    vec![line(Given(Send), 0, 0), line(connect(w.at_path("two")), 0, EACCES)],
                )
            })
        }
        .given(|w| Ok(w.connected(w.at_path("two")))),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Entry {
            least: (9, 9),
            ..unix("pathname_layers", |w| {
                (
                    Policy::new().unix([w.path("one"), w.path("two")]),
                    vec![
                        line(connect(w.at_path("two")), 0, 0),
                        line(Enter(Policy::new().unix(w.path("one"))), 0, 0),
                        line(connect(w.at_path("one")), 0, 0),
                        line(connect(w.at_path("two")), 0, EACCES),
                        line(Enter(Policy::new().unix(w.path("two"))), 0, 0),
                        line(connect(w.at_path("one")), 0, EACCES),
                        line(connect(w.at_path("two")), 0, EACCES),
                    ],
                )
            })
        },
    ]
}

fn ports() -> Vec<Entry> {
    vec![
        // net_test.c: protocol with unix sockets: no rule on ports is about them
        unix("unix_under_ports", |w| {
            (
                scoped().tcp_bind(1).tcp_connect(1),
                vec![
                    line(Fresh(Bind(w.own())), 0, 0),
                    line(connect(w.server()), 0, refused()),
                    line(connect(w.at_path("one")), 0, since(9, EACCES, 0)),
                ],
            )
        }),
        // net_test.c: ipv4.from_unix_to_inet
        unix("unix_to_inet", |w| {
            let inet = || w.ip([127, 0, 0, 1], 1);
            (
                scoped().tcp_bind(2).tcp_connect(2),
                vec![
                    line(Fresh(Bind(inet())), EINVAL, EINVAL),
                    line(connect(inet()), EINVAL, EINVAL),
                    line(Fresh(Bind(w.own())), 0, 0),
                ],
            )
        }),
    ]
}
