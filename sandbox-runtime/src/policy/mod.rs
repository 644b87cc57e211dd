//! What may be done: the keys of the attribute as data. No system calls here.

mod access;
mod display;
mod file;
#[cfg(feature = "policy-files")]
mod from_file;
mod preset;
mod values;
mod workers;

pub use access::{Access, NetAccess};
pub(crate) use display::{duration, size};
pub use preset::Preset;
pub use values::{Allow, Memory, Names, Optional, Paths, Ports, Stdio, ThreadSync, Timeout, optional};
pub use workers::Workers;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A policy: what is granted, and the limits. Everything else is refused where it can be.
///
/// Every key of the attribute is a method here; [`Display`](std::fmt::Display) prints the attribute that
/// would make the policy.
///
/// ```
/// use sandboxed_runtime::Policy;
/// let policy = Policy::new().read(["/etc/site", "/var/www"]).tcp_bind(8080);
/// assert_eq!(policy.to_string(), r#"read = ["/etc/site", "/var/www"], tcp_bind = 8080"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a policy does nothing until something runs under it"]
pub struct Policy {
    pub(crate) paths: Vec<PathGrant>,
    pub(crate) ports: Vec<PortGrant>,
    pub(crate) allow: BTreeSet<Allow>,
    pub(crate) presets: BTreeSet<Preset>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) memory: Option<Memory>,
    pub(crate) cpu: Option<Duration>,
    pub(crate) open_files: Option<u64>,
    pub(crate) file_size: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) namespaces: bool,
    pub(crate) env: Vec<String>,
    pub(crate) stdio: Stdio,
    pub(crate) workers: Workers,
    pub(crate) demand: Demand,
    pub(crate) thread_sync: ThreadSync,
    /// It is that of `fn main`, which has the program's environment and stdin wherever it runs.
    pub(crate) is_program: bool,
}

/// The key under which a path was granted; its rights follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PathKey {
    Read,
    Write,
    Execute,
    Unix,
    Fs(Access),
    /// Grants nothing: what is refused there is not logged.
    Quiet,
}

impl PathKey {
    pub(crate) fn rights(self) -> Access {
        match self {
            PathKey::Read => Access::READ,
            PathKey::Write => Access::WRITE,
            PathKey::Execute => Access::RUN,
            PathKey::Unix => Access::RESOLVE_UNIX,
            PathKey::Fs(right) => right,
            PathKey::Quiet => Access::NONE,
        }
    }

