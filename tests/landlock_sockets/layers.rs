//! Sandboxes inside sandboxes: a port is granted where every layer grants it.

use crate::Entry;
use crate::acts::{Act, Op};
use crate::rows::{Line, line};
use crate::world::{IP, V4, World};
use Act::{Enter, Fresh, Leave, Then};
use Op::{Bind, Connect, Make, SendTo};
use libc::{E2BIG, EACCES, ECONNREFUSED};
use sandboxed::Policy;

fn tcp(name: &'static str, table: fn(&World) -> (Policy, Vec<Line<Act>>)) -> Entry {
    Entry::new(name, libc::IPPROTO_TCP, 4, IP, table)
}

fn new() -> Policy {
    Policy::new()
}

/// How many sandboxes nest: `LANDLOCK_MAX_NUM_LAYERS`.
const MOST_LAYERS: usize = 16;

/// As many layers as there can be, and, where this is `over`, one more.
fn deep(w: &World, over: bool) -> (Policy, Vec<Line<Act>>) {
    let policy = || new().tcp_connect(w.open).tcp_bind(w.free);
    let mut lines: Vec<_> = (1..MOST_LAYERS).map(|_| line(Enter(policy()), 0, 0)).collect();
    lines.extend([
        line(Fresh(Connect(w.at(w.open))), 0, 0),
        line(Fresh(Connect(w.at(w.other))), 0, EACCES),
        line(Fresh(Bind(w.at(w.free))), 0, 0),
    ]);
    if over {
        lines.push(line(Enter(policy()), 0, E2BIG));
    }
    (policy(), lines)
}

pub fn table() -> Vec<Entry> {
    vec![
        // net_test.c: tcp_layers.ruleset_overlap
        tcp("layers_overlap", |w| {
            (
                new().tcp_bind([w.free, w.other_free]).tcp_connect([w.open, w.free]),
                vec![
                    line(Fresh(Bind(w.at(w.other_free))), 0, 0),
                    line(Enter(new().tcp_bind(w.free).tcp_connect(w.free)), 0, 0),
                    line(Fresh(Bind(w.at(w.free))), 0, 0),
                    line(Fresh(Connect(w.at(w.free))), ECONNREFUSED, ECONNREFUSED),
                    line(Fresh(Bind(w.at(w.other_free))), 0, EACCES),
                    line(Fresh(Connect(w.at(w.open))), 0, EACCES),
                    line(Leave, 0, 0),
                    line(Fresh(Bind(w.at(w.other_free))), 0, 0),
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                ],
            )
        }),
        // net_test.c: tcp_layers.ruleset_expand
        tcp("layers_expand", |w| {
            (
                new().tcp_bind(w.free),
                vec![
                    line(Enter(new().tcp_bind([w.free, w.other_free]).tcp_connect(w.open)), 0, 0),
                    line(Fresh(Bind(w.at(w.free))), 0, 0),
                    line(Fresh(Bind(w.at(w.other_free))), 0, EACCES),
                    line(Fresh(Connect(w.at(w.open))), 0, EACCES),
                ],
            )
        }),
        // net_test.c: tcp_layers, three of them, the last giving back
        tcp("layers_give_nothing_back", |w| {
            (
                new().tcp_connect([w.open, w.other]),
                vec![
                    line(Enter(new().tcp_connect(w.open)), 0, 0),
                    line(Enter(new().tcp_connect([w.open, w.other])), 0, 0),
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                    line(Fresh(Connect(w.at(w.other))), 0, EACCES),
                    line(Leave, 0, 0),
                    line(Leave, 0, 0),
                    line(Fresh(Connect(w.at(w.other))), 0, 0),
                ],
            )
        }),
        // net_test.c: tcp_layers, nothing in common
        tcp("layers_disjoint", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(Enter(new().tcp_connect(w.other)), 0, 0),
                    line(Fresh(Connect(w.at(w.open))), 0, EACCES),
                    line(Fresh(Connect(w.at(w.other))), 0, EACCES),
                    line(Leave, 0, 0),
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                ],
            )
        }),
        // no self-test; SECCOMP_RET_ERRNO
        tcp("layers_without_grants", |w| {
            (
                new().tcp_connect(w.open),
                vec![
                    line(Fresh(Make), 0, 0),
                    line(Enter(new()), 0, 0),
                    // The filter of the inner one refuses both.
                    line(Then(Connect(w.at(w.open))), 0, EACCES),
                    line(Fresh(Make), 0, EACCES),
                    line(Leave, 0, 0),
                    line(Fresh(Connect(w.at(w.open))), 0, 0),
                ],
            )
        }),
        // The rules that count are those of whoever calls, not of whoever made the socket.
        // no self-test; hook_socket_connect
        tcp("layers_socket_of_the_outer", |w| {
            (
                new().tcp_connect([w.open, w.other]),
                vec![
                    line(Fresh(Make), 0, 0),
                    line(Enter(new().tcp_connect(w.open)), 0, 0),
                    line(Then(Connect(w.at(w.other))), 0, EACCES),
                    line(Then(Connect(w.at(w.open))), libc::EISCONN, 0),
                ],
            )
        }),
        // net_test.c: ipv4_tcp.with_fs, in two layers
        tcp("layers_files_and_ports", |w| {
            (
                new().tcp_bind(w.free).read("/usr"),
                vec![
                    line(Enter(new().tcp_bind(w.free).read("/proc")), 0, 0),
                    line(Act::List("/usr".into()), 0, EACCES),
                    line(Act::List("/proc".into()), 0, EACCES),
                    line(Fresh(Bind(w.at(w.free))), 0, 0),
                    line(Leave, 0, 0),
                    line(Act::List("/usr".into()), 0, 0),
                ],
            )
        }),
        // no self-test; LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
        Entry {
            least: (10, 10),
            protocol: libc::IPPROTO_UDP,
            ..tcp("layers_udp", |w| {
                (
                    new().udp_connect([w.open, w.other]).udp_bind([w.free, w.other_free]),
                    vec![
                        line(Enter(new().udp_connect(w.open).udp_bind(w.free)), 0, 0),
                        line(Fresh(SendTo(w.at(w.open))), 0, 0),
                        line(Fresh(SendTo(w.at(w.other))), 0, EACCES),
                        line(Fresh(Bind(w.at(w.free))), 0, 0),
                        line(Fresh(Bind(w.at(w.other_free))), 0, EACCES),
                        line(Leave, 0, 0),
                        line(Fresh(SendTo(w.at(w.other))), 0, 0),
                    ],
                )
            })
        },
        // fs_test.c: layout0.max_layers
        Entry { over: V4, ..tcp("layers_the_most", |w| deep(w, false)) },
        // fs_test.c: layout0.max_layers
        Entry { over: V4, ..tcp("layers_one_too_many", |w| deep(w, true)) },
    ]
}
