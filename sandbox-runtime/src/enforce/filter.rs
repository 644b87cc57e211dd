//! System call filters from a plan: what they refuse fails with `EACCES`, the rest passes.
//!
//! <https://docs.kernel.org/userspace-api/seccomp_filter.html>

#[cfg(test)]
mod tests;

use super::{LockError, mark};
use crate::plan::{FilterPlan, Placement, Sockets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A compiled filter, as it goes to a worker: code, jt, jf, k of each instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter(Vec<(u16, u8, u8, u32)>);

/// What differs between architectures: the numbers of calls, and x32.
struct Arch {
    target: TargetArch,
    /// Calls that change metadata.
    metadata: &'static [i64],
    /// Calls that open a file with flags in an argument: number, index of the argument.
    opens: &'static [(i64, u8)],
    /// `execve` and `execveat`.
    execute: [i64; 2],
    ioctl: i64,
    memfd_create: i64,
    socket: i64,
    socketpair: i64,
    bind: i64,
    connect: i64,
    listen: i64,
    sendto: i64,
    sendmsg: i64,
    sendmmsg: i64,
    truncate: i64,
    renameat2: i64,
    prctl: i64,
    /// x86_64 lets programs use a second table of calls, whose numbers have bit 30 set.
    x32: bool,
}

#[cfg(target_arch = "x86_64")]
const HERE: &Arch = &X86_64;
#[cfg(target_arch = "aarch64")]
const HERE: &Arch = &AARCH64;

#[cfg_attr(not(any(test, target_arch = "x86_64")), allow(dead_code))]
const X86_64: Arch = Arch {
    target: TargetArch::x86_64,
    // chmod fchmod chown fchown lchown utime setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    // utimes fchownat futimesat fchmodat utimensat fchmodat2 setxattrat removexattrat file_setattr
    metadata: &[
        90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, 452, 463, 466, 469,
    ],
    // open, openat, open_by_handle_at
    opens: &[(2, 1), (257, 2), (304, 2)],
    execute: [59, 322],
    ioctl: 16,
    memfd_create: 319,
    socket: 41,
    socketpair: 53,
    bind: 49,
    connect: 42,
    listen: 50,
    sendto: 44,
    sendmsg: 46,
    sendmmsg: 307,
    truncate: 76,
    renameat2: 316,
    prctl: 157,
    x32: true,
};

#[cfg_attr(not(any(test, target_arch = "aarch64")), allow(dead_code))]
const AARCH64: Arch = Arch {
    target: TargetArch::aarch64,
    // setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr fchmod fchmodat fchownat fchown
    // utimensat fchmodat2 setxattrat removexattrat file_setattr
    metadata: &[5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, 452, 463, 466, 469],
    // openat, open_by_handle_at
    opens: &[(56, 2), (265, 2)],
    execute: [221, 281],
    ioctl: 29,
    memfd_create: 279,
    socket: 198,
    socketpair: 199,
    bind: 200,
    connect: 203,
    listen: 201,
    sendto: 206,
    sendmsg: 211,
    sendmmsg: 269,
    truncate: 45,
    renameat2: 276,
    prctl: 167,
    x32: false,
};

// Numbers that all architectures share.
const IO_URING: [i64; 3] = [425, 426, 427];
const OPENAT2: i64 = 437;

const AF_UNIX: u64 = libc::AF_UNIX as u64;
const INET: [u64; 2] = [libc::AF_INET as u64, libc::AF_INET6 as u64];
const STREAM: u64 = libc::SOCK_STREAM as u64;
const DGRAM: u64 = libc::SOCK_DGRAM as u64;
const SEQPACKET: u64 = libc::SOCK_SEQPACKET as u64;
/// The bits of a socket's type that are not flags (`SOCK_TYPE_MASK`).
const TYPE: u64 = 0xf;
/// The file cannot be made executable (Linux 6.3).
const MFD_NOEXEC_SEAL: u64 = 0x8;
const RENAME_WHITEOUT: u64 = libc::RENAME_WHITEOUT as u64;
const MSG_FASTOPEN: u64 = libc::MSG_FASTOPEN as u64;
/// `FS_IOC_SETFLAGS`, its form for 32 bits and `FS_IOC_FSSETXATTR`: older names of `file_setattr(2)`.
const ATTRIBUTE_IOCTLS: [u64; 3] = [0x4008_6602, 0x4004_6602, 0x401c_5820];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Compiled<T> = Result<T, seccompiler::BackendError>;

impl Filter {
    /// Compiles the filter of a plan for this architecture.
    pub(super) fn compile(plan: &FilterPlan) -> Result<Filter, LockError> {
        let program = program(plan, HERE)
            .map_err(|error| LockError { what: format!("system call filter: {error}"), cause: None })?;
        Ok(Filter(program.iter().map(|step| (step.code, step.jt, step.jf, step.k)).collect()))
    }

    pub(super) fn apply(&self) -> Result<(), LockError> {
        seccompiler::apply_filter(&self.program()).map_err(refused)
    }

    /// All threads or none (`SECCOMP_FILTER_FLAG_TSYNC`).
    pub(super) fn apply_all_threads(&self) -> Result<(), LockError> {
        seccompiler::apply_filter_all_threads(&self.program()).map_err(refused)
    }

    pub(super) fn program(&self) -> BpfProgram {
        self.0.iter().map(|&(code, jt, jf, k)| sock_filter { code, jt, jf, k }).collect()
    }
}

fn refused(error: seccompiler::Error) -> LockError {
    let what = match error {
        seccompiler::Error::ThreadSync(thread) => {
            format!("thread {thread} is in a sandbox of its own, and restricting all threads would loosen it")
        }
        error => format!("system call filter: {error}"),
    };
    LockError { what, cause: None }
}

fn program(plan: &FilterPlan, arch: &Arch) -> Compiled<BpfProgram> {
    let mut rules = Rules::new();
    sockets(&mut rules, plan, arch)?;
    refuse_if(&mut rules, arch.prctl, vec![argument(0, SeccompCmpOp::Eq, mark::option(plan.mark).into())?])?;
    for call in IO_URING {
        refuse(&mut rules, call);
    }
    if plan.execute {
        arch.execute.iter().for_each(|call| refuse(&mut rules, *call));
    } else {
        // Landlock lets memory files be executed.
        let executable = argument(1, SeccompCmpOp::MaskedEq(MFD_NOEXEC_SEAL), 0)?;
        refuse_if(&mut rules, arch.memfd_create, vec![executable])?;
    }
    if plan.metadata {
        arch.metadata.iter().for_each(|call| refuse(&mut rules, *call));
        for request in ATTRIBUTE_IOCTLS {
            refuse_if(&mut rules, arch.ioctl, vec![argument(1, SeccompCmpOp::Eq, request)?])?;
        }
    }
    if plan.truncate {
        truncate(&mut rules, arch)?;
    }
    if plan.whiteout {
        let flag = argument(4, SeccompCmpOp::MaskedEq(RENAME_WHITEOUT), RENAME_WHITEOUT)?;
        refuse_if(&mut rules, arch.renameat2, vec![flag])?;
    }
    let errno = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch.target)?;
    let mut program = BpfProgram::try_from(filter)?;
    if arch.x32 {
        // The numbers of x32 match none of the rules, so they would pass. Jumps are relative and forward, so
        // what is put before the program does not disturb it.
        program.splice(0..0, kill_x32());
    }
    Ok(program)
}

