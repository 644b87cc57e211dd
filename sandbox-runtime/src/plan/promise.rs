//! Promises, and the mechanisms that can hold them.

use super::{Erratum, Kernel, Placement};
use crate::policy::{Access, NetAccess};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing refused or limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Promise {
    /// No use of this file system right outside the grants.
    File(Access),
    /// No use of this right on other ports than the granted.
    Port(NetAccess),
    /// No `listen(2)`: on an unbound TCP socket it opens an ephemeral port.
    Listen,
    /// No sockets of other families and types: raw, packet, netlink, vsock, MPTCP, SCTP and the like.
    OtherSockets,
    /// No io_uring, which would pass by a system call filter.
    IoUring,
    /// No connection to abstract Unix sockets outside the sandbox.
    AbstractUnixSocket,
    /// No signals to processes outside the sandbox.
    Signal,
    /// No tracing of processes outside the sandbox.
    Ptrace,
    /// No change of mode, owner, times or extended attributes.
    Metadata,
    /// The existence and metadata of files outside the grants cannot be seen.
    Existence,
    /// Grants do not widen in directories that are moved out of the bind mount through which they were opened.
    DisconnectedDirectories,
    /// No rename leaves an overlay's whiteout behind where no file may be made (`RENAME_WHITEOUT`).
    Whiteouts,
    /// No new processes.
    NewProcesses,
    /// No other system call that reaches outside: `prlimit64` on the host, `setpriority`, `keyctl` and the like.
    OtherSystemCalls,
    /// At most so much address space.
    Memory,
    /// No memory that the limit does not count: memfd, System V.
    UncountedMemory,
    /// At most so much wall time.
    Timeout,
    /// At most so much processor time.
    Cpu,
    /// At most so many descriptors.
    OpenFiles,
    /// No file is made longer than this.
    FileSize,
    /// At most so many threads.
    Threads,
    /// Mounts, processes, network, System V objects and host name of its own.
    OwnNamespaces,
    /// The host's terminal and output streams cannot be reached.
    HostStdio,
    /// No environment variables but the named.
    Environment,
}

/// The promise in words, for an error or a report.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Promise::File(right) => write!(f, "no {right} outside the grants"),
            Promise::Port(access) => write!(f, "no {} but to the granted ports", access.name()),
            Promise::Listen => f.write_str("no listen on unbound sockets"),
            Promise::OtherSockets => f.write_str("no sockets of other families and types"),
            Promise::IoUring => f.write_str("no io_uring"),
            Promise::AbstractUnixSocket => f.write_str("no abstract_unix_socket outside the sandbox"),
            Promise::Signal => f.write_str("no signal to processes outside the sandbox"),
            Promise::Ptrace => f.write_str("no ptrace of processes outside the sandbox"),
            Promise::Metadata => f.write_str("no change of file mode, owner, times or extended attributes"),
            Promise::Existence => {
                f.write_str("existence and metadata of files outside the grants are hidden")
            }
            Promise::DisconnectedDirectories => {
                f.write_str("grants do not widen in directories that are moved out of a bind mount")
            }
            Promise::Whiteouts => f.write_str("no whiteouts where no file may be made"),
            Promise::NewProcesses => f.write_str("no new processes"),
            Promise::OtherSystemCalls => f.write_str("no other system calls that reach other processes"),
            Promise::Memory => f.write_str("at most the given memory"),
            Promise::UncountedMemory => {
                f.write_str("no memory that the limit does not count (memfd, System V)")
            }
            Promise::Timeout => f.write_str("at most the given wall time"),
            Promise::Cpu => f.write_str("at most the given processor time"),
            Promise::OpenFiles => f.write_str("at most the given number of descriptors"),
            Promise::FileSize => f.write_str("no file longer than the given size"),
            Promise::Threads => f.write_str("at most the given number of threads"),
            Promise::OwnNamespaces => f.write_str("namespaces of its own"),
            Promise::HostStdio => f.write_str("the host's terminal and output streams are out of reach"),
            Promise::Environment => f.write_str("no environment variables but the named"),
        }
    }
}

/// A mechanism that can hold a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Layer {
    /// Landlock, from this ABI on.
    Landlock(u32),
    /// Landlock, with the fix of this erratum.
    LandlockWithout(Erratum),
    /// A system call filter (seccomp).
    Filter,
    /// A resource limit of the worker.
    Rlimit,
    /// The forkserver, which kills at a deadline.
    Forkserver,
    /// The worker was given nothing else.
    Nothing,
    /// Namespaces of the worker's own, by way of an unprivileged user namespace.
    Namespaces,
    /// `RLIMIT_NPROC` in a user namespace of the worker's own, which counts nobody else (Linux 5.14) and does not bind
    /// who is root outside.
    NamespaceRlimit,
}

impl Layer {
    /// The mechanism in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Layer::Landlock(_) | Layer::LandlockWithout(_) => "Landlock",
            Layer::Filter => "filter",
            Layer::Rlimit => "rlimit",
            Layer::Forkserver => "forkserver",
            Layer::Nothing => "given nothing else",
            Layer::Namespaces => "namespaces",
            Layer::NamespaceRlimit => "rlimit in a user namespace",
        }
    }

    pub(super) fn is_there(self, kernel: Kernel, placement: Placement) -> bool {
        match self {
            Layer::Landlock(least) => kernel.abi >= least,
            Layer::LandlockWithout(erratum) => kernel.abi > 0 && kernel.has_fix(erratum),
            Layer::Filter => kernel.seccomp,
            // Without a filter a worker could stop the forkserver that is to kill it.
            Layer::Forkserver => placement == Placement::Process && kernel.seccomp,
            Layer::Rlimit | Layer::Nothing => placement == Placement::Process,
            Layer::Namespaces => kernel.namespaces && placement == Placement::Process,
            Layer::NamespaceRlimit => kernel.thread_limit && placement == Placement::Process,
        }
    }

    /// Whether it is there only for a policy that says `namespaces`.
    pub(super) fn is_namespaces(&self) -> bool {
        matches!(self, Layer::Namespaces | Layer::NamespaceRlimit)
    }
}

/// A promise that no layer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// What is not held.
    pub promise: Promise,
    /// What could hold it elsewhere; empty where nothing can on any kernel.
    pub could: Vec<Layer>,
}

/// The promise, and what it would need.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.promise, self.needs())
    }
}

impl Lost {
    /// The least Landlock ABI that would hold it, if one would.
    pub fn least_abi(&self) -> Option<u32> {
        self.could.iter().find_map(|layer| match layer {
            Layer::Landlock(abi) => Some(*abi),
            _ => None,
        })
    }

    /// What could hold it elsewhere, in words.
    pub(crate) fn needs(&self) -> String {
        let needs: Vec<String> = self
            .could
            .iter()
            .map(|layer| match layer {
                Layer::Landlock(abi) => format!("Landlock ABI {abi}"),
                Layer::LandlockWithout(erratum) => {
                    format!("the fix of Landlock's erratum {}", erratum.number())
                }
                Layer::Filter => "seccomp filters".into(),
                Layer::Namespaces => "`namespaces` and a system that lets this user have them".into(),
                Layer::NamespaceRlimit => {
                    "`namespaces`, Linux 5.14, a system that lets this user have them, and another user than root"
                        .into()
                }
                Layer::Rlimit | Layer::Forkserver | Layer::Nothing => "placement `process`".into(),
            })
            .collect();
        match needs.as_slice() {
            [] => "nothing can hold it".into(),
            needs => format!("needs {}", needs.join(" or ")),
        }
    }
}
