//! The part of a plan that Landlock holds.

use super::{Kernel, Layer, Promise};
use crate::policy::{Access, NetAccess, PathKey, Policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The ABI that can leave denials at a path out of the log.
const QUIET: u32 = 10;

/// What a ruleset handles and what it grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesetPlan {
    /// File system rights that are refused but where granted.
    pub files: Access,
    /// Network rights that are refused but on granted ports.
    pub net: Vec<NetAccess>,
    /// `SCOPE_ABSTRACT_UNIX_SOCKET`.
    pub scope_abstract_unix_socket: bool,
    /// `SCOPE_SIGNAL`.
    pub scope_signal: bool,
    /// Granted paths.
    pub paths: Vec<PathRule>,
    /// Granted ports.
    pub ports: Vec<PortRule>,
}

/// Rights at and below a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// The path.
    pub path: PathBuf,
    /// What is granted there, of what the ruleset handles.
    pub rights: Access,
    /// May be missing.
    pub optional: bool,
    /// What is refused there is not logged (ABI 10).
    pub quiet: bool,
    /// The key that granted it, for messages.
    pub key: String,
}

/// A right on a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRule {
    /// The right.
    pub access: NetAccess,
    /// The ports.
    pub ports: RangeInclusive<u16>,
}

impl RulesetPlan {
    pub(super) fn holding(
        held: &BTreeMap<Promise, Vec<Layer>>,
        policy: &Policy,
        kernel: Kernel,
    ) -> Option<RulesetPlan> {
        let by_landlock = |layers: &[Layer]| layers.iter().any(|layer| matches!(layer, Layer::Landlock(_)));
        let mut plan = RulesetPlan::default();
        for promise in held.iter().filter(|(_, layers)| by_landlock(layers)).map(|(promise, _)| promise) {
            match promise {
                // ABI 1 refuses `refer` without knowing its name.
                Promise::File(right) if right.least_abi() > kernel.abi => {}
                Promise::File(right) => plan.files = plan.files | *right,
                Promise::Port(access) => plan.net.push(*access),
                Promise::AbstractUnixSocket => plan.scope_abstract_unix_socket = true,
                Promise::Signal => plan.scope_signal = true,
                // Comes with any Landlock domain.
                _ => {}
            }
        }
        if plan == RulesetPlan::default() {
            return None;
        }
        plan.grant(policy, kernel);
        Some(plan)
    }

    fn grant(&mut self, policy: &Policy, kernel: Kernel) {
        for grant in &policy.paths {
            self.paths.push(PathRule {
                path: grant.path.clone(),
                rights: grant.key.rights() & self.files,
                optional: grant.optional,
                // Below, a path that is missing is an error all the same.
                quiet: grant.key == PathKey::Quiet && kernel.abi >= QUIET,
                key: grant.key.word(),
            });
        }
        for grant in &policy.ports {
            self.grant_port(grant.access, grant.ports.clone());
            // The kernel binds a UDP socket that connects or sends to a free port by itself, and asks.
            if grant.access == NetAccess::ConnectSendUdp {
                self.grant_port(NetAccess::BindUdp, 0..=0);
            }
        }
    }

    fn grant_port(&mut self, access: NetAccess, ports: RangeInclusive<u16>) {
        let rule = PortRule { access, ports };
        if self.net.contains(&access) && !self.ports.contains(&rule) {
            self.ports.push(rule);
        }
    }
}
