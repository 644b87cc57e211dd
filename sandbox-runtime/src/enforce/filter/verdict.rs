//! What the filter of a plan answers to each call.
//!
//! A worker is denied what it was not granted; elsewhere everything passes but what [`refusals`] names, which is the
//! same in every placement.

use super::bpf::{Action, Case, Test, Verdict};
use super::calls::{Call, Purpose};
use crate::enforce::mark;
use crate::plan::{FilterPlan, Placement, Sockets};

pub(super) const EPERM: Action = Action::Errno(libc::EPERM);
pub(super) const EACCES: Action = Action::Errno(libc::EACCES);
pub(super) const ENOSYS: Action = Action::Errno(libc::ENOSYS);

pub(super) const AF_UNIX: u32 = libc::AF_UNIX as u32;
pub(super) const INET: [u32; 2] = [libc::AF_INET as u32, libc::AF_INET6 as u32];
pub(super) const STREAM: u32 = libc::SOCK_STREAM as u32;
pub(super) const DGRAM: u32 = libc::SOCK_DGRAM as u32;
pub(super) const SEQPACKET: u32 = libc::SOCK_SEQPACKET as u32;
/// The bits of a socket's type that are not flags (`SOCK_TYPE_MASK`).
const TYPE: u32 = 0xf;
/// The file cannot be made executable (Linux 6.3).
pub(super) const MFD_NOEXEC_SEAL: u32 = 0x8;
pub(super) const RENAME_WHITEOUT: u32 = libc::RENAME_WHITEOUT;
pub(super) const MSG_FASTOPEN: u32 = libc::MSG_FASTOPEN as u32;
pub(super) const O_TRUNC: u32 = libc::O_TRUNC as u32;
pub(super) const O_ACCMODE: u32 = libc::O_ACCMODE as u32;
pub(super) const PROT_EXEC: u32 = libc::PROT_EXEC as u32;
pub(super) const MAP_ANONYMOUS: u32 = libc::MAP_ANONYMOUS as u32;
pub(super) const AT_EMPTY_PATH: u32 = libc::AT_EMPTY_PATH as u32;
/// `FS_IOC_SETFLAGS`, its form for 32 bits and `FS_IOC_FSSETXATTR`: older names of `file_setattr(2)`.
pub(super) const ATTRIBUTE_IOCTLS: [u32; 3] = [0x4008_6602, 0x4004_6602, 0x401c_5820];
/// What may be asked of any descriptor: whether it is a terminal and how large (`TCGETS`, `TCGETS2`, `TIOCGWINSZ`), what
/// can be read from it (`FIONREAD`), flags (`FIONBIO`, `FIOCLEX`, `FIONCLEX`), and of files `FIOQSIZE`, `FIGETBSZ`,
/// `FS_IOC_FIEMAP`, `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE`, `FS_IOC_GETFLAGS`, `FS_IOC_FSGETXATTR`.
pub(super) const IOCTLS: [u32; 15] = [
    0x5401,
    0x802c_542a,
    0x5413,
    0x541b,
    0x5421,
    0x5451,
    0x5450,
    0x5460,
    2,
    0xc020_660b,
    0x4004_9409,
    0x4020_940d,
    0xc018_9436,
    0x8008_6601,
    0x801c_581f,
];
/// What puts words into a terminal's input or takes it over (`TIOCSTI`, `TIOCLINUX`, `TIOCCONS`, `TIOCSCTTY`, `TIOCSETD`),
/// and what sends signals to others (`FIOSETOWN`, `SIOCSPGRP`): never, on whatever device.
pub(super) const REFUSED_IOCTLS: [u32; 7] = [0x5412, 0x541c, 0x541d, 0x540e, 0x5423, 0x8901, 0x8902];

/// Types of requests that no device has: of file systems (`f`, `X`, btrfs) and of sockets. Landlock looks at devices alone.
pub(super) const REFUSED_TYPES: [u32; 4] = [0x6600, 0x5800, 0x9400, 0x8900];

/// Flags of `clone(2)` that a thread has, and those that it may have.
pub(super) const THREAD: u32 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM) as u32;
/// `CLONE_DETACHED` has no meaning any more; musl sets it.
pub(super) const THREAD_MAY: u32 = (libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_SETTID
    | libc::CLONE_CHILD_CLEARTID
    | libc::CLONE_DETACHED) as u32;
