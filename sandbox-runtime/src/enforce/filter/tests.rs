//! Filters as data: each is run here on calls of both architectures, so that neither machine is needed.

mod elsewhere;
mod machine;
mod numbers;
mod whole;
mod worker;

use super::verdict::EPERM;
use super::*;
use crate::plan::{Signals, Sockets};
use machine::{Seen, answers};

pub(super) const ALLOW: u32 = Action::Allow.value();
pub(super) const EACCES: u32 = super::verdict::EACCES.value();
pub(super) const REFUSED: u32 = EPERM.value();
pub(super) const ENOSYS: u32 = super::verdict::ENOSYS.value();
pub(super) const KILL: u32 = Action::KillProcess.value();
pub(super) const HIGH: u64 = 1 << 32;

const AUDIT_I386: u32 = 0x4000_0003;
const AUDIT_ARM: u32 = 0x4000_0028;

/// What the filter of a plan makes of calls, on each architecture that has them.
#[track_caller]
fn check(plan: &FilterPlan, table: &[(&str, &[u64], u32)]) {
    for (name, arguments, expected) in table {
        let found = answers(name, arguments, |arch| vec![program(plan, arch)]);
        let all = !found.is_empty() && found.iter().all(|found| found == expected);
        assert!(all, "{name}{arguments:x?}: {found:x?}, not {expected:x}");
    }
}

/// Refuses all it can.
fn nothing(mark: Placement) -> FilterPlan {
    FilterPlan {
        mark,
        sockets: Sockets::default(),
        listen: true,
        fastopen: true,
        execute: true,
        metadata: true,
        truncate: true,
        whiteout: true,
        paths: true,
        write: true,
        ioctl: true,
        uncounted_memory: true,
        processes: true,
        threads: true,
        signals: Signals::ToItself,
    }
}

/// Refuses what no plan grants.
fn most(mark: Placement) -> FilterPlan {
    FilterPlan {
        mark,
        sockets: Sockets { tcp: true, udp: true, unix: true },
        listen: false,
        fastopen: false,
        execute: false,
        metadata: false,
        truncate: false,
        whiteout: false,
        paths: false,
        write: false,
        ioctl: false,
        uncounted_memory: false,
        processes: false,
        threads: false,
        signals: Signals::NotToTheForkserver,
    }
}

/// Calls of 32-bit programs, and on x86_64 those of x32, have other numbers.
#[test]
fn other_tables_of_calls_kill() {
    for mark in [Placement::Process, Placement::Thread, Placement::InPlace] {
        for plan in [nothing(mark), most(mark)] {
            for (arch, others) in
                [(&X86_64, [AUDIT_I386, AARCH64.audit]), (&AARCH64, [AUDIT_ARM, X86_64.audit])]
            {
                for other in others {
                    let call = Seen { number: 0, arch: other, arguments: [0; 6] };
                    assert_eq!(machine::run(&program(&plan, arch), &call), KILL);
                }
            }
            for number in [X32, X32 | 39, X32 | 512, u32::MAX] {
                let call = Seen { number, arch: X86_64.audit, arguments: [0; 6] };
                assert_eq!(machine::run(&program(&plan, &X86_64), &call), KILL);
            }
        }
    }
}

/// Everything else runs as fast as ever.
#[test]
fn a_tracer_is_told_of_what_a_limit_refuses_only_where_there_is_one() {
    let dup = [0, libc::F_DUPFD_CLOEXEC as u64, 0, 0, 0, 0];
    let calls =
        [("mmap", [0; 6]), ("write", [0; 6]), ("fallocate", [0; 6]), ("pipe2", [0; 6]), ("fcntl", dup)];
    let none = Limits::default();
    for (limits, expected) in [
        (none, &[][..]),
        (Limits { cpu: Some(std::time::Duration::from_secs(1)), ..none }, &[]),
        (Limits { memory: Some(1), ..none }, &["mmap"]),
        (Limits { file_size: Some(1), ..none }, &["write", "fallocate"]),
        (Limits { open_files: Some(1), ..none }, &["pipe2", "fcntl"]),
    ] {
        let program = Reporting::of(&nothing(Placement::Process), &limits).program();
        let is_told = |name, arguments| {
            let number = number_of_call(name).try_into().unwrap();
            let answer = machine::run(&program, &Seen { number, arch: HERE.audit, arguments });
            assert!([ALLOW, Action::Trace.value()].contains(&answer), "{name}: {answer:x}");
            answer != ALLOW
        };
        let told = calls.iter().filter(|(name, arguments)| is_told(name, *arguments));
        assert_eq!(told.map(|(name, _)| *name).collect::<Vec<_>>(), expected, "{limits:?}");
        assert!(is_told("ioctl", [0, 0x5401, 0, 0, 0, 0]), "whatever the limits");
        assert!(!is_told("fcntl", [0, libc::F_GETFL as u64, 0, 0, 0, 0]));
    }
}
