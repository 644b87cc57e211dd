//! Namespaces of a worker's own: what of them the host works out, and the order in which a worker takes them on.
//!
//! They come before Landlock, whose domains may not mount, and before the filter. What they need are the capabilities
//! that a new user namespace brings; those are gone before a body runs.
//!
//! <https://man7.org/linux/man-pages/man7/user_namespaces.7.html>

mod processes;
mod root;

use super::{LockError, Locks, capabilities, grant_error};
use crate::error::Error;
use crate::plan::{NamespacesPlan, Plan};
use crate::policy::Access;
use crate::registry::Function;
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Processes beside the body that `RLIMIT_NPROC` counts: see [`processes`].
const COMPANIONS: u64 = 2;

/// What a worker is told about its namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Namespaces {
    network: bool,
    processes: bool,
    /// What its root holds; `None` if it keeps the present one.
    files: Option<Vec<Granted>>,
    threads: Option<u64>,
    /// What the keeper looks at: see [`processes`].
    cpu: Option<Duration>,
}

/// A granted path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Granted {
    path: PathBuf,
    /// Device and inode of what it named in the host.
    identity: (u64, u64),
    writes: bool,
    /// Those that Landlock is asked for.
    rights: Access,
    /// It is the root of a `/proc`: in its place comes one of the worker's own processes.
    own_proc: bool,
}

impl Namespaces {
    /// Looks up the granted paths, in the host.
    ///
    /// # Errors
    ///
    /// A path that cannot be opened, named with its attribute.
    pub(super) fn of(plan: &Plan, function: &Function) -> Result<Option<Namespaces>, Error> {
        let Some(NamespacesPlan { network, processes, files, threads }) = &plan.namespaces else {
            return Ok(None);
        };
        let handled = plan.ruleset.as_ref().map_or(Access::NONE, |ruleset| ruleset.files);
        let mut granted = files.as_ref().map(|_| Vec::new());
        for rule in files.iter().flatten() {
            match look_up(&rule.path) {
                Ok((path, identity, is_proc)) => granted.get_or_insert_default().push(Granted {
                    path,
                    identity,
                    writes: rule.writes(),
                    rights: rule.rights & handled,
                    own_proc: is_proc && *processes,
                }),
                Err(Errno::NOENT | Errno::NOTDIR) if rule.optional => {}
                Err(errno) => return Err(grant_error(function, &rule.key, &rule.path, errno)),
            }
        }
        Ok(Some(Namespaces {
            network: *network,
            processes: *processes,
            files: granted,
            threads: *threads,
            cpu: plan.limits.cpu,
        }))
    }

    /// Puts the calling process, which has one thread, into namespaces of its own. It returns in a child of the caller
    /// where processes get a namespace; the caller then ends as that child does.
    pub(crate) fn enter(&self, locks: &Locks) -> Result<(), LockError> {
        self.unshare()?;
        // That of a new user namespace is full.
        capabilities::empty_bounding_set()?;
        if self.processes {
            // Before the mounts: a `/proc` shows the namespace of who mounts it.
            processes::separate(self.cpu)?;
        }
        self.replace_files(locks)?;
        self.limit_threads().map_err(failed("RLIMIT_NPROC"))?;
        capabilities::keep_only(&[])
    }

    fn unshare(&self) -> Result<(), LockError> {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let if_own = |own: bool, flag| if own { flag } else { 0 };
        let flags = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | if_own(self.network, libc::CLONE_NEWNET)
            | if_own(self.processes, libc::CLONE_NEWPID);
        sys::namespaces::unshare(flags).map_err(|error| LockError::new("unshare", error))?;
        // Without privileges everybody maps himself alone, and only with groups as they are.
        let files = [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{user} {user} 1")),
            ("gid_map", format!("{group} {group} 1")),
        ];
        files.into_iter().try_for_each(|(name, text)| {
            let path = format!("/proc/self/{name}");
            std::fs::write(&path, text).map_err(|error| LockError::new(path, error))
        })
    }

    fn replace_files(&self, locks: &Locks) -> Result<(), LockError> {
        // One that was deleted has no path.
        let directory = rustix::process::getcwd(Vec::new()).unwrap_or_else(|_| c"/".to_owned());
        match &self.files {
            Some(files) => root::replace(files)?,
            None if self.processes => root::mount_proc()?,
            None => {}
        }
        // The present one is of the mounts that were left. Outside of the grants there is none but the root.
        rustix::process::chdir(&directory)
            .or_else(|_| rustix::process::chdir("/"))
            .map_err(failed("the working directory"))?;
        // Landlock knows the host's `/proc` alone. (A rule of `/` holds below it, also there.)
        let own = self.files.iter().flatten().filter(|granted| granted.own_proc);
        own.into_iter().try_for_each(|granted| locks.grant(&granted.path, granted.rights))
    }

    fn limit_threads(&self) -> Result<(), Errno> {
        let Some(threads) = self.threads else { return Ok(()) };
        let most = threads.saturating_add(if self.processes { COMPANIONS } else { 0 });
        let present = rustix::process::getrlimit(Resource::Nproc).maximum;
        let most = Some(present.map_or(most, |present| present.min(most)));
        rustix::process::setrlimit(Resource::Nproc, Rlimit { current: most, maximum: most })
    }
}

/// Its absolute form; device and inode; whether it is a `/proc`.
fn look_up(path: &std::path::Path) -> Result<(PathBuf, (u64, u64), bool), Errno> {
    const PROC_ROOT_INODE: u64 = 1;
    let absolute =
        std::path::absolute(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let identity = identity(&fd)?;
    let is_proc = rustix::fs::fstatfs(&fd)?.f_type == rustix::fs::PROC_SUPER_MAGIC;
    Ok((absolute, identity, is_proc && identity.1 == PROC_ROOT_INODE))
}

fn identity(fd: impl rustix::fd::AsFd) -> Result<(u64, u64), Errno> {
    let stat = rustix::fs::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn failed(what: &'static str) -> impl FnOnce(Errno) -> LockError {
    move |errno| LockError::new(what, errno)
}

/// Whether namespaces can be had from here, and in them a limit of threads. Answers in a child of the caller, which has
/// one thread; the caller ends.
pub(crate) fn probe(answer: impl FnOnce(Result<bool, LockError>)) -> ! {
    let all = Namespaces { network: true, processes: true, files: Some(Vec::new()), ..Namespaces::default() };
    answer(all.enter(&Locks::none()).map(|()| processes::can_be_limited()));
    sys::process::exit_now(0)
}