/// What a process may not have: namespaces, a tracer, another parent than its own, a hold on it.
pub(super) const PROCESS_MAY_NOT: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_PTRACE
    | libc::CLONE_UNTRACED
    | libc::CLONE_PARENT
    | libc::CLONE_PIDFD
    | libc::CLONE_THREAD) as u32;

pub(super) fn verdict(call: &Call, plan: &FilterPlan) -> Verdict {
    let mut cases = refusals(call, plan);
    let otherwise = match plan.mark {
        Placement::Process => in_worker(call, plan, &mut cases),
        Placement::Thread | Placement::InPlace => Action::Allow,
    };
    Verdict::new(cases, otherwise)
}

/// Nothing is refused: a tracer is told of what grants are about, and of whose it is.
#[cfg(feature = "learn")]
pub(super) fn told_of(call: &Call, placement: Placement) -> Verdict {
    use crate::learn::mark::{BEGIN, END};
    let cases = match (call.name, call.purpose) {
        ("prctl", _) => {
            let learn = || Test::is(0, &[mark::LEARN]);
            let steps = [BEGIN as u32, END as u32];
            // From a worker and a thread no worker is asked for, learned from or not.
            let inside = Test::is(0, &[mark::option(placement)]);
            let inside = (placement != Placement::InPlace).then(|| case([inside], EACCES));
            [case([learn(), Test::is(1, &steps)], Action::Trace), case([learn()], EACCES)]
                .into_iter()
                .chain(inside)
                .collect()
        }
        ("mmap", _) => {
            vec![case([Test::has(2, PROT_EXEC), Test::has_none(3, MAP_ANONYMOUS)], Action::Trace)]
        }
        ("socketpair", _) => Vec::new(),
        ("sendto", _) => {
            vec![
                case([Test::is_not(4, &[0])], Action::Trace),
                case([Test::upper_is_not(4, &[0])], Action::Trace),
            ]
        }
        ("ioctl", _) => vec![case([Test::is_not(1, &IOCTLS)], Action::Trace)],
        (
            "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" | "exit_group"
            | "memfd_create" | "clone3",
            _,
        )
        | (
            _,
            Purpose::Paths
            | Purpose::Metadata
            | Purpose::Sockets
            | Purpose::Processes
            | Purpose::Execute
            | Purpose::SystemV
            | Purpose::Uring
            | Purpose::Never,
        ) => vec![case([], Action::Trace)],
        _ => Vec::new(),
    };
    Verdict::new(cases, Action::Allow)
}

/// An option of `prctl(2)` that a tracer is told of.
pub(super) fn note(option: u32) -> Case {
    case([Test::is(0, &[option])], Action::Trace)
}

/// A new number for a descriptor (`fcntl(2)`), which is always allowed.
pub(super) fn dup() -> Case {
    let dup = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC].map(i32::cast_unsigned);
    case([Test::is(1, &dup)], Action::Trace)
}

fn case<const N: usize>(all_of: [Test; N], then: Action) -> Case {
    Case { all_of: all_of.into(), then }
}

/// What is refused wherever a filter is.
fn refusals(call: &Call, plan: &FilterPlan) -> Vec<Case> {
    let refused_if = |refused: bool| if refused { vec![case([], EACCES)] } else { Vec::new() };
    match (call.name, call.purpose) {
        (_, Purpose::Uring) => vec![case([], EPERM)],
        (_, Purpose::Metadata) => refused_if(plan.metadata),
        (_, Purpose::Execute) => refused_if(plan.execute),
        (_, Purpose::Sockets) => sockets(call.name, plan),
        ("prctl", _) => vec![case([Test::is(0, &[mark::option(plan.mark)])], EACCES)],
        // Landlock lets memory files be executed.
        ("memfd_create", _) if !plan.execute => vec![case([Test::has_none(1, MFD_NOEXEC_SEAL)], EACCES)],
        ("ioctl", _) if plan.metadata => vec![case([Test::is(1, &ATTRIBUTE_IOCTLS)], EACCES)],
        ("truncate", _) => refused_if(plan.truncate),
        // Its flags lie in memory, where a filter cannot look; libcs take openat instead.
        ("openat2", _) if plan.truncate => vec![case([], ENOSYS)],
        ("open" | "openat" | "open_by_handle_at", _) if plan.truncate => {
            vec![truncating(flags_of(call.name))]
        }
        ("renameat2", _) if plan.whiteout => vec![case([Test::has(4, RENAME_WHITEOUT)], EACCES)],
        _ => Vec::new(),
    }
}

/// Which argument of a call that opens a file has its flags.
fn flags_of(name: &str) -> u32 {
    if name == "open" { 1 } else { 2 }
}

