//! The part of a plan that namespaces hold.
//!
//! What a grant reaches stays reachable: a network that is granted is the host's, and so are signals.

use super::{Layer, PathRule, Promise, Sockets};
use crate::policy::{Access, Allow, PathKey, Policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The namespaces that a worker gets, beside those of users, System V objects and the host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespacesPlan {
    /// A network with nothing in it. Not where ports or abstract sockets are granted.
    pub network: bool,
    /// Processes that nobody else is among. Not where signals to others are allowed.
    pub processes: bool,
    /// What its root holds; `None` where `/` is granted, so that nothing is to be hidden.
    pub files: Option<Vec<PathRule>>,
    /// `RLIMIT_NPROC`: how many threads the body may have, with those of its children.
    pub threads: Option<u64>,
}

impl NamespacesPlan {
    pub(super) fn holding(
        held: &BTreeMap<Promise, Vec<Layer>>,
        policy: &Policy,
        sockets: Sockets,
    ) -> Option<NamespacesPlan> {
        let by = |promise, layer| held.get(&promise).is_some_and(|layers| layers.contains(&layer));
        by(Promise::OwnNamespaces, Layer::Namespaces).then(|| NamespacesPlan {
            network: own_network(policy, sockets),
            processes: own_processes(policy),
            files: own_files(policy).then(|| rules(policy)),
            threads: policy.threads.filter(|_| by(Promise::Threads, Layer::NamespaceRlimit)),
        })
    }
}

/// The layer that namespaces add for a promise.
pub(super) fn layer(promise: Promise, policy: &Policy, sockets: Sockets) -> Option<Layer> {
    let holds = match promise {
        // Also where the policy does not say `namespaces`, so that the error says to write it.
        Promise::Threads => return Some(Layer::NamespaceRlimit),
        Promise::OwnNamespaces => true,
        Promise::Existence => own_files(policy),
        Promise::Signal | Promise::Ptrace => own_processes(policy),
        Promise::Port(_) | Promise::Listen | Promise::AbstractUnixSocket => own_network(policy, sockets),
        _ => false,
    };
    (holds && policy.namespaces).then_some(Layer::Namespaces)
}

fn own_network(policy: &Policy, sockets: Sockets) -> bool {
    !sockets.tcp && !sockets.udp && !policy.allows(Allow::AbstractUnixSocket)
}

fn own_processes(policy: &Policy) -> bool {
    !policy.allows(Allow::Signal)
}

fn own_files(policy: &Policy) -> bool {
    grants(policy).all(|rule| rule.path != Path::new("/"))
}

fn rules(policy: &Policy) -> Vec<PathRule> {
    grants(policy).collect()
}

fn grants(policy: &Policy) -> impl Iterator<Item = PathRule> {
    policy.paths.iter().filter(|grant| grant.key != PathKey::Quiet).map(|grant| PathRule {
        path: grant.path.clone(),
        rights: grant.key.rights(),
        optional: grant.optional,
        quiet: false,
        key: grant.key.word(),
    })
}

impl PathRule {
    /// Whether something can be changed at or below the path.
    pub(crate) fn writes(&self) -> bool {
        let changes = Access::WRITE | Access::MAKE_CHAR | Access::MAKE_BLOCK;
        !(self.rights & changes).is_empty()
    }
}