/// `if nr >= 1 << 30 { kill the process }`, the check that seccompiler lacks.
fn kill_x32() -> [sock_filter; 3] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const KILL_PROCESS: u32 = 0x8000_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    [step(LOAD_WORD, 0, 0, 0), step(JUMP_IF_AT_LEAST, 0, 1, 1 << 30), step(RETURN, 0, 0, KILL_PROCESS)]
}

fn sockets(rules: &mut Rules, plan: &FilterPlan, arch: &Arch) -> Compiled<()> {
    let open = plan.sockets;
    socket(rules, open, arch.socket)?;
    // Connected pairs reach nobody, but datagram sockets can send to others by path or abstract name.
    refuse_if(rules, arch.socketpair, vec![argument(0, SeccompCmpOp::Ne, AF_UNIX)?])?;
    if !open.unix {
        // Among Unix sockets, raw is another name for datagram.
        refuse_if(rules, arch.socketpair, other_types(&[STREAM, SEQPACKET])?)?;
    }
    if open == Sockets::default() {
        // What a socket that was handed over could reach beside its peer.
        refuse(rules, arch.bind);
        refuse(rules, arch.connect);
        let address = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
        refuse_if(rules, arch.sendto, vec![address])?;
        if plan.mark == Placement::Process {
            refuse(rules, arch.sendmsg);
            refuse(rules, arch.sendmmsg);
        }
    }
    if plan.listen {
        refuse(rules, arch.listen);
    }
    // Also without grants: a socket may have been handed over.
    if plan.fastopen {
        for (call, flags) in [(arch.sendto, 3), (arch.sendmsg, 2), (arch.sendmmsg, 3)] {
            let fastopen = argument(flags, SeccompCmpOp::MaskedEq(MSG_FASTOPEN), MSG_FASTOPEN)?;
            refuse_if(rules, call, vec![fastopen])?;
        }
    }
    Ok(())
}

