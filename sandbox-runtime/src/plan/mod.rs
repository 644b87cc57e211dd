//! What holds each promise: one pure function of the policy, the placement and the kernel.
//!
//! Enforcement, errors, reports and the support table are all read off the [`Plan`], so they cannot disagree.

mod capability;
mod errata;
mod filter;
mod limits;
mod namespaces;
mod promise;
mod ruleset;
#[cfg(test)]
mod tests;

pub use capability::Capability;
pub use errata::Erratum;
pub use filter::{FilterPlan, Signals, Sockets};
pub use limits::{DEFAULT_MEMORY, DEFAULT_OPEN_FILES, DEFAULT_TIMEOUT, Limits};
pub use namespaces::NamespacesPlan;
pub use promise::{Layer, Lost, Promise};
pub use ruleset::{PathRule, PortRule, RulesetPlan};

use crate::policy::{Access, Allow, Demand, Memory, NetAccess, Policy, Stdio, ThreadSync, Timeout, Workers};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The newest Landlock ABI that this library knows; a newer one works as this one.
pub const NEWEST_ABI: u32 = 11;

/// What the kernel has, found by asking it, never from its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kernel {
    /// The Landlock ABI; 0 where there is none.
    pub abi: u32,
    /// The Landlock errata that are fixed, bit number = erratum - 1 (`LANDLOCK_CREATE_RULESET_ERRATA`).
    pub errata: u32,
    /// Whether system call filters can be installed (`SECCOMP_SET_MODE_FILTER`).
    pub seccomp: bool,
    /// Whether a worker can be put into namespaces of its own. Asked only for a policy that says `namespaces`.
    pub namespaces: bool,
    /// Whether a limit of threads binds in them. Asked with the field above.
    pub thread_limit: bool,
}

impl Kernel {
    /// A kernel as data, to plan for one that is not running.
    ///
    /// ```
    /// use sandboxed_runtime::{Kernel, Placement, Policy, plan};
    /// let old = Kernel::with(3, 0, true);
    /// let error = plan(&Policy::new().tcp_bind(80), Placement::Process, old).unwrap_err();
    /// assert!(error.to_string().contains("needs Landlock ABI 4, and this kernel has 3"));
    /// ```
    pub const fn with(abi: u32, errata: u32, seccomp: bool) -> Kernel {
        Kernel { abi, errata, seccomp, namespaces: false, thread_limit: false }
    }

    /// The same kernel, where a worker can be put into namespaces, in which a limit of threads binds or does not.
    pub const fn with_namespaces(self, thread_limit: bool) -> Kernel {
        Kernel { namespaces: true, thread_limit, ..self }
    }

    /// Whether its Landlock is known to have the fix of an erratum.
    pub const fn has_fix(&self, erratum: Erratum) -> bool {
        self.errata >> (erratum.number() - 1) & 1 == 1
    }
}

/// Where the body of a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// A worker process, forked from the forkserver.
    Process,
    /// A new thread that restricts itself.
    Thread,
    /// The caller, after its whole process was restricted for good.
    InPlace,
}

