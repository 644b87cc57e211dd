//! The kernel's own word on what was refused: its audit records, read through netlink, without auditd.
//!
//! <https://docs.kernel.org/admin-guide/LSM/landlock.html#audit>. [`records`](mod@records) reads one record, [`events`]
//! joins those of one event, [`listen`] has the socket and the switch. For root of the initial user, pid and network
//! namespaces alone, from Landlock ABI 7 on.
//!
//! What the records cannot say (measured on 6.18; 7.3 is tested to be the same in what `tests/audit.rs` tries):
//!
//! - The system call, its errno and its process come with record 1300, which the kernel makes for processes and threads
//!   that began after auditing was first switched on since boot. Of an older one, such as a worker that waited for its
//!   call at that moment, there are object and domain alone; the process is then that of the domain.
//! - No thread has a number there: a record names the process. The domain tells sandboxed threads apart.
//! - Of what is made, removed, renamed or linked the directory is named, not the entry.
//! - A rename or a link from where less is granted than at its target is recorded as the refusal of every right that is
//!   handled.
//! - What the filter refused is recorded only where the filter asks for it (`SECCOMP_FILTER_FLAG_LOG`), or kills; without
//!   the arguments and the errno.
//! - A program that is run (`execve(2)`) inside a domain is not recorded unless `LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON`
//!   was set. Forks are: a forkserver's exec lies before the restriction.
//! - Where no auditd takes them, records also go to the kernel's log, at a limited rate.

mod events;
mod listen;
mod netlink;
mod records;
mod rules;

use crate::denial::{By, Denial, Object};
use crate::policy::{Access, NetAccess};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use events::Events;
pub use listen::{Enable, Gaps, Listener, Unavailable};

/// Hears of what is refused to a worker, and of its domain, where auditing is on already and this process may hear of it.
#[derive(Debug)]
pub(crate) struct OfWorker(Option<Listener>);

impl OfWorker {
    pub(crate) fn begin() -> OfWorker {
        // Most may not, which is so for all calls; nothing is switched on.
        static MAY_NOT: AtomicBool = AtomicBool::new(false);
        if MAY_NOT.load(Ordering::Relaxed) {
            return OfWorker(None);
        }
        let listener = Listener::new(Enable::Never);
        let is_off = matches!(listener, Err(Unavailable::Off));
        MAY_NOT.store(listener.is_err() && !is_off, Ordering::Relaxed);
        OfWorker(listener.ok())
    }

    /// Whether it does.
    pub(crate) fn hears(&self) -> bool {
        self.0.is_some()
    }

    /// What it heard.
    pub(crate) fn end(self, process: i32) -> Vec<Refused> {
        let events = self.0.map(|mut listener| listener.drain()).unwrap_or_default();
        let refused = events.into_iter().filter_map(|event| match event {
            Event::Refused(refused) => Some(refused),
            Event::Ended { .. } => None,
        });
        refused.filter(|refused| refused.pid == Some(process)).collect()
    }
}

/// What records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something was refused.
    Refused(Refused),
    /// A domain of which a refusal was recorded is gone.
    Ended {
        /// Its id.
        domain: u64,
        /// How many refusals it made, of which records may have been lost. It counts what was refused, not calls.
        denials: u64,
    },
}

/// A refusal, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// As in [`Denial`]; of a refusal by the filter, the call.
    pub operation: String,
    /// The system call by its kernel name, or its number where it has none here. `None` where there is no record of it.
    pub call: Option<String>,
    /// What it was to be done to.
    pub object: Object,
    /// 0 where the call succeeded all the same, since it went on with other objects. `None` where there is no record of it.
    pub errno: Option<i32>,
    /// Landlock or the filter.
    pub by: By,
    /// How often it was recorded.
    pub count: u64,
    /// The process that called, or, where there is no record of the call, the one that took on the domain.
    pub pid: Option<i32>,
    /// The Landlock domain, unique until the machine boots again.
    pub domain: Option<u64>,
}

impl Refused {
    /// As a denial of this function, whose attribute is at `place`.
    pub fn denial(&self, function: &str, place: &str) -> Denial {
        let note = match (self.by, self.errno) {
            (By::Landlock, None) => {
                Some("its call is not known: it began before auditing was first switched on")
            }
            (By::Landlock, Some(0)) => Some("the call succeeded, without what was refused"),
            (By::Filter, None) => Some("audit does not say what the filter answered"),
            _ => None,
        };
        Denial {
            function: function.to_owned(),
            place: place.to_owned(),
            operation: self.operation.clone(),
            call: self.call.clone().unwrap_or_default(),
            object: self.object.clone(),
            errno: self.errno.filter(|errno| *errno != 0).unwrap_or_else(|| self.usual_errno()),
            by: self.by,
            count: self.count,
            grant: self.grant(),
            note: note.map(str::to_owned),
        }
    }

    /// The smallest that is known to grant it, of what a record names.
    fn grant(&self) -> Option<String> {
        let rights = || self.operation.split('+');
        match &self.object {
            _ if self.by != By::Landlock => None,
            Object::Path(path) => {
                // The other directory is not named.
                let known = |right| Access::by_name(right).filter(|right| *right != Access::REFER);
                let keys: Option<BTreeSet<&str>> = rights().map(|right| known(right)?.key()).collect();
                let keys: Vec<String> = keys?.into_iter().map(|key| format!("{key} = {path:?}")).collect();
                Some(keys.join(", "))
            }
            Object::Address(address) => {
                let port: u16 = address.rsplit(':').next()?.parse().ok()?;
                let access = NetAccess::ALL.into_iter().find(|access| access.name() == self.operation)?;
                Some(format!("{} = {port}", access.key()))
            }
            _ => None,
        }
    }

    /// What Landlock answers to this operation; 0 for the filter, of which that depends.
    fn usual_errno(&self) -> i32 {
        match (self.by, self.operation.as_str()) {
            (By::Landlock, "refer") => libc::EXDEV,
            (By::Landlock, "signal" | "abstract_unix_socket" | "ptrace" | "change_topology") => libc::EPERM,
            (By::Landlock, _) => libc::EACCES,
            _ => 0,
        }
    }
}

/// The name of a sandbox that no other has, on no machine: its domain, and the boot of the kernel that it lives in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SandboxName {
    /// As the kernel counts domains.
    pub domain: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl SandboxName {
    /// The name of this domain of the running kernel.
    ///
    /// # Errors
    ///
    /// Where `/proc` cannot be read.
    pub fn of(domain: u64) -> std::io::Result<SandboxName> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(SandboxName { domain, boot: boot.trim_end().to_owned() })
    }
}

/// `1409dc75b@8d310de6-608a-4d50-bcff-c9d4c5a5e917`, the domain as audit records have it.
impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}@{}", self.domain, self.boot)
    }
}
