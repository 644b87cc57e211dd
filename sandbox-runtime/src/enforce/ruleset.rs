//! Landlock rulesets from a plan.

use super::{LockError, grant_error, mark};
use crate::error::Error;
use crate::plan::RulesetPlan;
use crate::policy::Access;
use crate::registry::Function;
use crate::sys::landlock;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

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
                // A call inside a worker, which gains nothing by it.
                Err(Errno::ACCESS) if mark::no_path_may_be_named() => {}
                Err(errno) => return Err(grant_error(function, &rule.key, &rule.path, errno)),
            }
        }
        Ok(recipe)
    }

    /// The ruleset: one layer. The plan has asked for no more than the kernel has, so whatever it refuses is an error.
    pub(super) fn make(&self) -> Result<OwnedFd, LockError> {
        let failed = |what: &'static str| move |errno| LockError::new(what, errno);
        let ruleset =
            landlock::create_ruleset(&attr(&self.plan)).map_err(failed("landlock_create_ruleset"))?;
        for (rule, fd) in self.plan.paths.iter().zip(&self.paths) {
            let rights = rights_on(fd, rule.rights);
            let flags = if rule.quiet { landlock::ADD_RULE_QUIET } else { 0 };
            if !rights.is_empty() || rule.quiet {
                landlock::add_path(ruleset.as_fd(), rights.bits(), fd.as_fd(), flags)
                    .map_err(|errno| LockError::new(format!("landlock_add_rule {:?}", rule.path), errno))?;
            }
        }
        for rule in &self.plan.ports {
            for port in rule.ports.clone() {
                landlock::add_port(ruleset.as_fd(), rule.access.bit(), port)
                    .map_err(failed("landlock_add_rule for a port"))?;
            }
        }
        Ok(ruleset)
    }
}

fn attr(plan: &RulesetPlan) -> landlock::RulesetAttr {
    let scope = |wanted: bool, bit: u64| if wanted { bit } else { 0 };
    let is_quiet = plan.paths.iter().any(|rule| rule.quiet);
    landlock::RulesetAttr {
        handled_access_fs: plan.files.bits(),
        handled_access_net: plan.net.iter().fold(0, |bits, access| bits | access.bit()),
        scoped: scope(plan.scope_abstract_unix_socket, landlock::SCOPE_ABSTRACT_UNIX_SOCKET)
            | scope(plan.scope_signal, landlock::SCOPE_SIGNAL),
        quiet_access_fs: if is_quiet { plan.files.bits() } else { 0 },
        ..landlock::RulesetAttr::default()
    }
}

/// Of rights, those that a rule on such a file may carry.
fn rights_on(fd: &OwnedFd, rights: Access) -> Access {
    let is_directory = rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    if is_directory { rights } else { rights & Access::OF_FILES }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kernel, Placement, plan};
    use crate::policy::{Allow, NetAccess, Policy};
    use ::landlock::{ABI, Access as _, AccessFs, AccessNet, Scope};

    fn attr_of(policy: &Policy, abi: u32) -> landlock::RulesetAttr {
        let policy = policy.clone().best_effort();
        let plan = plan(&policy, Placement::Thread, Kernel::with(abi, 0, true)).unwrap();
        attr(&plan.ruleset.unwrap())
    }

    /// The crate `landlock` is a second witness of the kernel's header, up to ABI 9.
    #[test]
    fn a_ruleset_handles_all_that_its_abi_knows() {
        let known = [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6, ABI::V7, ABI::V8, ABI::V9];
        for (abi, known) in (1..).zip(known) {
            let handled = attr_of(&Policy::new(), abi);
            assert_eq!(handled.handled_access_fs, AccessFs::from_all(known).bits(), "ABI {abi}");
            assert_eq!(handled.handled_access_net, AccessNet::from_all(known).bits(), "ABI {abi}");
            assert_eq!(handled.scoped, Scope::from_all(known).bits(), "ABI {abi}");
            // An older kernel refuses a struct in which what it does not know is not 0.
            let quiet = [handled.quiet_access_fs, handled.quiet_access_net, handled.quiet_scoped];
            assert_eq!(quiet, [0; 3], "ABI {abi}");
        }
    }

    #[test]
    fn what_is_past_the_crate_is_what_the_header_says() {
        let handled = attr_of(&Policy::new(), 10);
        assert_eq!(handled.handled_access_net, 0b1111);
        assert_eq!([NetAccess::BindUdp.bit(), NetAccess::ConnectSendUdp.bit()], [1 << 2, 1 << 3]);
        assert_eq!(size_of::<landlock::RulesetAttr>(), 48);
        // One that nobody knows yet works as the newest known.
        assert_eq!(attr_of(&Policy::new(), 1000), attr_of(&Policy::new(), 11));
    }

    #[test]
    fn quiet_is_absent_below_its_abi() {
        let policy = Policy::new().quiet("/x");
        assert_eq!(attr_of(&policy, 9), attr_of(&Policy::new(), 9));
        let quiet = attr_of(&policy, 10);
        assert_eq!(quiet.quiet_access_fs, quiet.handled_access_fs);
        assert_eq!((quiet.quiet_access_net, quiet.quiet_scoped), (0, 0));
    }

    #[test]
    fn what_is_allowed_is_not_scoped() {
        assert_eq!(attr_of(&Policy::new().allow(Allow::Signal), 6).scoped, 1);
        assert_eq!(attr_of(&Policy::new().allow(Allow::AbstractUnixSocket), 6).scoped, 2);
    }
}
