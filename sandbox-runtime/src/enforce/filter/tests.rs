//! Filters as data: each is run here on calls of both architectures, so that neither machine is needed.

use super::*;
use crate::plan::Placement;

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const EACCES: u32 = 0x0005_0000 | libc::EACCES.unsigned_abs();

const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;
const AUDIT_AARCH64: u32 = 0xc000_00b7;
const AUDIT_ARM: u32 = 0x4000_0028;

/// A system call as a filter sees it (`struct seccomp_data`).
struct Call {
    number: i64,
    arch: u32,
    arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let halves = |value: u64| [value as u32, (value >> 32) as u32];
        let words = [
            vec![self.number as u32, self.arch, 0, 0],
            self.arguments.iter().copied().flat_map(halves).collect(),
        ];
        words.concat()[offset as usize / 4]
    }
}

/// Runs a program of classic BPF, as much of it as filters use.
fn run(program: &[sock_filter], call: &Call) -> u32 {
    let (mut at, mut word) = (0, 0u32);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => word = call.word(step.k),
            0x54 => word &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += jump(word == step.k),
            0x25 => at += jump(word > step.k),
            0x35 => at += jump(word >= step.k),
            0x45 => at += jump(word & step.k != 0),
            0x06 => return step.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

/// The numbers by name, from `arch/x86/entry/syscalls/syscall_64.tbl` and `scripts/syscall.tbl` of Linux.
#[rustfmt::skip]
const NUMBERS: &[(&str, Option<i64>, Option<i64>)] = &[
    ("read",              Some(0),   Some(63)),
    ("open",              Some(2),   None),
    ("openat",            Some(257), Some(56)),
    ("open_by_handle_at", Some(304), Some(265)),
    ("openat2",           Some(437), Some(437)),
    ("truncate",          Some(76),  Some(45)),
    ("ftruncate",         Some(77),  Some(46)),
    ("renameat2",         Some(316), Some(276)),
    ("ioctl",             Some(16),  Some(29)),
    ("socket",            Some(41),  Some(198)),
    ("socketpair",        Some(53),  Some(199)),
    ("bind",              Some(49),  Some(200)),
    ("connect",           Some(42),  Some(203)),
    ("listen",            Some(50),  Some(201)),
    ("accept4",           Some(288), Some(242)),
    ("sendto",            Some(44),  Some(206)),
    ("sendmsg",           Some(46),  Some(211)),
    ("sendmmsg",          Some(307), Some(269)),
    ("execve",            Some(59),  Some(221)),
    ("execveat",          Some(322), Some(281)),
    ("prctl",             Some(157), Some(167)),
    ("io_uring_setup",    Some(425), Some(425)),
    ("io_uring_enter",    Some(426), Some(426)),
    ("io_uring_register", Some(427), Some(427)),
    ("chmod",             Some(90),  None),
    ("fchmod",            Some(91),  Some(52)),
    ("fchmodat",          Some(268), Some(53)),
    ("fchmodat2",         Some(452), Some(452)),
    ("chown",             Some(92),  None),
    ("lchown",            Some(94),  None),
    ("fchown",            Some(93),  Some(55)),
    ("fchownat",          Some(260), Some(54)),
    ("utime",             Some(132), None),
    ("utimes",            Some(235), None),
    ("futimesat",         Some(261), None),
    ("utimensat",         Some(280), Some(88)),
    ("setxattr",          Some(188), Some(5)),
    ("lsetxattr",         Some(189), Some(6)),
    ("fsetxattr",         Some(190), Some(7)),
    ("removexattr",       Some(197), Some(14)),
    ("lremovexattr",      Some(198), Some(15)),
    ("fremovexattr",      Some(199), Some(16)),
    ("setxattrat",        Some(463), Some(463)),
    ("getxattrat",        Some(464), Some(464)),
    ("removexattrat",     Some(466), Some(466)),
    ("file_setattr",      Some(469), Some(469)),
];

const METADATA: &[&str] = &[
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "setxattrat",
    "removexattrat",
    "file_setattr",
];

/// What the filter of a plan makes of a call, on each architecture that has it.
fn verdicts(plan: &FilterPlan, name: &str, arguments: &[u64]) -> Vec<u32> {
    let (_, x86_64, aarch64) = NUMBERS.iter().find(|row| row.0 == name).expect(name);
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let both = [(&X86_64, AUDIT_X86_64, *x86_64), (&AARCH64, AUDIT_AARCH64, *aarch64)];
    let there = both.into_iter().filter_map(|(arch, audit, number)| Some((arch, audit, number?)));
    there
        .map(|(arch, audit, number)| {
            run(&program(plan, arch).unwrap(), &Call { number, arch: audit, arguments: all })
        })
        .collect()
}

#[track_caller]
fn check(plan: &FilterPlan, table: &[(&str, &[u64], u32)]) {
    for (name, arguments, expected) in table {
        let found = verdicts(plan, name, arguments);
        assert!(
            !found.is_empty() && found.iter().all(|found| found == expected),
            "{name}{arguments:?}: {found:x?}"
        );
    }
}

/// Refuses all it can.
fn nothing() -> FilterPlan {
    FilterPlan {
        whiteout: true,
        mark: Placement::Thread,
        sockets: Sockets::default(),
        listen: true,
        fastopen: true,
        execute: true,
        metadata: true,
        truncate: true,
    }
}

/// Refuses what no plan grants.
fn most() -> FilterPlan {
    let sockets = Sockets { tcp: true, udp: true, unix: true };
    FilterPlan {
        sockets,
        listen: false,
        fastopen: false,
        execute: false,
        metadata: false,
        truncate: false,
        whiteout: false,
        ..nothing()
    }
}

const INET: u64 = libc::AF_INET as u64;
const PACKET: u64 = libc::AF_PACKET as u64;
const HIGH: u64 = 1 << 32;

#[test]
fn what_no_grant_needs_is_refused() {
    let mark = u64::from(mark::option(Placement::Thread));
    let common: &[(&str, &[u64], u32)] = &[
        ("io_uring_setup", &[], EACCES),
        ("io_uring_enter", &[], EACCES),
        ("io_uring_register", &[], EACCES),
        ("socket", &[PACKET, 3, 0], EACCES),
        ("socketpair", &[INET, STREAM, 0], EACCES),
        ("prctl", &[mark], EACCES),
        ("prctl", &[mark | HIGH], EACCES),
        ("prctl", &[mark + 1], ALLOW),
        ("read", &[], ALLOW),
        ("accept4", &[], ALLOW),
        ("ftruncate", &[], ALLOW),
        ("getxattrat", &[], ALLOW),
        ("socketpair", &[AF_UNIX, STREAM, 0], ALLOW),
    ];
    check(&nothing(), common);
    check(&most(), common);
    check(
        &nothing(),
        &[
            ("socket", &[INET, STREAM, 0], EACCES),
            ("socket", &[AF_UNIX, STREAM, 0], EACCES),
            ("bind", &[], EACCES),
            ("connect", &[], EACCES),
            ("listen", &[], EACCES),
            ("execve", &[], EACCES),
            ("execveat", &[], EACCES),
            ("socketpair", &[AF_UNIX, DGRAM, 0], EACCES),
            ("socketpair", &[AF_UNIX | HIGH, 3, 0], EACCES),
        ],
    );
    check(
        &most(),
        &[
            ("socket", &[INET, STREAM, 0], ALLOW),
            ("socket", &[INET, DGRAM, 17], ALLOW),
            ("socket", &[AF_UNIX, DGRAM, 0], ALLOW),
            ("bind", &[], ALLOW),
            ("connect", &[], ALLOW),
            ("listen", &[], ALLOW),
            ("execve", &[], ALLOW),
            ("execveat", &[], ALLOW),
            ("socketpair", &[AF_UNIX, DGRAM, 0], ALLOW),
        ],
    );
}

#[test]
fn metadata_is_refused_by_every_call() {
    for name in METADATA {
        check(&nothing(), &[(name, &[], EACCES)]);
        check(&most(), &[(name, &[], ALLOW)]);
    }
    for request in ATTRIBUTE_IOCTLS {
        check(&nothing(), &[("ioctl", &[0, request], EACCES), ("ioctl", &[0, request | HIGH], EACCES)]);
        check(&most(), &[("ioctl", &[0, request], ALLOW)]);
    }
    check(&nothing(), &[("ioctl", &[0, 0x5401], ALLOW)]);
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
            check(&nothing(), &[(name, &with(flags), expected)]);
            check(&most(), &[(name, &with(flags), ALLOW)]);
        }
    }
    check(&nothing(), &[("truncate", &[], EACCES), ("openat2", &[], EACCES)]);
    check(&most(), &[("truncate", &[], ALLOW), ("openat2", &[], ALLOW)]);
}