    /// The word to write in the attribute.
    pub(crate) fn word(self) -> String {
        match self {
            PathKey::Read => "read".into(),
            PathKey::Write => "write".into(),
            PathKey::Execute => "execute".into(),
            PathKey::Unix => "unix".into(),
            PathKey::Fs(right) => right.to_string(),
            PathKey::Quiet => "quiet".into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathGrant {
    pub(crate) key: PathKey,
    pub(crate) path: PathBuf,
    /// May be missing.
    pub(crate) optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortGrant {
    pub(crate) access: NetAccess,
    pub(crate) ports: RangeInclusive<u16>,
}

/// What to do when a promise cannot be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Demand {
    #[default]
    Default,
    Strict,
    BestEffort,
}

impl Policy {
    /// Grants nothing, with the default limits of a function: in `process` 30 s, 1 GiB and 256 descriptors.
    pub fn new() -> Policy {
        Policy::default()
    }

    /// Grants nothing and limits nothing: what `fn main` begins with.
    pub fn for_program() -> Policy {
        let policy = Policy { is_program: true, ..Policy::default() };
        policy.timeout(Timeout::Never).memory(Memory::Unlimited)
    }

    /// A copy of `base`, for `policy = EXPR`.
    #[doc(hidden)]
    pub fn from_base(base: impl Into<Policy>) -> Policy {
        base.into()
    }

    /// Grants reading files and listing directories, at and below the paths. No execution. Landlock ABI 1.
    pub fn read(self, paths: impl Paths) -> Policy {
        self.grant(PathKey::Read, paths)
    }

    /// Grants writing, truncating, making, removing and renaming at and below the paths, no reading.
    /// Landlock ABI 1; renames across directories need ABI 2.
    pub fn write(self, paths: impl Paths) -> Policy {
        self.grant(PathKey::Write, paths)
    }

    /// Grants running and reading the programs at and below the paths. Landlock ABI 1.
    pub fn execute(self, paths: impl Paths) -> Policy {
        self.grant(PathKey::Execute, paths)
    }

    /// Grants connecting to the pathname sockets at and below the paths. Landlock ABI 9.
    pub fn unix(self, paths: impl Paths) -> Policy {
        self.grant(PathKey::Unix, paths)
    }

    /// Grants single Landlock rights at and below the paths; each right names its least ABI.
    pub fn fs(self, rights: Access, paths: impl Paths) -> Policy {
        rights.each().fold(self, |policy, right| policy.grant(PathKey::Fs(right), &paths))
    }

    /// Grants binding TCP sockets to the ports (and, by that, listening). Landlock ABI 4.
    pub fn tcp_bind(self, ports: impl Ports) -> Policy {
        self.grant_ports(NetAccess::BindTcp, ports)
    }

    /// Grants connecting TCP sockets to the ports, at any address. Landlock ABI 4.
    pub fn tcp_connect(self, ports: impl Ports) -> Policy {
        self.grant_ports(NetAccess::ConnectTcp, ports)
    }

    /// Grants binding UDP sockets to the ports. Landlock ABI 10; `allow(udp)` works everywhere.
    pub fn udp_bind(self, ports: impl Ports) -> Policy {
        self.grant_ports(NetAccess::BindUdp, ports)
    }

    /// Grants sending and connecting UDP sockets to the ports, at any address. The kernel binds such a socket
    /// to a free port by itself, so this grants binding to port 0 too. Landlock ABI 10.
    pub fn udp_connect(self, ports: impl Ports) -> Policy {
        self.grant_ports(NetAccess::ConnectSendUdp, ports)
    }

    /// Keeps what Landlock refuses at and below the paths out of the kernel's audit log; it is refused all the same.
    /// Landlock ABI 10; without effect before.
    pub fn quiet(self, paths: impl Paths) -> Policy {
        self.grant(PathKey::Quiet, paths)
    }

    /// Opens what is otherwise refused as a whole.
    pub fn allow(mut self, what: Allow) -> Policy {
        self.allow.insert(what);
        self
    }

    /// Grants a named bundle.
    pub fn preset(mut self, preset: Preset) -> Policy {
        self.presets.insert(preset);
        self
    }

    /// Limits the wall time of a call. `process` only.
    pub fn timeout(mut self, limit: impl Into<Timeout>) -> Policy {
        self.timeout = Some(limit.into());
        self
    }

    /// Limits the address space of a worker (`RLIMIT_AS`), in bytes, beside what the program had mapped before `main`.
    /// `process` only.
    pub fn memory(mut self, limit: impl Into<Memory>) -> Policy {
        self.memory = Some(limit.into());
        self
    }

    /// Limits the processor time of a worker, of all its threads together. With it a worker serves one call, whatever
    /// [`workers`](Policy::workers) says. `process` only.
    pub fn cpu(mut self, limit: Duration) -> Policy {
        self.cpu = Some(limit);
        self
    }

    /// Limits how many descriptors a worker can have beside those that it begins with (`RLIMIT_NOFILE`).
    /// `process` only.
    pub fn open_files(mut self, most: u64) -> Policy {
        self.open_files = Some(most);
        self
    }

    /// Limits how long a worker can make a file, in bytes (`RLIMIT_FSIZE`). `process` only.
    pub fn file_size(mut self, bytes: u64) -> Policy {
        self.file_size = Some(bytes);
        self
    }

    /// Limits how many threads a body may have, itself and the threads of its children counted. More than one needs
    /// [`namespaces`](Policy::namespaces), and Linux 5.14, and does not bind root: else it is an error. `process` only.
    pub fn threads(mut self, most: u64) -> Policy {
        self.threads = Some(most);
        self
    }

    /// Puts a worker into namespaces of its own, as one more layer: with a root that holds nothing but the granted
    /// paths, and processes, System V objects, a host name and, where no network is granted, a network of its own. An
    /// error where the system does not let this user have them. `process` only.
    pub fn namespaces(mut self) -> Policy {
        self.namespaces = true;
        self
    }

    /// Passes environment variables to a worker; none by default. `process` only.
    pub fn env(mut self, names: impl Names) -> Policy {
        names.for_each(&mut |name| self.env.push(name.to_owned()));
        self
    }

    /// Says what becomes of a worker's stdout and stderr. `process` only.
    pub fn stdio(mut self, stdio: Stdio) -> Policy {
        self.stdio = stdio;
        self
    }

    /// Says how many workers a function has, and how many calls each serves; what was said before is forgotten.
    /// `process` only: where a body runs in no worker, and for `main`, it means nothing.
    pub fn workers(mut self, workers: Workers) -> Policy {
        self.workers = workers;
        self
    }

    /// Makes every promise that cannot be held an error, in every placement.
    pub fn strict(mut self) -> Policy {
        self.demand = Demand::Strict;
        self
    }

    /// Runs even if promises cannot be held; they are reported.
    pub fn best_effort(mut self) -> Policy {
        self.demand = Demand::BestEffort;
        self
    }

    /// Says what to do about other threads where the kernel cannot restrict them. `in_place` only.
    pub fn thread_sync(mut self, how: ThreadSync) -> Policy {
        self.thread_sync = how;
        self
    }

    fn grant(mut self, key: PathKey, paths: impl Paths) -> Policy {
        paths.for_each(&mut |path: &Path, optional| {
            self.paths.push(PathGrant { key, path: path.to_owned(), optional });
        });
        self
    }

    fn grant_ports(mut self, access: NetAccess, ports: impl Ports) -> Policy {
        ports.for_each(&mut |ports| self.ports.push(PortGrant { access, ports }));
        self
    }

    /// Without what only a worker can be held to, for a call that shares an outer worker's fate.
    pub(crate) fn without_limits(&self) -> Policy {
        Policy {
            timeout: None,
            memory: None,
            cpu: None,
            open_files: None,
            file_size: None,
            threads: None,
            namespaces: false,
            env: Vec::new(),
            stdio: Stdio::Relay,
            workers: Workers::new(),
            ..self.clone()
        }
    }

    /// The workers that the pool is to have. `cpu` counts a worker's whole life, so with it each is used once.
    pub(crate) fn effective_workers(&self) -> Workers {
        let workers = self.workers.in_range();
        if self.cpu.is_some() { workers.reuse(1) } else { workers }
    }

    pub(crate) fn names_files(&self) -> bool {
        self.paths.iter().any(|grant| !matches!(grant.key.rights(), Access::NONE | Access::RESOLVE_UNIX))
    }

    pub(crate) fn names_right(&self, right: Access) -> bool {
        self.paths.iter().any(|grant| grant.key.rights().contains(right))
    }

    /// Whether something can be renamed: it is removed from where it was.
    pub(crate) fn lets_rename(&self) -> bool {
        self.names_right(Access::REMOVE_FILE) || self.names_right(Access::REMOVE_DIR)
    }

    pub(crate) fn names_port(&self, access: NetAccess) -> bool {
        self.ports.iter().any(|grant| grant.access == access)
    }

    /// Whether a right is granted everywhere.
    pub(crate) fn opens_right(&self, right: Access) -> bool {
        let mut everywhere = self.paths.iter().filter(|grant| grant.path == Path::new("/"));
        everywhere.any(|grant| grant.key.rights().contains(right))
    }

    /// Whether a right is granted on every port.
    pub(crate) fn opens_port(&self, access: NetAccess) -> bool {
        let mut ranges: Vec<_> =
            self.ports.iter().filter(|grant| grant.access == access).map(|grant| &grant.ports).collect();
        ranges.sort_by_key(|range| *range.start());
        let granted = ranges.iter().fold(0, |next: u32, range| {
            if u32::from(*range.start()) <= next { next.max(u32::from(*range.end()) + 1) } else { next }
        });
        granted > u32::from(u16::MAX)
    }

    pub(crate) fn allowed(&self) -> impl Iterator<Item = Allow> {
        self.allow.iter().copied()
    }

    pub(crate) fn allows(&self, what: Allow) -> bool {
        self.allow.contains(&what)
    }
}

impl From<&Policy> for Policy {
    fn from(policy: &Policy) -> Policy {
        policy.clone()
    }
}