/// An open for reading alone that truncates. With both access bits a file is opened for neither reading nor writing, so
/// Landlock asks for neither right.
fn truncating(flags: u32) -> Case {
    let access = [libc::O_RDONLY as u32, O_ACCMODE].map(|access| O_TRUNC | access);
    case([Test::is(flags, &access).under(O_TRUNC | O_ACCMODE)], EACCES)
}

fn sockets(name: &str, plan: &FilterPlan) -> Vec<Case> {
    let open = plan.sockets;
    let none = open == Sockets::default();
    // Also without grants: a socket may have been handed over.
    let fastopen = |flags| case([Test::has(flags, MSG_FASTOPEN)], EACCES);
    let mut cases = Vec::new();
    match name {
        "socket" => cases.extend(socket(open)),
        // Connected pairs reach nobody, but datagram sockets can send to others by path or abstract name.
        "socketpair" => {
            cases.push(case([Test::is_not(0, &[AF_UNIX])], EACCES));
            if !open.unix {
                // Among Unix sockets, raw is another name for datagram.
                cases.push(case([Test::is_not(1, &[STREAM, SEQPACKET]).under(TYPE)], EACCES));
            }
        }
        // What a socket that was handed over could reach beside its peer.
        "bind" | "connect" if none => cases.push(case([], EACCES)),
        "listen" if plan.listen => cases.push(case([], EACCES)),
        "sendto" => {
            if none {
                // An address.
                cases.push(case([Test::is_not(4, &[0])], EACCES));
                cases.push(case([Test::upper_is_not(4, &[0])], EACCES));
            }
            cases.extend(plan.fastopen.then(|| fastopen(3)));
        }
        // The address lies in memory. Elsewhere the program's own descriptors pass by it.
        "sendmsg" | "sendmmsg" if none && plan.mark == Placement::Process => cases.push(case([], EACCES)),
        "sendmsg" => cases.extend(plan.fastopen.then(|| fastopen(2))),
        "sendmmsg" => cases.extend(plan.fastopen.then(|| fastopen(3))),
        _ => {}
    }
    cases
}

/// Grants what was asked for; families, types and protocols that no grant needs are refused. MPTCP, SCTP, UDP-Lite, ping
/// and the like share the types.
fn socket(open: Sockets) -> Vec<Case> {
    let kinds = [(open.tcp, STREAM, libc::IPPROTO_TCP), (open.udp, DGRAM, libc::IPPROTO_UDP)];
    let inet = kinds.into_iter().filter(|kind| kind.0).map(|(_, kind, protocol)| {
        let protocols = [0, protocol.unsigned_abs()];
        case([Test::is(0, &INET), Test::is(1, &[kind]).under(TYPE), Test::is(2, &protocols)], Action::Allow)
    });
    let unix = open.unix.then(|| case([Test::is(0, &[AF_UNIX])], Action::Allow));
    inet.chain(unix).chain([case([], EACCES)]).collect()
}

/// What a worker is denied: everything that the plan does not grant.
fn in_worker(call: &Call, plan: &FilterPlan, cases: &mut Vec<Case>) -> Action {
    match call.purpose {
        Purpose::Paths if plan.paths => path(call.name, plan, cases),
        Purpose::Paths if plan.write => reading(call.name, cases),
        Purpose::Metadata if plan.paths => metadata_by_descriptor(call.name, cases),
        Purpose::Processes => process(call.name, cases),
        // What forks workers gives each a session; then it is taken away by [`super::pins`], as below.
        Purpose::Sessions if plan.processes && call.name != "setsid" => EPERM,
        Purpose::SystemV | Purpose::Never => EPERM,
        Purpose::Gone => ENOSYS,
        Purpose::Paths
        | Purpose::Metadata
        | Purpose::Sessions
        | Purpose::Execute
        | Purpose::Sockets
        | Purpose::Uring => Action::Allow,
        Purpose::Descriptors => descriptors(call.name, plan, cases),
        Purpose::Memory => memory(call.name, plan, cases),
        Purpose::Itself | Purpose::Time | Purpose::Threads | Purpose::Restrict => itself(call.name, cases),
    }
}

