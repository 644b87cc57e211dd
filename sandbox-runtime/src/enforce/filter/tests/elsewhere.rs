//! In a thread and in place everything passes but what the plan refuses.

use super::*;
use crate::enforce::filter::calls::Purpose;
use crate::enforce::filter::verdict::ATTRIBUTE_IOCTLS;
use crate::enforce::mark;

const WHITEOUT: u64 = libc::RENAME_WHITEOUT as u64;
const FASTOPEN: u64 = libc::MSG_FASTOPEN as u64;
const INET: u64 = libc::AF_INET as u64;
const UNIX: u64 = libc::AF_UNIX as u64;
const PACKET: u64 = libc::AF_PACKET as u64;
const STREAM: u64 = libc::SOCK_STREAM as u64;
const DGRAM: u64 = libc::SOCK_DGRAM as u64;

#[test]
fn what_no_grant_needs_is_refused() {
    let mark = u64::from(mark::option(Placement::Thread));
    let common: &[(&str, &[u64], u32)] = &[
        ("io_uring_setup", &[], REFUSED),
        ("io_uring_enter", &[], REFUSED),
        ("io_uring_register", &[], REFUSED),
        ("socket", &[PACKET, 3, 0], EACCES),
        ("socketpair", &[INET, STREAM, 0], EACCES),
        ("prctl", &[mark], EACCES),
        ("prctl", &[mark | HIGH], EACCES),
        ("prctl", &[mark + 1], ALLOW),
        ("read", &[], ALLOW),
        ("accept4", &[], ALLOW),
        ("ftruncate", &[], ALLOW),
        ("getxattrat", &[], ALLOW),
        ("socketpair", &[UNIX, STREAM, 0], ALLOW),
    ];
    check(&nothing(Placement::Thread), common);
    check(&most(Placement::Thread), common);
    check(
        &nothing(Placement::Thread),
        &[
            ("socket", &[INET, STREAM, 0], EACCES),
            ("socket", &[UNIX, STREAM, 0], EACCES),
            ("bind", &[], EACCES),
            ("connect", &[], EACCES),
            ("listen", &[], EACCES),
            ("execve", &[], EACCES),
            ("execveat", &[], EACCES),
            ("socketpair", &[UNIX, DGRAM, 0], EACCES),
            ("socketpair", &[UNIX | HIGH, 3, 0], EACCES),
        ],
    );
    check(
        &most(Placement::Thread),
        &[
            ("socket", &[INET, STREAM, 0], ALLOW),
            ("socket", &[INET, DGRAM, 17], ALLOW),
            ("socket", &[UNIX, DGRAM, 0], ALLOW),
            ("bind", &[], ALLOW),
            ("connect", &[], ALLOW),
            ("listen", &[], ALLOW),
            ("execve", &[], ALLOW),
            ("execveat", &[], ALLOW),
            ("socketpair", &[UNIX, DGRAM, 0], ALLOW),
        ],
    );
}

#[test]
fn metadata_is_refused_by_every_call() {
    for call in CALLS.iter().filter(|call| call.purpose == Purpose::Metadata) {
        let name = call.name;
        check(&nothing(Placement::Thread), &[(name, &[], EACCES)]);
        check(&most(Placement::Thread), &[(name, &[], ALLOW)]);
    }
    for request in ATTRIBUTE_IOCTLS.map(u64::from) {
        check(
            &nothing(Placement::Thread),
            &[("ioctl", &[0, request], EACCES), ("ioctl", &[0, request | HIGH], EACCES)],
        );
        check(&most(Placement::Thread), &[("ioctl", &[0, request], ALLOW)]);
    }
    check(&nothing(Placement::Thread), &[("ioctl", &[0, 0x5401], ALLOW)]);
}

#[test]
fn truncation_is_refused_but_to_writers() {
    let trunc = libc::O_TRUNC as u64;
    let both = libc::O_ACCMODE as u64;
    for (name, at) in [("open", 1), ("openat", 2), ("open_by_handle_at", 2)] {
        let with = |flags: u64| {
            let mut arguments = [0; 3];
            arguments[at] = flags;
            arguments
        };
        for (flags, expected) in [
            (trunc, EACCES),
            (trunc | HIGH, EACCES),
            (trunc | both, EACCES),
            (trunc | libc::O_CLOEXEC as u64, EACCES),
            (trunc | libc::O_WRONLY as u64, ALLOW),
            (trunc | libc::O_RDWR as u64, ALLOW),
            (0, ALLOW),
            (both, ALLOW),
        ] {
            check(&nothing(Placement::Thread), &[(name, &with(flags), expected)]);
            check(&most(Placement::Thread), &[(name, &with(flags), ALLOW)]);
        }
    }
    check(&nothing(Placement::Thread), &[("truncate", &[], EACCES), ("openat2", &[], ENOSYS)]);
    check(&most(Placement::Thread), &[("truncate", &[], ALLOW), ("openat2", &[], ALLOW)]);
}

#[test]
fn whiteouts_are_a_flag_of_renameat2() {
    let exchange = u64::from(libc::RENAME_EXCHANGE);
    for (flags, expected) in [
        (WHITEOUT, EACCES),
        (WHITEOUT | HIGH, EACCES),
        (WHITEOUT | u64::from(libc::RENAME_NOREPLACE), EACCES),
        (exchange, ALLOW),
        (0, ALLOW),
    ] {
        check(&nothing(Placement::Thread), &[("renameat2", &[0, 0, 0, 0, flags], expected)]);
        check(&most(Placement::Thread), &[("renameat2", &[0, 0, 0, 0, flags], ALLOW)]);
    }
}

#[test]
fn fast_open_is_a_flag_of_three_calls() {
    for (name, at) in [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)] {
        let mut arguments = [0; 4];
        arguments[at] = FASTOPEN | libc::MSG_NOSIGNAL as u64;
        check(&nothing(Placement::Thread), &[(name, &arguments, EACCES)]);
        check(&most(Placement::Thread), &[(name, &arguments, ALLOW)]);
        arguments[at] = libc::MSG_NOSIGNAL as u64;
        check(&nothing(Placement::Thread), &[(name, &arguments, ALLOW)]);
    }
}
