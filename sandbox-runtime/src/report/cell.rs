//! A cell of the table: one resource of one function, read off its plan.

use super::Resource;
use crate::denial::shown;
use crate::plan::{Layer, Lost, Placement, Plan, Promise, Unenforceable};
use crate::policy::{Access, Allow, Policy, Stdio, duration, size};
use std::collections::BTreeMap;
use std::fmt;

/// What becomes of one resource in one function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cell {
    /// The resource.
    pub resource: Resource,
    /// In a word.
    pub mark: Mark,
    /// What is granted, or how much, as the attribute would say it.
    pub granted: Vec<String>,
    /// The promises about it that are held, with all layers that hold each.
    pub held: Vec<(Promise, Vec<Layer>)>,
    /// The promises about it that no layer holds; where the mark is [`Mark::Unenforceable`], those that must be.
    pub lost: Vec<Lost>,
    /// How often it was denied, by what [`with_denials`](super::Report::with_denials) was given.
    pub denied: u64,
}

/// What becomes of a resource, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mark {
    /// A promise about it must be held and cannot be: a call is an error before the body runs.
    Unenforceable,
    /// A promise about it is not held, which is reported.
    Lost,
    /// Nothing is promised: it is granted as a whole, or the placement does not restrict it.
    Open,
    /// Some is granted, the rest is refused.
    Granted,
    /// So much of it may be used.
    Limited,
    /// All of it is refused.
    Refused,
    /// The policy depends on the arguments of a call.
    ByArguments,
}

impl Mark {
    /// All of them, the worst first.
    pub const ALL: [Mark; 7] = [
        Mark::Unenforceable,
        Mark::Lost,
        Mark::Open,
        Mark::Granted,
        Mark::Limited,
        Mark::Refused,
        Mark::ByArguments,
    ];

    /// In a word or two.
    pub const fn word(self) -> &'static str {
        match self {
            Mark::Unenforceable => "unenforceable",
            Mark::Lost => "lost",
            Mark::Open => "open",
            Mark::Granted => "granted",
            Mark::Limited => "limited",
            Mark::Refused => "refused",
            Mark::ByArguments => "by arguments",
        }
    }

    /// What it means, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Mark::Unenforceable => "must be refused and cannot be: a call fails before the body runs",
            Mark::Lost => "a promise that nothing holds here",
            Mark::Open => "nothing is refused: granted as a whole, or not restricted in this placement",
            Mark::Granted => "what is named, and nothing else",
            Mark::Limited => "so much of it",
            Mark::Refused => "all of it",
            Mark::ByArguments => "the policy depends on the arguments of a call",
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Cell {
    pub(super) fn by_arguments(resource: Resource) -> Cell {
        let (granted, held, lost) = (Vec::new(), Vec::new(), Vec::new());
        Cell { resource, mark: Mark::ByArguments, granted, held, lost, denied: 0 }
    }

    /// `error` where the plan is that of less than what must be held.
    pub(super) fn new(
        resource: Resource,
        policy: &Policy,
        plan: &Plan,
        error: Option<&Unenforceable>,
    ) -> Cell {
        let is_here = |promise: &Promise| Resource::of(*promise) == resource;
        let held = plan.held.iter().filter(|(promise, _)| is_here(promise));
        let held: Vec<_> = held.map(|(promise, layers)| (*promise, layers.clone())).collect();
        let all = |lost: &[Lost]| -> Vec<Lost> {
            lost.iter().filter(|lost| is_here(&lost.promise)).cloned().collect()
        };
        let must = error.map(|error| all(&error.lost)).unwrap_or_default();
        let lost = if must.is_empty() { all(&plan.lost) } else { must.clone() };
        let granted = granted(resource, policy, plan);
        let refuses_processes = held.iter().any(|(promise, _)| *promise == Promise::NewProcesses);
        let mark = match (granted.is_empty(), held.is_empty()) {
            _ if !must.is_empty() => Mark::Unenforceable,
            _ if !lost.is_empty() => Mark::Lost,
            (false, _) if resource.is_limit() || refuses_processes => Mark::Limited,
            (false, _) => Mark::Granted,
            (true, false) => Mark::Refused,
            (true, true) => Mark::Open,
        };
        Cell { resource, mark, granted, held, lost, denied: 0 }
    }

    /// The layers that hold its promises, in words; each promise that is held otherwise than most is named.
    ///
    /// `Landlock and filter; listen: filter`
    pub fn by(&self) -> String {
        let mut groups = BTreeMap::<Vec<&str>, Vec<Promise>>::new();
        for (promise, layers) in &self.held {
            let mut words: Vec<&str> = layers.iter().map(|layer| layer.word()).collect();
            words.dedup();
            groups.entry(words).or_default().push(*promise);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, promises)| std::cmp::Reverse(promises.len()));
        let sizes: Vec<usize> = groups.iter().map(|(_, promises)| promises.len()).collect();
        let is_most = |at| at == 0 && sizes.get(1).is_none_or(|next| sizes[0] > *next);
        let named = |(at, (layers, promises)): (usize, &(Vec<&str>, Vec<Promise>))| {
            let layers = layers.join(" and ");
            if is_most(at) {
                return layers;
            }
            let promises: Vec<String> = promises.iter().map(|promise| short(*promise)).collect();
            format!("{}: {layers}", promises.join(", "))
        };
        groups.iter().enumerate().map(named).collect::<Vec<_>>().join("; ")
    }
}

