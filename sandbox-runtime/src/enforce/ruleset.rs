//! Landlock rulesets from a plan.

use super::{LockError, grant_error};
use crate::error::{Cause, Error};
use crate::plan::{Kernel, PathRule, RulesetPlan};
use crate::policy::{Access, NetAccess};
use crate::registry::Function;
use crate::sys;
use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};

const UDP: [NetAccess; 2] = [NetAccess::BindUdp, NetAccess::ConnectSendUdp];

/// One ruleset by the crate `landlock`, and one of our own for what it does not know.
pub(super) fn create(plan: &RulesetPlan, kernel: Kernel, function: &Function) -> Result<Vec<OwnedFd>, Error> {
    let failed = |what: String| LockError { what, cause: None }.of(function.name);
    let mut rulesets = Vec::new();
    if handles_anything_known(plan) {
        let mut ruleset = known(plan).map_err(|error| failed(format!("ruleset: {error}")))?;
        for rule in &plan.paths {
            ruleset = grant_path(ruleset, rule, function)?;
        }
        let ruleset = grant_tcp_ports(ruleset, plan).map_err(|error| failed(format!("ruleset: {error}")))?;
        let fd = Option::<OwnedFd>::from(ruleset);
        rulesets.push(fd.ok_or_else(|| failed(format!("ruleset: none made for ABI {}", kernel.abi)))?);
    }
    rulesets.extend(udp(plan).map_err(|error| error.of(function.name))?);
    Ok(rulesets)
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

/// Opens the path and grants what it names at this moment: a symbolic link's target, a file's own inode.
fn grant_path(ruleset: RulesetCreated, rule: &PathRule, function: &Function) -> Result<RulesetCreated, Error> {
    let opened = rustix::fs::open(&rule.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let fd = match opened {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) if rule.optional => return Ok(ruleset),
        Err(errno) => return Err(grant_error(function, &rule.key, &rule.path, errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| grant_error(function, &rule.key, &rule.path, errno))?;
    let rights = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => rule.rights,
        _ => rule.rights & Access::OF_FILES,
    };
    if rights.is_empty() {
        return Ok(ruleset);
    }
    let refused = |error: landlock::RulesetError| {
        let cause = Cause::from(std::io::Error::other(error.to_string()));
        grant_error(function, &rule.key, &rule.path, cause)
    };
    ruleset.add_rule(PathBeneath::new(fd, files(rights))).map_err(refused)
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
    let handled = plan.net.iter().filter(|access| UDP.contains(access)).fold(0, |bits, access| bits | access.bit());
    if handled == 0 {
        return Ok(None);
    }
    let failed = |errno| LockError::new("ruleset for UDP ports", errno);
    let ruleset = sys::landlock::create_net_ruleset(handled).map_err(failed)?;
    for rule in plan.ports.iter().filter(|rule| UDP.contains(&rule.access)) {
        for port in rule.ports.clone() {
            sys::landlock::add_port(ruleset.as_fd(), rule.access.bit(), port).map_err(failed)?;
        }
    }
    Ok(Some(ruleset))
}