impl Placement {
    /// The word in the attribute.
    pub const fn word(self) -> &'static str {
        match self {
            Placement::Process => "process",
            Placement::Thread => "thread",
            Placement::InPlace => "in_place",
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What holds each promise, and what to hand to the kernel for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Plan {
    /// Where the body runs.
    pub placement: Placement,
    /// The kernel it was made for.
    pub kernel: Kernel,
    /// Every promise that is held, with all the layers that hold it.
    pub held: BTreeMap<Promise, Vec<Layer>>,
    /// Every promise that is not held; reported once per function.
    pub lost: Vec<Lost>,
    /// Landlock's flaws on this kernel that touch this plan. What each does to it is said at [`Erratum`].
    pub errata: Vec<Erratum>,
    /// For Landlock; `None` where it has nothing to hold.
    pub ruleset: Option<RulesetPlan>,
    /// For seccomp; `None` where it has nothing to hold.
    pub filter: Option<FilterPlan>,
    /// `process`: the namespaces that a worker gets.
    pub namespaces: Option<NamespacesPlan>,
    /// `process`: the capabilities that a worker keeps, if it had them; all others are dropped.
    pub capabilities: Vec<Capability>,
    /// `process`: how much a call may use; nothing is limited elsewhere.
    pub limits: Limits,
    /// `process`: the variables to pass.
    pub env: Vec<String>,
    /// `process`: what becomes of stdout and stderr.
    pub stdio: Stdio,
    /// `process`: how many workers there are, and how many calls each serves.
    pub workers: Workers,
    /// `process`: whether files are granted, and with them the caller's working directory.
    pub files: bool,
    /// `in_place`: what to do about other threads.
    pub thread_sync: ThreadSync,
}

impl Plan {
    /// Whether a worker can give to others what leads to it: by a message, or as what outlives it.
    pub(crate) fn may_give_away(&self) -> bool {
        let may_send = |filter: &FilterPlan| filter.sockets != Sockets::default();
        self.may_leave_processes() || self.filter.as_ref().is_none_or(may_send)
    }

    /// Whether a worker can start what outlives it.
    pub(crate) fn may_leave_processes(&self) -> bool {
        self.filter.as_ref().is_none_or(|filter| !filter.processes)
    }

    /// Whether there is nothing to reach, so that it makes no difference who asks: no files, no sockets, no programs, no
    /// processes to signal.
    pub(crate) fn grants_nothing(&self) -> bool {
        let nothing = |filter: &FilterPlan| {
            let kinds = filter.sockets == Sockets::default() && filter.signals == Signals::ToItself;
            kinds && filter.paths && filter.execute && filter.processes
        };
        self.filter.as_ref().is_some_and(nothing) && self.namespaces.is_none() && self.capabilities.is_empty()
    }

    /// Whether the body may look at processes in `/proc`, its own above all.
    pub(crate) fn grants_proc(&self) -> bool {
        let proc = Path::new("/proc");
        let mut paths = self.ruleset.iter().flat_map(|ruleset| &ruleset.paths);
        paths.any(|rule| rule.path.starts_with(proc) || proc.starts_with(&rule.path))
    }
}

/// A policy that this kernel cannot enforce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Unenforceable {
    /// Where the body was to run.
    pub placement: Placement,
    /// What the kernel has.
    pub kernel: Kernel,
    /// The promises that cannot be held and must be.
    pub lost: Vec<Lost>,
    /// Whether the attribute says `strict`.
    pub strict: bool,
}

impl fmt::Display for Unenforceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = self.lost.iter().filter_map(Lost::least_abi).max().unwrap_or(0);
        match (needed, self.kernel.abi) {
            (1.., 0) => {
                write!(f, "it needs Landlock ABI {needed}, and this kernel has no Landlock, to hold ")?
            }
            (needed, has) if needed > has => {
                write!(f, "it needs Landlock ABI {needed}, and this kernel has {has}, to hold ")?;
            }
            _ => f.write_str("no layer that this version has on this kernel holds ")?,
        }
        f.write_str(&self.promises())?;
        if let Some(lost) = self.lost.iter().find(|lost| lost.could.iter().any(Layer::is_namespaces)) {
            write!(f, " ({})", lost.needs())?;
        }
        match self.strict {
            true => f.write_str("; drop `strict`, or write `best_effort`, if less is acceptable"),
            false => f.write_str("; write `best_effort` if less is acceptable"),
        }
    }
}

