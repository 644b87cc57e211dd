//! Sockets by path. The filter refuses to make one where none is granted; from ABI 9 Landlock says which may be reached.

use crate::layout::servers;
use crate::words::*;
use libc::{EACCES, ECONNREFUSED, EPROTOTYPE};
use sandboxed::Allow;

const ALL: [(&str, Link); 4] = [
    ("stream", Link::Stream),
    ("seqpacket", Link::Seqpacket),
    ("datagram", Link::Datagram),
    ("datagram", Link::DatagramTo),
];

fn to_all(dir: &str) -> [Act; 4] {
    ALL.map(|(name, link)| connect_to(format!("{dir}/{name}"), link))
}

pub fn rows() -> Vec<Row> {
    vec![
        // no self-test; SECCOMP_RET_ERRNO
        Row::new("sockets::none", servers)
            .grants([("a", READ), ("a", WRITE)])
            .denied(to_all("a"))
            .denied([Act::Serve("a/new".into())])
            .ok([on(Source::Socket, Use::Write), make("a/new", Kind::Sock)]),
        // scoped_domains.unix_stream_connect_to_parent and its like for each type, by connect and sendmsg (Linux 7.1)
        Row::new("sockets::directory", servers)
            .grants([("a", RESOLVE_UNIX)])
            .ok(to_all("a"))
            .denied(to_all("x")),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::each_by_its_own", servers)
            .grants([("a/stream", RESOLVE_UNIX), ("x/datagram", RESOLVE_UNIX)])
            .ok([connect_to("a/stream", Link::Stream), connect_to("x/datagram", Link::DatagramTo)])
            .denied([connect_to("x/stream", Link::Stream), connect_to("a/datagram", Link::DatagramTo)])
            .denied([connect_to("a/seqpacket", Link::Seqpacket), connect_to("a/datagram", Link::Datagram)]),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::symlink", servers)
            .grants([("a", RESOLVE_UNIX)])
            .ok([connect_to("a/stream", Link::Stream)])
            .denied([connect_to("a/link", Link::Stream)]),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::symlink_granted", servers)
            .grants([("a/link", RESOLVE_UNIX)])
            .ok([connect_to("a/link", Link::Stream), connect_to("x/stream", Link::Stream)])
            .denied([connect_to("a/stream", Link::Stream)]),
        // A server of the same sandbox needs no grant to be reached.
        // scoped_domains.unix_stream_connect_to_parent
        Row::new("sockets::of_the_same_sandbox", servers)
            .grants([("made", MAKE_SOCK), ("a", RESOLVE_UNIX)])
            .ok([Act::Serve("made/new".into()), connect_to("a/stream", Link::Stream)])
            .denied([connect_to("x/stream", Link::Stream), Act::Serve("a/new".into())]),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::in_both_sandboxes", servers)
            .grants([("", RESOLVE_UNIX)])
            .then([("a", RESOLVE_UNIX)])
            .ok(to_all("a"))
            .denied(to_all("x")),
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::in_one_of_two_sandboxes", servers)
            .grants([("a", RESOLVE_UNIX)])
            .then([("x", RESOLVE_UNIX)])
            .denied(to_all("a"))
            .denied(to_all("x"))
            .ok([on(Source::Socket, Use::Write)]),
        // Other rights do not reach sockets; the files are not opened.
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::by_other_rights", servers)
            .grants([("a", READ), ("a", WRITE), ("x", RESOLVE_UNIX)])
            .ok(to_all("x"))
            .denied(to_all("a")),
        // `allow(abstract_unix_socket)` makes sockets possible: then Landlock alone can refuse paths.
        // no self-test; LANDLOCK_ACCESS_FS_RESOLVE_UNIX
        Row::new("sockets::beside_abstract_ones", servers)
            .allow(Allow::AbstractUnixSocket)
            .grants([("made", MAKE_SOCK)])
            .since(9, EACCES, 0, to_all("a"))
            .ok([Act::Serve("made/new".into())]),
        // What is no socket, or of another type, is answered as outside.
        // no self-test; hook_unix_find
        Row::new("sockets::of_another_type", servers)
            .grants([("a", RESOLVE_UNIX), ("made", MAKE_SOCK)])
            .gives(
                EPROTOTYPE,
                [connect_to("a/datagram", Link::Stream), connect_to("a/stream", Link::Datagram)],
            )
            .ok([make("made/dead", Kind::Sock)])
            .gives(ECONNREFUSED, [connect_to("made/dead", Link::Stream), connect_to("a", Link::Stream)])
            .gives(
                libc::ENOENT,
                [connect_to("a/missing", Link::Stream), connect_to("x/missing", Link::Stream)],
            )
            .denied([connect_to("x/stream", Link::Stream)]),
    ]
}