/// A promise by the name of what it is about.
fn short(promise: Promise) -> String {
    match promise {
        Promise::File(right) => right.to_string(),
        Promise::Port(access) => access.name().into(),
        Promise::Listen => "listen".into(),
        Promise::IoUring => "io_uring".into(),
        Promise::Whiteouts => "whiteouts".into(),
        Promise::Existence => "existence".into(),
        Promise::DisconnectedDirectories => "directories that are moved".into(),
        Promise::Threads => "threads".into(),
        Promise::UncountedMemory => "memfd, System V".into(),
        Promise::Timeout => "wall time".into(),
        Promise::Cpu => "processor time".into(),
        Promise::OwnNamespaces => "namespaces".into(),
        Promise::HostStdio => "streams".into(),
        Promise::Environment => "environment".into(),
        other => Resource::of(other).word().into(),
    }
}

fn granted(resource: Resource, policy: &Policy, plan: &Plan) -> Vec<String> {
    let mut all = rules(resource, plan);
    let allowed = policy.expanded(plan.kernel.abi).allow;
    let allowed = allowed.iter().filter(|what| of_allow(**what) == resource);
    all.extend(allowed.map(|what| format!("allow({})", what.word())));
    let limits = &plan.limits;
    all.extend(match resource {
        Resource::Processes => processes(policy, plan),
        Resource::Surroundings => surroundings(plan),
        Resource::Memory => limits.memory.map(size).into_iter().collect(),
        Resource::Time => {
            let cpu = limits.cpu.map(|limit| format!("cpu {}", duration(limit)));
            limits.timeout.map(duration).into_iter().chain(cpu).collect()
        }
        Resource::Descriptors => limits.open_files.map(|most| most.to_string()).into_iter().collect(),
        Resource::FileSize => limits.file_size.map(size).into_iter().collect(),
        _ => Vec::new(),
    });
    all
}

/// The rules that Landlock is given.
fn rules(resource: Resource, plan: &Plan) -> Vec<String> {
    let Some(ruleset) = &plan.ruleset else { return Vec::new() };
    let is_here = |right: Access| Resource::of(Promise::File(right)) == resource;
    let mut all = Vec::new();
    for rule in ruleset.paths.iter().filter(|rule| rule.rights.each().any(is_here)) {
        let path = shown(&rule.path.to_string_lossy());
        let notes = [
            Some(rule.key.as_str()).filter(|key| *key != resource.word()),
            rule.optional.then_some("optional"),
        ];
        let notes: Vec<&str> = notes.into_iter().flatten().collect();
        all.push(if notes.is_empty() { path } else { format!("{path} ({})", notes.join(", ")) });
    }
    for rule in ruleset.ports.iter().filter(|rule| Resource::of(Promise::Port(rule.access)) == resource) {
        // `tcp_bind` in the column TCP.
        let key = rule.access.key();
        let word = key.split_once('_').map_or(key, |(_, word)| word);
        let (first, last) = (rule.ports.start(), rule.ports.end());
        all.push(if first == last { format!("{word} {first}") } else { format!("{word} {first}..={last}") });
    }
    all
}

const fn of_allow(what: Allow) -> Resource {
    match what {
        Allow::Udp => Resource::Udp,
        Allow::Signal => Resource::Signals,
        Allow::AbstractUnixSocket => Resource::AbstractUnix,
        Allow::Metadata => Resource::Metadata,
    }
}

fn processes(policy: &Policy, plan: &Plan) -> Vec<String> {
    let programs =
        (plan.placement == Placement::Process && plan.may_leave_processes()).then_some("by `execute`");
    let threads = match policy.threads {
        Some(1) => Some("1 thread".into()),
        most => most.map(|most| format!("{most} threads")),
    };
    let threads = threads.filter(|_| plan.held.contains_key(&Promise::Threads));
    programs.map(str::to_owned).into_iter().chain(threads).collect()
}

fn surroundings(plan: &Plan) -> Vec<String> {
    let env = plan.env.iter().map(|name| format!("env {}", shown(name)));
    let stdio = (plan.placement == Placement::Process && plan.stdio == Stdio::Inherit)
        .then(|| "stdio inherit".into());
    env.chain(stdio).collect()
}