#[test]
fn whiteouts_are_a_flag_of_renameat2() {
    let exchange = u64::from(libc::RENAME_EXCHANGE);
    for (flags, expected) in [
        (RENAME_WHITEOUT, EACCES),
        (RENAME_WHITEOUT | HIGH, EACCES),
        (RENAME_WHITEOUT | u64::from(libc::RENAME_NOREPLACE), EACCES),
        (exchange, ALLOW),
        (0, ALLOW),
    ] {
        check(&nothing(), &[("renameat2", &[0, 0, 0, 0, flags], expected)]);
        check(&most(), &[("renameat2", &[0, 0, 0, 0, flags], ALLOW)]);
    }
}

#[test]
fn fast_open_is_a_flag_of_three_calls() {
    for (name, at) in [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)] {
        let mut arguments = [0; 4];
        arguments[at] = MSG_FASTOPEN | libc::MSG_NOSIGNAL as u64;
        check(&nothing(), &[(name, &arguments, EACCES)]);
        check(&most(), &[(name, &arguments, ALLOW)]);
        arguments[at] = libc::MSG_NOSIGNAL as u64;
        check(&nothing(), &[(name, &arguments, ALLOW)]);
    }
}

/// Calls of 32-bit programs, and on x86_64 those of x32, have other numbers.
#[test]
fn other_tables_of_calls_kill() {
    for plan in [nothing(), most()] {
        for (arch, others) in [(&X86_64, [AUDIT_I386, AUDIT_AARCH64]), (&AARCH64, [AUDIT_ARM, AUDIT_X86_64])]
        {
            for other in others {
                let call = Call { number: 0, arch: other, arguments: [0; 6] };
                assert_eq!(run(&program(&plan, arch).unwrap(), &call), KILL_PROCESS);
            }
        }
        let x32 = Call { number: 1 << 30 | 39, arch: AUDIT_X86_64, arguments: [0; 6] };
        assert_eq!(run(&program(&plan, &X86_64).unwrap(), &x32), KILL_PROCESS);
    }
}