/// Without grants of files no file can be named, and its existence not be told.
fn path(name: &str, plan: &FilterPlan, cases: &mut Vec<Case>) -> Action {
    match name {
        // For a sandbox inside that names a socket; `connect` tells of files as much.
        "open" | "openat" if plan.sockets.unix => {
            cases.push(case([Test::has(flags_of(name), libc::O_PATH as u32)], Action::Allow));
            EACCES
        }
        // Of what is open, with an empty path, which lies in memory.
        "newfstatat" => {
            cases.push(case([Test::has(3, AT_EMPTY_PATH)], Action::Trap));
            EACCES
        }
        // Newer than what libcs fall back to.
        "statx" | "openat2" | "faccessat2" => ENOSYS,
        _ => EACCES,
    }
}

/// Where no file is granted for writing or truncating none is opened for it. Landlock says the same, but for memory files
/// and pipes, which it does not look at: one that was handed over for reading could be opened anew through
/// `/proc/self/fd`.
fn reading(name: &str, cases: &mut Vec<Case>) -> Action {
    let flags = match name {
        "open" | "openat" => flags_of(name),
        "creat" | "truncate" => return EACCES,
        // Its flags lie in memory; libcs take openat instead.
        "openat2" => return ENOSYS,
        _ => return Action::Allow,
    };
    // With both bits it is opened for neither.
    let harmless = Test::is(flags, &[libc::O_RDONLY as u32, O_ACCMODE]);
    cases.push(case([harmless.under(O_ACCMODE | O_TRUNC)], Action::Allow));
    EACCES
}

fn metadata_by_descriptor(name: &str, cases: &mut Vec<Case>) -> Action {
    match name {
        "fchmod" | "fchown" | "fsetxattr" | "fremovexattr" => Action::Allow,
        // Without a path it is that of a descriptor.
        "utimensat" => {
            cases.push(case([Test::is(1, &[0]), Test::upper_is(1, &[0])], Action::Allow));
            EACCES
        }
        _ => EACCES,
    }
}

/// Processes too, whatever the plan: what makes them is taken away by [`super::pins`].
fn process(name: &str, cases: &mut Vec<Case>) -> Action {
    if name != "clone" {
        return Action::Allow;
    }
    let thread = Test::is(0, &[THREAD]).under(!THREAD_MAY);
    cases.push(case([thread], Action::Allow));
    cases.push(case([Test::has_none(0, PROCESS_MAY_NOT)], Action::Allow));
    EPERM
}

fn descriptors(name: &str, plan: &FilterPlan, cases: &mut Vec<Case>) -> Action {
    match name {
        "ioctl" if plan.ioctl => {
            // Where metadata may not be changed, these were refused above.
            cases.push(case([Test::is(1, &[&IOCTLS[..], &ATTRIBUTE_IOCTLS].concat())], Action::Allow));
            EACCES
        }
        "ioctl" => {
            cases.push(case([Test::is(1, &[&IOCTLS[..], &ATTRIBUTE_IOCTLS].concat())], Action::Allow));
            cases.push(case([Test::is(1, &REFUSED_IOCTLS)], EACCES));
            cases.push(case([Test::is(1, &REFUSED_TYPES).under(0xff00)], EACCES));
            Action::Allow
        }
        "fcntl" => {
            cases.push(case([Test::is(1, &FCNTLS)], Action::Allow));
            EPERM
        }
        "setsockopt" => {
            // Programs that run in the kernel for each packet.
            let attach = [libc::SO_ATTACH_FILTER, libc::SO_ATTACH_BPF];
            let reuseport = [libc::SO_ATTACH_REUSEPORT_CBPF, libc::SO_ATTACH_REUSEPORT_EBPF];
            // Of a Unix socket up to `net.core.wmem_max`, which no limit counts. Those of the network grow by themselves.
            let larger = [libc::SO_SNDBUF, libc::SO_SNDBUFFORCE, libc::SO_RCVBUF, libc::SO_RCVBUFFORCE];
            let network = plan.sockets.tcp || plan.sockets.udp;
            let larger = if plan.uncounted_memory && !network { &larger[..] } else { &[] };
            let options = [&attach[..], &reuseport, larger].concat();
            let options: Vec<u32> = options.iter().map(|option| option.unsigned_abs()).collect();
            cases.push(case([Test::is(1, &[SOL_SOCKET]), Test::is(2, &options)], EPERM));
            let other = [libc::TCP_ULP, libc::TCP_REPAIR].map(|option| option as u32);
            cases.push(case([Test::is(1, &[SOL_TCP]), Test::is(2, &other)], EPERM));
            let levels =
                [SOL_SOCKET, SOL_TCP, libc::SOL_UDP as u32, libc::SOL_IP as u32, libc::SOL_IPV6 as u32];
            let open = if network { &levels[..] } else { &levels[..2] };
            cases.push(case([Test::is(1, open)], Action::Allow));
            EPERM
        }
        _ => Action::Allow,
    }
}

