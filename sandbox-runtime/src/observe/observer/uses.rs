//! Which grants a sandbox used: of the calls that succeeded, what each needed.
//!
//! A grant that no call needed can be left out, as far as these calls go. It is a hint for people, not enforcement, so
//! here paths are compared.

use super::call::{Address, Ask};
use crate::plan::{Placement, Plan};
use crate::policy::{Access, Allow, NetAccess, Policy};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// One grant that can be used or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// As the attribute has it.
    pub(crate) text: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Path(PathBuf, Access),
    Port(NetAccess, RangeInclusive<u16>),
    Allow(Allow),
}

/// Every grant of a plan and its policy that can be seen used.
pub(crate) fn grants(plan: &Plan, policy: &Policy) -> Vec<Grant> {
    let ruleset = plan.ruleset.iter();
    let paths = ruleset.clone().flat_map(|ruleset| &ruleset.paths).filter(|rule| !rule.rights.is_empty());
    let paths = paths.filter_map(|rule| {
        // What is not there cannot be used.
        let path = rule.path.canonicalize().ok()?;
        let text = match rule.key.starts_with("preset") {
            true => rule.key.clone(),
            false => format!("{} = {:?}", rule.key, rule.path),
        };
        Some(Grant { text, what: What::Path(path, rule.rights) })
    });
    let ports = ruleset.flat_map(|ruleset| &ruleset.ports).map(|rule| {
        let (first, last) = (rule.ports.start(), rule.ports.end());
        let ports = if first == last { first.to_string() } else { format!("{first}..={last}") };
        let text = format!("{} = {ports}", key(rule.access));
        Grant { text, what: What::Port(rule.access, rule.ports.clone()) }
    });
    let allowed = policy
        .allowed()
        .map(|allow| Grant { text: format!("allow({})", allow.word()), what: What::Allow(allow) });
    paths.chain(ports).chain(allowed).collect()
}

const fn key(access: NetAccess) -> &'static str {
    match access {
        NetAccess::BindTcp => "tcp_bind",
        NetAccess::ConnectTcp => "tcp_connect",
        NetAccess::BindUdp => "udp_bind",
        NetAccess::ConnectSendUdp => "udp_connect",
    }
}

/// Which of them a call needed that is about to be made, or has succeeded.
pub(super) fn used_by(thread: Pid, placement: Placement, ask: &Ask, grants: &[Grant]) -> Vec<usize> {
    let needs = needs(thread, placement, ask);
    let is_used = |grant: &&Grant| needs.iter().any(|need| grant.what.is_for(need));
    let used = grants.iter().enumerate().filter(|(_, grant)| is_used(grant));
    used.map(|(index, _)| index).collect()
}

/// What a call needs.
enum Need {
    Path(PathBuf, Access),
    Port(bool, u16),
    Allow(Allow),
}

