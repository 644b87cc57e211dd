//! Landlock rulesets from a plan.

use super::{LockError, grant_error};
use crate::error::Error;
use crate::plan::RulesetPlan;
use crate::policy::{Access, NetAccess};
use crate::registry::Function;
use crate::sys;
use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

const UDP: [NetAccess; 2] = [NetAccess::BindUdp, NetAccess::ConnectSendUdp];

/// What a ruleset is made from: the plan, and a descriptor of each of its paths.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) plan: RulesetPlan,
    pub(crate) paths: Vec<OwnedFd>,
}

impl Recipe {
    /// Opens what the paths name at this moment: a symbolic link's target, a file's own inode.
    pub(super) fn open(plan: &RulesetPlan, function: &Function) -> Result<Recipe, Error> {
        let mut recipe =
            Recipe { plan: RulesetPlan { paths: Vec::new(), ..plan.clone() }, paths: Vec::new() };
        for rule in &plan.paths {
            match rustix::fs::open(&rule.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
                // Nothing of a right on directories could be granted on a file.
                Ok(fd) if rights_on(&fd, rule.rights).is_empty() && !rule.rights.is_empty() => {
                    return Err(grant_error(function, &rule.key, &rule.path, Errno::NOTDIR));
                }
                Ok(fd) => {
                    recipe.plan.paths.push(rule.clone());
                    recipe.paths.push(fd);
                }
                Err(Errno::NOENT | Errno::NOTDIR) if rule.optional => {}
                Err(errno) => return Err(grant_error(function, &rule.key, &rule.path, errno)),
            }
        }
        Ok(recipe)
    }

    /// One ruleset by the crate `landlock`, and one of our own for what it does not know.
    pub(super) fn make(&self) -> Result<Vec<OwnedFd>, LockError> {
        let mut rulesets = Vec::new();
        if handles_anything_known(&self.plan) {
            let ruleset =
                self.known().map_err(|error| LockError { what: format!("ruleset: {error}"), cause: None })?;
            let none = || LockError { what: "ruleset: the kernel has no Landlock".into(), cause: None };
            rulesets.push(Option::<OwnedFd>::from(ruleset).ok_or_else(none)?);
        }
        rulesets.extend(udp(&self.plan)?);
        Ok(rulesets)
    }

    fn known(&self) -> Result<RulesetCreated, landlock::RulesetError> {
        let mut ruleset = known(&self.plan)?;
        for (rule, fd) in self.plan.paths.iter().zip(&self.paths) {
            let rights = rights_on(fd, rule.rights);
            if !rights.is_empty() {
                ruleset = ruleset.add_rule(PathBeneath::new(fd, files(rights)))?;
            }
        }
        grant_tcp_ports(ruleset, &self.plan)
    }
}

/// Of rights, those that a rule on such a file may carry.
fn rights_on(fd: &OwnedFd, rights: Access) -> Access {
    let is_directory = rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    if is_directory { rights } else { rights & Access::OF_FILES }
}

fn handles_anything_known(plan: &RulesetPlan) -> bool {
    !plan.files.is_empty()
        || plan.net.iter().any(|access| !UDP.contains(access))
        || plan.scope_abstract_unix_socket
        || plan.scope_signal
}

/// Everything is a hard requirement: the plan has asked for no more than the kernel has.
fn known(plan: &RulesetPlan) -> Result<RulesetCreated, landlock::RulesetError> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if !plan.files.is_empty() {
        ruleset = ruleset.handle_access(files(plan.files))?;
    }
    let tcp = tcp(plan.net.iter().copied());
    if !tcp.is_empty() {
        ruleset = ruleset.handle_access(tcp)?;
    }
    if plan.scope_abstract_unix_socket {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    if plan.scope_signal {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    ruleset.create()
}

fn files(rights: Access) -> BitFlags<AccessFs> {
    BitFlags::from_bits_truncate(rights.bits())
}

fn tcp(accesses: impl Iterator<Item = NetAccess>) -> BitFlags<AccessNet> {
    accesses
        .filter_map(|access| match access {
            NetAccess::BindTcp => Some(AccessNet::BindTcp),
            NetAccess::ConnectTcp => Some(AccessNet::ConnectTcp),
            NetAccess::BindUdp | NetAccess::ConnectSendUdp => None,
        })
        .collect()
}

fn grant_tcp_ports(
    mut ruleset: RulesetCreated,
    plan: &RulesetPlan,
) -> Result<RulesetCreated, landlock::RulesetError> {
    for rule in &plan.ports {
        let access = tcp([rule.access].into_iter());
        if access.is_empty() {
            continue;
        }
        for port in rule.ports.clone() {
            ruleset = ruleset.add_rule(NetPort::new(port, access))?;
        }
    }
    Ok(ruleset)
}

/// UDP ports (ABI 10), which the crate does not know.
fn udp(plan: &RulesetPlan) -> Result<Option<OwnedFd>, LockError> {
    let handled =
        plan.net.iter().filter(|access| UDP.contains(access)).fold(0, |bits, access| bits | access.bit());
    if handled == 0 {
        return Ok(None);
    }
    let failed = |errno| LockError::new("ruleset for UDP ports", errno);
    let ruleset = sys::landlock::create_ruleset(Access::REFER.bits(), handled).map_err(failed)?;
    // Every layer refuses what it does not grant of this right, handled or not: the other ruleset decides.
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    sys::landlock::add_path(ruleset.as_fd(), Access::REFER.bits(), root.as_fd()).map_err(failed)?;
    for rule in plan.ports.iter().filter(|rule| UDP.contains(&rule.access)) {
        for port in rule.ports.clone() {
            sys::landlock::add_port(ruleset.as_fd(), rule.access.bit(), port).map_err(failed)?;
        }
    }
    Ok(Some(ruleset))
}
