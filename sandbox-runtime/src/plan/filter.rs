//! The part of a plan that a system call filter holds.

use super::{Layer, Placement, Promise};
use crate::policy::{Access, Allow, NetAccess, Policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kinds of sockets that a grant needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sockets {
    /// TCP over IPv4 and IPv6.
    pub tcp: bool,
    /// UDP over IPv4 and IPv6.
    pub udp: bool,
    /// Unix sockets. Connected pairs (`socketpair(2)`, not datagram) need no grant.
    pub unix: bool,
}

impl Sockets {
    pub(super) fn needed_by(policy: &Policy) -> Sockets {
        let port = |access| policy.names_port(access);
        Sockets {
            tcp: port(NetAccess::BindTcp) || port(NetAccess::ConnectTcp),
            udp: port(NetAccess::BindUdp) || port(NetAccess::ConnectSendUdp) || policy.allows(Allow::Udp),
            unix: policy.names_right(Access::RESOLVE_UNIX) || policy.allows(Allow::AbstractUnixSocket),
        }
    }
}

/// Where a worker may send signals, as far as a filter can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Signals {
    /// To its own process alone.
    ToItself,
    /// Anywhere but to the forkserver, which ends it at its deadline.
    NotToTheForkserver,
}

/// What a filter refuses. In a thread and in place everything else passes; in a worker, what no grant needs is refused
/// besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FilterPlan {
    /// The placement, which whoever runs under the filter can ask for: see `enforce::mark`.
    pub mark: Placement,
    /// The kinds of sockets that may be made. Without any, a socket that was handed over sends to its peer alone: an
    /// address is refused, and in a worker also `sendmsg(2)`, which has it in memory. (Elsewhere the program's own
    /// descriptors pass by `sendmsg`.)
    pub sockets: Sockets,
    /// Refuse `listen(2)`.
    pub listen: bool,
    /// Refuse `MSG_FASTOPEN`, which before Linux 7.2 passes by Landlock's `connect_tcp`.
    pub fastopen: bool,
    /// Refuse `execve(2)`, which Landlock lets run anonymous memory; where programs may be run, refuse executable
    /// memory files (`memfd_create(2)` without `MFD_NOEXEC_SEAL`).
    pub execute: bool,
    /// Refuse changing mode, owner, times and extended attributes.
    pub metadata: bool,
    /// Refuse truncating by path, where Landlock cannot (before ABI 3).
    pub truncate: bool,
    /// Refuse `RENAME_WHITEOUT`, which Landlock does not look at (erratum 4).
    pub whiteout: bool,
    /// In a worker: refuse every call that names a file. None is granted.
    pub paths: bool,
    /// In a worker: refuse opening for writing. No file is granted for it, and Landlock does not look at memory files and
    /// pipes that are reopened.
    pub write: bool,
    /// In a worker: refuse `ioctl(2)` but for a few harmless requests.
    pub ioctl: bool,
    /// In a worker: refuse memory that `memory` does not count (`memfd_create(2)`).
    pub uncounted_memory: bool,
    /// In a worker: refuse new processes.
    pub processes: bool,
    /// In a worker: refuse new threads and processes. One is the limit.
    pub threads: bool,
    /// In a worker: where signals may go.
    pub signals: Signals,
}

impl FilterPlan {
    pub(super) fn holding(
        held: &BTreeMap<Promise, Vec<Layer>>,
        policy: &Policy,
        mark: Placement,
    ) -> Option<FilterPlan> {
        let filter = |promise| held.get(&promise).is_some_and(|layers| layers.contains(&Layer::Filter));
        filter(Promise::OtherSockets).then(|| FilterPlan {
            mark,
            sockets: Sockets::needed_by(policy),
            listen: filter(Promise::Listen),
            fastopen: held.contains_key(&Promise::Port(NetAccess::ConnectTcp)),
            execute: filter(Promise::File(Access::EXECUTE)),
            metadata: filter(Promise::Metadata),
            truncate: filter(Promise::File(Access::TRUNCATE)),
            whiteout: filter(Promise::Whiteouts),
            paths: mark == Placement::Process && !policy.names_files(),
            write: mark == Placement::Process && !policy.names_right(Access::WRITE_FILE),
            ioctl: filter(Promise::File(Access::IOCTL_DEV)),
            uncounted_memory: filter(Promise::UncountedMemory),
            processes: filter(Promise::NewProcesses),
            threads: filter(Promise::Threads),
            signals: match filter(Promise::Signal) {
                true => Signals::ToItself,
                false => Signals::NotToTheForkserver,
            },
        })
    }
}