const SOL_SOCKET: u32 = libc::SOL_SOCKET as u32;
const SOL_TCP: u32 = libc::SOL_TCP as u32;

/// Without owners of signals (`F_SETOWN`), leases, notes of changes, and larger pipes, which no limit counts.
pub(super) const FCNTLS: [u32; 15] = [
    libc::F_DUPFD as u32,
    libc::F_DUPFD_CLOEXEC as u32,
    libc::F_GETFD as u32,
    libc::F_SETFD as u32,
    libc::F_GETFL as u32,
    libc::F_SETFL as u32,
    libc::F_GETLK as u32,
    libc::F_SETLK as u32,
    libc::F_SETLKW as u32,
    libc::F_OFD_GETLK as u32,
    libc::F_OFD_SETLK as u32,
    libc::F_OFD_SETLKW as u32,
    libc::F_GETPIPE_SZ as u32,
    libc::F_ADD_SEALS as u32,
    libc::F_GET_SEALS as u32,
];

fn memory(name: &str, plan: &FilterPlan, cases: &mut Vec<Case>) -> Action {
    match name {
        "mmap" if plan.execute => {
            cases.push(case([Test::has(2, PROT_EXEC), Test::has_none(3, MAP_ANONYMOUS)], EACCES));
            Action::Allow
        }
        // What it is memory of cannot be seen.
        "mprotect" | "pkey_mprotect" if plan.execute => {
            cases.push(case([Test::has(2, PROT_EXEC)], EACCES));
            Action::Allow
        }
        "memfd_create" if plan.uncounted_memory => EPERM,
        _ => Action::Allow,
    }
}

/// Its own state. 0 is the caller, wherever a process or a thread is asked for.
fn itself(name: &str, cases: &mut Vec<Case>) -> Action {
    match name {
        "getpgid"
        | "getsid"
        | "sched_getparam"
        | "sched_getscheduler"
        | "sched_getattr"
        | "sched_rr_get_interval"
        | "sched_setaffinity"
        | "get_robust_list"
        | "prlimit64" => {
            cases.push(case([Test::is(0, &[0])], Action::Allow));
        }
        // A negative number names a process or thread (its own has a positive one too), or a descriptor. A timer on
        // another's processor time is looked after by that other, at each of its ticks.
        "clock_gettime" => return Action::Allow,
        "clock_getres" | "clock_nanosleep" | "timer_create" => {
            cases.push(case([Test::has_none(0, 1 << 31)], Action::Allow));
        }
        // PRIO_PROCESS is 0.
        "getpriority" | "setpriority" => {
            cases.push(case([Test::is(0, &[0]), Test::is(1, &[0])], Action::Allow));
        }
        "prctl" => cases.push(case([Test::is(0, &[&PRCTLS[..], &TIES].concat())], Action::Allow)),
        "seccomp" => {
            let flags = [0, libc::SECCOMP_FILTER_FLAG_TSYNC as u32];
            let install = [Test::is(0, &[libc::SECCOMP_SET_MODE_FILTER]), Test::is(1, &flags)];
            cases.push(case(install, Action::Allow));
            cases.push(case([Test::is(0, &[libc::SECCOMP_GET_ACTION_AVAIL])], Action::Allow));
        }
        _ => return Action::Allow,
    }
    EPERM
}

/// What ties a process to its parent and to what is left behind below it: for what forks workers, whose death they must
/// not outlive.
pub(super) const TIES: [u32; 2] = [libc::PR_SET_PDEATHSIG as u32, libc::PR_SET_CHILD_SUBREAPER as u32];

/// Names, what it was restricted to, huge pages, names of memory.
pub(super) const PRCTLS: [u32; 12] = [
    libc::PR_SET_NAME as u32,
    libc::PR_GET_NAME as u32,
    libc::PR_SET_NO_NEW_PRIVS as u32,
    libc::PR_GET_NO_NEW_PRIVS as u32,
    libc::PR_GET_SECCOMP as u32,
    libc::PR_GET_DUMPABLE as u32,
    libc::PR_CAPBSET_READ as u32,
    libc::PR_SET_TIMERSLACK as u32,
    libc::PR_GET_TIMERSLACK as u32,
    libc::PR_SET_THP_DISABLE as u32,
    libc::PR_GET_THP_DISABLE as u32,
    libc::PR_SET_VMA as u32,
];
