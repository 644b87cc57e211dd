//! Which grants a sandbox used: of the calls that succeeded, what each needed.
//!
//! A grant that no call needed can be left out, as far as these calls go. It is a hint for people, not enforcement, so
//! here paths are compared.

use super::call::Ask;
use super::is_traced_by_us;
use super::needs::{Need, needs};
use super::path::{Named, mapped};
use crate::plan::{Placement, Plan};
use crate::policy::{Access, Allow, NetAccess, Policy};
use crate::sys::process::process_of;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::rc::Rc;

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
        let text = format!("{} = {ports}", rule.access.key());
        Grant { text, what: What::Port(rule.access, rule.ports.clone()) }
    });
    let allowed = policy
        .allowed()
        .map(|allow| Grant { text: format!("allow({})", allow.word()), what: What::Allow(allow) });
    paths.chain(ports).chain(allowed).collect()
}

/// Which of them a call needs that is about to be made.
pub(super) fn used_by(thread: Pid, placement: Placement, ask: &Ask, grants: &[Grant]) -> Vec<usize> {
    let needs = needs(thread, ask, |named, bare| named.find(thread, bare));
    let needs = needs.iter().filter(|need| !is_to_itself(thread, placement, need));
    needs.flat_map(|need| used_for(need, placement, grants)).collect()
}

/// Which of them a program needed that was just started: itself, and what runs it.
pub(super) fn used_by_program(thread: Pid, placement: Placement, grants: &[Grant]) -> Vec<usize> {
    let needs = mapped(thread).into_iter().map(|path| {
        let named = Named { directory: libc::AT_FDCWD, path: path.into() };
        Need::File(Access::EXECUTE, Rc::new(named.find(thread, false)))
    });
    needs.flat_map(|need| used_for(&need, placement, grants)).collect()
}

/// Those that are for it. Of paths that are below one another the innermost are enough.
fn used_for(need: &Need, placement: Placement, grants: &[Grant]) -> Vec<usize> {
    let all = grants.iter().enumerate().filter(|(_, grant)| grant.what.is_for(need, placement));
    let all: Vec<(usize, usize)> = all.map(|(index, grant)| (index, grant.what.depth())).collect();
    let most = all.iter().map(|(_, depth)| *depth).max();
    all.into_iter().filter(|(_, depth)| Some(*depth) == most).map(|(index, _)| index).collect()
}

/// Whether it is a signal that needs no grant: to its own process, or but for a worker to what is in its sandbox.
fn is_to_itself(thread: Pid, placement: Placement, need: &Need) -> bool {
    let Need::Signal(Some(number @ 1..)) = need else { return false };
    Pid::from_raw(*number).is_some_and(|to| {
        let is_own = process_of(to).is_some_and(|process| Some(process) == process_of(thread));
        is_own || (placement != Placement::Process && is_traced_by_us(to))
    })
}

impl What {
    fn depth(&self) -> usize {
        match self {
            What::Path(path, _) => path.components().count(),
            What::Port(..) | What::Allow(_) => 0,
        }
    }

    fn is_for(&self, need: &Need, placement: Placement) -> bool {
        match (self, need) {
            (What::Path(path, rights), Need::File(..) | Need::New(..) | Need::Entry(..)) => {
                need.right().is_some_and(|right| rights.contains(right)) && is_below(need, path)
            }
            // Without a grant of files no path may be named by a worker at all.
            (What::Path(path, rights), Need::Look(_)) if placement == Placement::Process => {
                !(*rights & Access::READ).is_empty() && is_below(need, path)
            }
            (What::Port(access, ports), Need::Port(needed, address)) => {
                Some(*access) == *needed && ports.contains(&address.port())
            }
            (What::Allow(Allow::Metadata), Need::Metadata(_))
            | (What::Allow(Allow::AbstractUnixSocket), Need::Abstract(_))
            | (What::Allow(Allow::Signal), Need::Signal(_)) => true,
            (What::Allow(Allow::Udp), Need::Other(text)) => {
                text.starts_with("socket(AF_INET") && text.ends_with("SOCK_DGRAM)")
            }
            _ => false,
        }
    }
}

fn is_below(need: &Need, path: &Path) -> bool {
    need.place().is_some_and(|place| place.starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::super::path::Found;
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_grant_is_for_what_is_below_it_and_needs_its_right() {
        let read = What::Path("/usr".into(), Access::READ);
        let is_for = |path: &str, right| {
            let found = Found { shown: path.into(), file: Err(Errno::NOENT), parent: None, is_sought: true };
            read.is_for(&Need::File(right, found.into()), Placement::Thread)
        };
        assert!(is_for("/usr/share/x", Access::READ_FILE));
        assert!(is_for("/usr", Access::READ_DIR));
        assert!(!is_for("/usr/share/x", Access::WRITE_FILE));
        assert!(!is_for("/usrx", Access::READ_FILE));
        let port = What::Port(NetAccess::ConnectTcp, 80..=90);
        let is_for = |access, number| {
            let address = ([127, 0, 0, 1], number).into();
            port.is_for(&Need::Port(Some(access), address), Placement::Thread)
        };
        assert!(is_for(NetAccess::ConnectTcp, 85) && !is_for(NetAccess::BindTcp, 85));
        assert!(!is_for(NetAccess::ConnectTcp, 91) && !is_for(NetAccess::ConnectSendUdp, 85));
    }

    #[test]
    fn of_nested_grants_the_innermost_is_used() {
        let path = |path: &str, rights| Grant { text: path.into(), what: What::Path(path.into(), rights) };
        let grants = [
            path("/usr", Access::READ),
            path("/", Access::READ),
            path("/usr", Access::RUN),
            path("/usr/share", Access::READ),
        ];
        let used = |right, path: &str| {
            let found = Found { shown: path.into(), file: Err(Errno::NOENT), parent: None, is_sought: true };
            used_for(&Need::File(right, found.into()), Placement::Thread, &grants)
        };
        assert_eq!(used(Access::READ_FILE, "/usr/bin/env"), [0, 2]);
        assert_eq!(used(Access::EXECUTE, "/usr/share/x"), [2]);
        assert_eq!(used(Access::READ_FILE, "/usr/share/x"), [3]);
        assert_eq!(used(Access::READ_FILE, "/etc/hosts"), [1]);
        assert!(used(Access::WRITE_FILE, "/usr/bin/env").is_empty());
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