/// Refuses the families and types that no grant needs.
fn socket(rules: &mut Rules, open: Sockets, call: i64) -> Compiled<()> {
    let inet = open.tcp || open.udp;
    if !inet && !open.unix {
        refuse(rules, call);
        return Ok(());
    }
    let families = open.unix.then_some(AF_UNIX).into_iter().chain(INET.into_iter().filter(|_| inet));
    let other = families.map(|family| argument(0, SeccompCmpOp::Ne, family));
    refuse_if(rules, call, other.collect::<Compiled<_>>()?)?;
    if inet {
        for family in INET {
            socket_types(rules, open, call, family)?;
        }
    }
    Ok(())
}

fn socket_types(rules: &mut Rules, open: Sockets, call: i64, family: u64) -> Compiled<()> {
    let kinds = [(open.tcp, STREAM, libc::IPPROTO_TCP), (open.udp, DGRAM, libc::IPPROTO_UDP)];
    let kinds: Vec<(u64, i32)> =
        kinds.into_iter().filter(|kind| kind.0).map(|(_, kind, protocol)| (kind, protocol)).collect();
    let is_family = || argument(0, SeccompCmpOp::Eq, family);
    let mut other = vec![is_family()?];
    other.extend(other_types(&kinds.iter().map(|kind| kind.0).collect::<Vec<_>>())?);
    refuse_if(rules, call, other)?;
    for (kind, protocol) in kinds {
        // MPTCP, SCTP, UDP-Lite, ping and the like share the types.
        let mut other = vec![is_family()?, argument(1, SeccompCmpOp::MaskedEq(TYPE), kind)?];
        for known in [0, protocol.unsigned_abs().into()] {
            other.push(argument(2, SeccompCmpOp::Ne, known)?);
        }
        refuse_if(rules, call, other)?;
    }
    Ok(())
}

/// The second argument is none of these types, with whatever flags: by whole values, since seccompiler has no
/// masked inequality, and the kernel knows no more flags than these.
fn other_types(kinds: &[u64]) -> Compiled<Vec<SeccompCondition>> {
    let (cloexec, nonblock) = (libc::SOCK_CLOEXEC as u64, libc::SOCK_NONBLOCK as u64);
    let flags = [0, cloexec, nonblock, cloexec | nonblock];
    let known = kinds.iter().flat_map(|kind| flags.map(|flags| kind | flags));
    known.map(|known| argument(1, SeccompCmpOp::Ne, known)).collect()
}

/// Truncation that Landlock does not see before ABI 3: by path, and by an open for reading alone.
fn truncate(rules: &mut Rules, arch: &Arch) -> Compiled<()> {
    refuse(rules, arch.truncate);
    // Its flags lie in memory, where a filter cannot look.
    refuse(rules, OPENAT2);
    let flags = (libc::O_TRUNC | libc::O_ACCMODE) as u64;
    // With both access bits a file is opened for neither reading nor writing, so Landlock asks for neither right.
    for access in [libc::O_RDONLY, libc::O_ACCMODE] {
        let truncating = (libc::O_TRUNC | access) as u64;
        for (call, index) in arch.opens {
            refuse_if(rules, *call, vec![argument(*index, SeccompCmpOp::MaskedEq(flags), truncating)?])?;
        }
    }
    Ok(())
}

/// All of these arguments are `int`: the kernel looks at 32 bits, and so must the filter.
fn argument(index: u8, operator: SeccompCmpOp, value: u64) -> Compiled<SeccompCondition> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

fn refuse(rules: &mut Rules, call: i64) {
    // No conditions: always.
    rules.insert(call, Vec::new());
}

fn refuse_if(rules: &mut Rules, call: i64, all_of: Vec<SeccompCondition>) -> Compiled<()> {
    let rule = SeccompRule::new(all_of)?;
    let of_call = rules.entry(call).or_insert_with(|| vec![rule.clone()]);
    // Empty means that the call is refused already.
    if !of_call.is_empty() && !of_call.contains(&rule) {
        of_call.push(rule);
    }
    Ok(())
}
