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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kernel, Lost, Placement, Plan, Unenforceable, plan};

    const OLD: Kernel = Kernel::with(7, u32::MAX, true);
    const NEW: Kernel = OLD.with_namespaces(true);

    fn planned(policy: Policy) -> Plan {
        plan(&policy, Placement::Process, NEW).unwrap()
    }

    fn lost(result: Result<Plan, Unenforceable>) -> Vec<Promise> {
        result.unwrap_err().lost.iter().map(|lost| lost.promise).collect()
    }

    fn layers(plan: &Plan, promise: Promise) -> &[Layer] {
        plan.held.get(&promise).map_or(&[], Vec::as_slice)
    }

    #[test]
    fn they_are_a_layer_of_what_they_hold() {
        let without = planned(Policy::new().read("/usr"));
        assert_eq!(without.namespaces, None);
        assert!(without.held.values().flatten().all(|layer| !layer.is_namespaces()));
        assert!(without.lost.contains(&Lost { promise: Promise::Existence, could: Vec::new() }));
        let plan = planned(Policy::new().read("/usr").namespaces());
        assert_eq!(layers(&plan, Promise::Existence), [Layer::Namespaces]);
        assert_eq!(layers(&plan, Promise::OwnNamespaces), [Layer::Namespaces]);
        let more = [
            Promise::Signal,
            Promise::Ptrace,
            Promise::Listen,
            Promise::AbstractUnixSocket,
            Promise::Port(crate::NetAccess::BindTcp),
            Promise::Port(crate::NetAccess::ConnectSendUdp),
        ];
        for promise in more {
            let by = layers(&plan, promise);
            assert!(by.len() > 1 && by.contains(&Layer::Namespaces), "{promise:?}: {by:?}");
        }
        let threads = planned(Policy::new().threads(1).namespaces());
        assert_eq!(layers(&threads, Promise::Threads), [Layer::Filter, Layer::NamespaceRlimit]);
        assert_eq!((threads.namespaces.unwrap().threads, threads.filter.unwrap().threads), (Some(1), true));
    }

    #[test]
    fn what_is_granted_is_shared() {
        let of = |policy: Policy| {
            let plan = planned(policy.namespaces().best_effort()).namespaces.unwrap();
            (plan.network, plan.processes, plan.files.map(|files| files.len()))
        };
        assert_eq!(of(Policy::new()), (true, true, Some(0)));
        assert_eq!(of(Policy::new().read("/usr").quiet("/proc")), (true, true, Some(1)));
        assert_eq!(of(Policy::new().tcp_bind(80)), (false, true, Some(0)));
        assert_eq!(of(Policy::new().allow(Allow::Udp)), (false, true, Some(0)));
        assert_eq!(of(Policy::new().allow(Allow::AbstractUnixSocket)), (false, true, Some(0)));
        assert_eq!(of(Policy::new().unix("/run/app.sock")), (true, true, Some(1)));
        assert_eq!(of(Policy::new().allow(Allow::Signal)), (true, false, Some(0)));
        assert_eq!(of(Policy::new().read("/")), (true, true, None));
        let signal = planned(Policy::new().allow(Allow::Signal).namespaces());
        assert_eq!(layers(&signal, Promise::Ptrace), [Layer::Landlock(1), Layer::Filter]);
        // Outside they are good for nothing.
        assert_eq!(planned(Policy::new().tcp_bind(80).namespaces()).capabilities, []);
    }

    #[test]
    fn named_and_not_there_is_an_error() {
        let named = || Policy::new().read("/usr").namespaces();
        assert_eq!(
            lost(plan(&named(), Placement::Process, OLD)),
            [Promise::Existence, Promise::OwnNamespaces]
        );
        let text = plan(&named(), Placement::Process, OLD).unwrap_err().to_string();
        assert!(text.contains("(needs `namespaces` and a system that lets this user have them)"), "{text}");
        let lenient = plan(&named().best_effort(), Placement::Process, OLD).unwrap();
        assert_eq!(lenient.namespaces, None);
        assert!(lenient.lost.iter().any(|lost| lost.promise == Promise::OwnNamespaces));
        for placement in [Placement::Thread, Placement::InPlace] {
            assert!(lost(plan(&named(), placement, NEW)).contains(&Promise::OwnNamespaces), "{placement}");
            assert!(lost(plan(&Policy::new().threads(1), placement, NEW)).contains(&Promise::Threads));
        }
    }

    #[test]
    fn several_threads_need_them() {
        let three = || Policy::new().threads(3);
        assert_eq!(planned(three().namespaces()).namespaces.unwrap().threads, Some(3));
        let errors = [
            plan(&three(), Placement::Process, NEW).unwrap_err(),
            plan(&three().namespaces(), Placement::Process, OLD.with_namespaces(false)).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.lost.len(), 1);
            assert!(error.to_string().contains("(needs `namespaces`, Linux 5.14, "), "{error}");
        }
        // One is the filter's to hold.
        let one = planned(Policy::new().threads(1));
        assert_eq!(
            (layers(&one, Promise::Threads), one.filter.unwrap().threads),
            (&[Layer::Filter][..], true)
        );
        assert!(!planned(Policy::new()).filter.unwrap().threads);
    }
}