fn needs(thread: Pid, placement: Placement, ask: &Ask) -> Vec<Need> {
    let parent = |path: PathBuf| path.parent().map_or(path.clone(), Path::to_owned);
    let found = |named: &super::path::Named| named.find(thread, false);
    let entry =
        |named: &super::path::Named, rights| vec![Need::Path(parent(named.find(thread, true).shown), rights)];
    match ask {
        Ask::Open(named, flags) => {
            let found = found(named);
            let access = match flags & libc::O_ACCMODE {
                libc::O_RDONLY => Access::READ,
                libc::O_WRONLY => Access::WRITE_FILE,
                _ => Access::READ | Access::WRITE_FILE,
            };
            let truncates = if flags & libc::O_TRUNC != 0 { Access::TRUNCATE } else { Access::NONE };
            let makes = flags & libc::O_CREAT != 0;
            let made = makes.then(|| Need::Path(parent(found.shown.clone()), Access::MAKE_REG));
            made.into_iter().chain([Need::Path(found.shown, access | truncates)]).collect()
        }
        Ask::Execute(named) => vec![Need::Path(found(named).shown, Access::EXECUTE)],
        Ask::Make(named, right) | Ask::Remove(named, right) => entry(named, right_named(right)),
        Ask::Move { from, to, .. } => [
            entry(from, Access::REMOVE_FILE | Access::REMOVE_DIR | Access::REFER),
            entry(to, Access::MAKE_REG | Access::MAKE_DIR | Access::REFER),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Ask::Truncate(named) => vec![Need::Path(found(named).shown, Access::TRUNCATE)],
        // Without a grant of files no path may be named by a worker at all.
        Ask::Look(named) if placement == Placement::Process => {
            vec![Need::Path(found(named).shown, Access::READ)]
        }
        Ask::Look(_) | Ask::Trace(_) => Vec::new(),
        Ask::Metadata(_) => vec![Need::Allow(Allow::Metadata)],
        Ask::Ioctl(fd, _) => {
            let named = super::path::Named { directory: *fd, path: Default::default() };
            vec![Need::Path(found(&named).shown, Access::IOCTL_DEV)]
        }
        Ask::Bind(_, address) => addressed(thread, address, true),
        Ask::Connect(_, address) | Ask::Send(_, address) => addressed(thread, address, false),
        Ask::Signal(_) => vec![Need::Allow(Allow::Signal)],
        Ask::Other(text) if text.starts_with("socket(AF_INET") && text.ends_with("SOCK_DGRAM)") => {
            vec![Need::Allow(Allow::Udp)]
        }
        Ask::Other(_) | Ask::Unread(_) => Vec::new(),
    }
}

fn addressed(thread: Pid, address: &Address, binds: bool) -> Vec<Need> {
    match address {
        Address::Ip(address) => vec![Need::Port(binds, address.port())],
        Address::Path(named) if binds => {
            let found = named.find(thread, true);
            found
                .shown
                .parent()
                .map(|parent| Need::Path(parent.into(), Access::MAKE_SOCK))
                .into_iter()
                .collect()
        }
        Address::Path(named) => vec![Need::Path(named.find(thread, false).shown, Access::RESOLVE_UNIX)],
        Address::Abstract(_) => vec![Need::Allow(Allow::AbstractUnixSocket)],
        Address::Other => Vec::new(),
    }
}

fn right_named(name: &str) -> Access {
    let right = Access::ALL.iter().find(|(_, known, _)| *known == name);
    right.map_or(Access::NONE, |(right, ..)| *right)
}

impl What {
    fn is_for(&self, need: &Need) -> bool {
        match (self, need) {
            (What::Path(path, rights), Need::Path(used, needed)) => {
                let common =
                    Access::ALL.iter().any(|(right, ..)| rights.contains(*right) && needed.contains(*right));
                used.starts_with(path) && common
            }
            (What::Port(access, ports), Need::Port(binds, port)) => {
                matches!(access, NetAccess::BindTcp | NetAccess::BindUdp) == *binds && ports.contains(port)
            }
            (What::Allow(allow), Need::Allow(needed)) => allow == needed,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_what_is_below_it_and_needs_its_right() {
        let read = What::Path("/usr".into(), Access::READ);
        let need = |path: &str, rights| Need::Path(path.into(), rights);
        assert!(read.is_for(&need("/usr/share/x", Access::READ_FILE)));
        assert!(read.is_for(&need("/usr", Access::READ)));
        assert!(!read.is_for(&need("/usr/share/x", Access::WRITE_FILE)));
        assert!(!read.is_for(&need("/usrx", Access::READ_FILE)));
        let port = What::Port(NetAccess::ConnectTcp, 80..=90);
        assert!(port.is_for(&Need::Port(false, 85)) && !port.is_for(&Need::Port(true, 85)));
        assert!(!port.is_for(&Need::Port(false, 91)));
    }

    #[test]
    fn grants_are_said_as_the_attribute_does() {
        let policy = Policy::new()
            .read(["/usr", "/there/is/nothing"])
            .tcp_bind(8080)
            .tcp_connect(80..=90)
            .allow(Allow::Udp);
        let kernel = crate::Kernel::with(8, 0, true);
        let plan = crate::plan(&policy, Placement::Process, kernel).unwrap();
        let texts: Vec<String> = grants(&plan, &policy).into_iter().map(|grant| grant.text).collect();
        assert_eq!(texts, ["read = \"/usr\"", "tcp_bind = 8080", "tcp_connect = 80..=90", "allow(udp)"]);
    }
}