impl Unenforceable {
    /// The first few; they are all in the field.
    fn promises(&self) -> String {
        const SHOWN: usize = 3;
        let shown = self.lost.iter().take(SHOWN).map(|lost| format!("`{}`", lost.promise));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match self.lost.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

/// Works out what holds each promise of `policy` when it runs in `placement` on `kernel`.
///
/// # Errors
///
/// The promises that must be held and cannot be: see the table in the crate's documentation.
pub fn plan(policy: &Policy, placement: Placement, kernel: Kernel) -> Result<Plan, Unenforceable> {
    let kernel = Kernel { abi: kernel.abi.min(NEWEST_ABI), ..kernel };
    let (written, policy) = (policy, &policy.expanded(kernel.abi));
    let sockets = Sockets::needed_by(policy);
    let (mut held, mut lost) = (BTreeMap::new(), Vec::new());
    let all = promises(policy, written, placement);
    for promise in all.into_iter().filter(|promise| !is_open(*promise, policy, kernel)) {
        let mut could = layers(promise, policy, placement, sockets);
        could.extend(namespaces::layer(promise, policy, sockets));
        let is_there = |layer: &Layer| {
            layer.is_there(kernel, placement) && (policy.namespaces || !layer.is_namespaces())
        };
        let mut by: Vec<Layer> = could.iter().copied().filter(is_there).collect();
        if refuses_too_much(promise, policy) && by.iter().any(|layer| *layer != Layer::Filter) {
            // For want of the others alone.
            by.retain(|layer| *layer != Layer::Filter);
        }
        match by.is_empty() {
            false => drop(held.insert(promise, by)),
            true => lost.push(Lost { promise, could }),
        }
    }
    let must: Vec<Lost> = lost.iter().filter(|lost| lost.must_be_held(policy, placement)).cloned().collect();
    if !must.is_empty() {
        let strict = policy.demand == Demand::Strict;
        return Err(Unenforceable { placement, kernel, lost: must, strict });
    }
    let process = placement == Placement::Process;
    let ruleset = RulesetPlan::holding(&held, policy, kernel);
    let namespaces = NamespacesPlan::holding(&held, policy, sockets);
    let errata = Erratum::of(kernel, ruleset.as_ref(), policy, placement);
    Ok(Plan {
        placement,
        kernel,
        filter: FilterPlan::holding(&held, policy, placement),
        capabilities: match &namespaces {
            None if process => Capability::needed_by(policy),
            // Those of a user namespace are good for nothing outside.
            _ => Vec::new(),
        },
        namespaces,
        errata,
        ruleset,
        limits: if process { Limits::of(policy) } else { Limits::default() },
        env: if process { policy.env.clone() } else { Vec::new() },
        stdio: policy.stdio,
        workers: if process { policy.effective_workers() } else { Workers::new() },
        files: policy.names_files(),
        thread_sync: policy.thread_sync,
        held,
        lost,
    })
}

impl Lost {
    fn must_be_held(&self, policy: &Policy, placement: Placement) -> bool {
        if self.could.is_empty() {
            return false;
        }
        match policy.demand {
            Demand::Strict => true,
            Demand::BestEffort => false,
            Demand::Default if is_about_files(self.promise) || is_named(self.promise, policy, placement) => {
                true
            }
            // Reported: a flaw of the kernel's that needs help from outside.
            Demand::Default => {
                placement == Placement::Process && self.promise != Promise::DisconnectedDirectories
            }
        }
    }
}

/// Every promise that a policy makes in a placement; `written` is the policy without its presets spelled out.
fn promises(policy: &Policy, written: &Policy, placement: Placement) -> Vec<Promise> {
    let mut all: Vec<Promise> = Access::ALL.iter().map(|right| Promise::File(right.0)).collect();
    all.extend(NetAccess::ALL.into_iter().filter(|access| !opens_port(*access, policy)).map(Promise::Port));
    all.extend([
        Promise::Listen,
        Promise::OtherSockets,
        Promise::IoUring,
        Promise::Ptrace,
        Promise::Existence,
        Promise::DisconnectedDirectories,
        Promise::Whiteouts,
    ]);
    let mut unless = |what, promise| {
        if !policy.allows(what) {
            all.push(promise);
        }
    };
    unless(Allow::AbstractUnixSocket, Promise::AbstractUnixSocket);
    unless(Allow::Signal, Promise::Signal);
    unless(Allow::Metadata, Promise::Metadata);
    all.extend(match placement {
        Placement::Process => promises_of_a_worker(policy),
        Placement::Thread | Placement::InPlace => named_limits(written),
    });
    all
}

/// What only a worker can be held to, where the policy asks for it by name. (The attribute refuses that when it is
/// compiled; a policy made in code comes here.)
fn named_limits(written: &Policy) -> Vec<Promise> {
    let named = [
        (matches!(written.memory, Some(Memory::Bytes(_))), Promise::Memory),
        (matches!(written.timeout, Some(Timeout::After(_))), Promise::Timeout),
        (written.cpu.is_some(), Promise::Cpu),
        (written.open_files.is_some(), Promise::OpenFiles),
        (written.file_size.is_some(), Promise::FileSize),
        (!written.env.is_empty(), Promise::Environment),
        (matches!(written.stdio, Stdio::Null | Stdio::Capture), Promise::HostStdio),
        (written.namespaces, Promise::OwnNamespaces),
        (written.threads.is_some(), Promise::Threads),
    ];
    named.into_iter().filter(|(is_named, _)| *is_named).map(|(_, promise)| promise).collect()
}

fn promises_of_a_worker(policy: &Policy) -> Vec<Promise> {
    let mut all = vec![Promise::OtherSystemCalls];
    if !policy.is_program {
        all.push(Promise::Environment);
    }
    if !policy.names_right(Access::EXECUTE) {
        all.push(Promise::NewProcesses);
    }
    let limits = Limits::of(policy);
    if limits.memory.is_some() {
        all.extend([Promise::Memory, Promise::UncountedMemory]);
    }
    let limited = [
        (limits.timeout.is_some(), Promise::Timeout),
        (limits.cpu.is_some(), Promise::Cpu),
        (limits.open_files.is_some(), Promise::OpenFiles),
        (limits.file_size.is_some(), Promise::FileSize),
        (policy.threads.is_some(), Promise::Threads),
        (policy.namespaces, Promise::OwnNamespaces),
    ];
    all.extend(limited.into_iter().filter(|(is_limited, _)| *is_limited).map(|(_, promise)| promise));
    if policy.stdio != Stdio::Inherit && !policy.is_program {
        all.push(Promise::HostStdio);
    }
    all
}

/// Whether the filter, where it holds a promise, refuses more than that says: truncating and renaming as a whole, and to
/// programs that a worker runs, signals to themselves.
fn refuses_too_much(promise: Promise, policy: &Policy) -> bool {
    match promise {
        Promise::File(Access::TRUNCATE) | Promise::Whiteouts => true,
        Promise::Signal => policy.names_right(Access::EXECUTE),
        _ => false,
    }
}

/// Whether what a promise is about is granted everywhere, so that there is nothing to hold. A file system right is
/// handled all the same where Landlock knows it: only below that does its absence matter. Every port would be 65536
/// rules.
fn is_open(promise: Promise, policy: &Policy, kernel: Kernel) -> bool {
    match promise {
        // Landlock refuses it from ABI 1 on.
        Promise::File(Access::REFER) => kernel.abi < 1 && policy.opens_right(Access::REFER),
        Promise::File(right) => kernel.abi < right.least_abi() && policy.opens_right(right),
        Promise::Port(access) => policy.opens_port(access),
        _ => false,
    }
}

/// `allow(udp)` opens every port.
fn opens_port(access: NetAccess, policy: &Policy) -> bool {
    matches!(access, NetAccess::BindUdp | NetAccess::ConnectSendUdp) && policy.allows(Allow::Udp)
}

/// Every layer that can hold a promise on some kernel; empty where none can on any.
fn layers(promise: Promise, policy: &Policy, placement: Placement, sockets: Sockets) -> Vec<Layer> {
    // What a filter can refuse as a whole it cannot refuse in part.
    let filter_if = |refused: bool, layer| if refused { vec![layer, Layer::Filter] } else { vec![layer] };
    // In a thread or in place only single calls are refused, so these promises have no second layer there.
    let process = placement == Placement::Process;
    let or_default_deny = |layer: Option<Layer>| -> Vec<Layer> {
        layer.into_iter().chain(process.then_some(Layer::Filter)).collect()
    };
    // Where no file is granted, a worker can name none.
    let or_no_paths = |layer| filter_if(process && !policy.names_files(), layer);
    match promise {
        Promise::File(Access::RESOLVE_UNIX) => filter_if(!sockets.unix, Layer::Landlock(9)),
        // Landlock refuses every rename across directories where it cannot grant them.
        Promise::File(Access::REFER) => or_no_paths(Layer::Landlock(1)),
        // The filter refuses `truncate(2)` everywhere; `ftruncate(2)` needs a file that was opened for writing.
        Promise::File(Access::TRUNCATE) => vec![Layer::Landlock(3), Layer::Filter],
        Promise::File(Access::EXECUTE) => filter_if(!policy.names_right(Access::EXECUTE), Layer::Landlock(1)),
        Promise::File(Access::IOCTL_DEV) => {
            filter_if(process && !policy.names_right(Access::IOCTL_DEV), Layer::Landlock(5))
        }
        // Where any sockets are granted, the end of a pair can be bound to a path: a filter cannot see of which family an
        // address is.
        Promise::File(Access::MAKE_SOCK) if sockets != Sockets::default() => vec![Layer::Landlock(1)],
        Promise::File(right) => or_no_paths(Layer::Landlock(right.least_abi())),
        Promise::Port(access @ (NetAccess::BindTcp | NetAccess::ConnectTcp)) => {
            filter_if(!sockets.tcp, Layer::Landlock(access.least_abi()))
        }
        Promise::Port(access) => filter_if(!sockets.udp, Layer::Landlock(access.least_abi())),
        Promise::Listen if policy.names_port(NetAccess::BindTcp) => Vec::new(),
        Promise::Listen | Promise::OtherSockets | Promise::IoUring | Promise::Metadata => vec![Layer::Filter],
        Promise::AbstractUnixSocket => filter_if(!sockets.unix, Layer::Landlock(6)),
        Promise::Signal => or_default_deny(Some(Layer::Landlock(6))),
        Promise::Ptrace => or_default_deny(Some(Layer::Landlock(1))),
        // Connecting to a path tells whether it is there. Where any sockets are granted the end of a pair can try that: a
        // filter cannot see of which family an address is.
        Promise::Existence if policy.names_files() || sockets != Sockets::default() => Vec::new(),
        Promise::Existence | Promise::NewProcesses | Promise::OtherSystemCalls | Promise::UncountedMemory => {
            or_default_deny(None)
        }
        Promise::DisconnectedDirectories if policy.names_files() => {
            vec![Layer::LandlockWithout(Erratum::DisconnectedDirectories)]
        }
        Promise::DisconnectedDirectories => or_no_paths(Layer::Landlock(1)),
        Promise::Whiteouts if policy.lets_rename() => {
            vec![Layer::LandlockWithout(Erratum::Whiteouts), Layer::Filter]
        }
        Promise::Whiteouts => vec![Layer::Landlock(1), Layer::Filter],
        Promise::Memory | Promise::OpenFiles | Promise::FileSize => vec![Layer::Rlimit],
        Promise::Cpu => vec![Layer::Forkserver, Layer::Rlimit],
        Promise::Timeout => vec![Layer::Forkserver],
        Promise::HostStdio | Promise::Environment => vec![Layer::Nothing],
        Promise::Threads if policy.threads == Some(1) => or_default_deny(None),
        // A filter cannot count. For the rest see `namespaces`.
        Promise::Threads | Promise::OwnNamespaces => Vec::new(),
    }
}

/// The first column of the table of what must be held: files. Devices are refused only by name.
fn is_about_files(promise: Promise) -> bool {
    matches!(promise, Promise::File(right)
        if !matches!(right, Access::IOCTL_DEV | Access::RESOLVE_UNIX))
}

/// Whether the attribute names this kind of access, or a limit in a placement that has none.
fn is_named(promise: Promise, policy: &Policy, placement: Placement) -> bool {
    match promise {
        Promise::OwnNamespaces | Promise::Threads => true,
        Promise::Memory
        | Promise::Timeout
        | Promise::Cpu
        | Promise::OpenFiles
        | Promise::FileSize
        | Promise::Environment
        | Promise::HostStdio => placement != Placement::Process,
        Promise::File(right) => policy.names_right(right),
        Promise::Port(access) => policy.names_port(access),
        _ => false,
    }
}
