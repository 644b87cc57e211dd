//! From a plan to a locked thread or process: the only way there.
//!
//! [`Locks::prepare`] opens what the grants name and makes the ruleset, in the host. [`Locks::close`] applies
//! them to the calling thread, [`Locks::close_all_threads`] to the process; only they make the [`Enforced`]
//! that running a body requires.

pub(crate) mod capabilities;
pub(crate) mod filter;
pub(crate) mod mark;
mod namespaces;
mod ruleset;

use crate::error::{Cause, Error, ErrorKind, Ran};
#[cfg(feature = "learn")]
use crate::plan::Placement;
use crate::plan::{Capability, Plan};
use crate::policy::Access;
use crate::registry::Function;
use crate::sys::{self, landlock};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

pub(crate) use filter::{
    Filter, REPORT, Reporting, WorkerPins, call_name, is_looked_at, name_of_call, number_of_call, refusal,
};
pub(crate) use namespaces::{Namespaces, probe as probe_namespaces};
pub(crate) use ruleset::Recipe;

/// The ABI whose `landlock_restrict_self(2)` can set no_new_privs.
const NO_NEW_PRIVS: u32 = 11;

/// Proof that the plan is in force for the calling thread.
#[derive(Debug)]
#[must_use]
pub(crate) struct Enforced(());

/// Everything that a thread needs to lock itself: descriptors and bytes, so that it can be handed to a worker.
#[derive(Debug)]
#[must_use]
pub(crate) struct Locks {
    pub(crate) ruleset: Option<OwnedFd>,
    /// A ruleset still to be made, in the worker: under valgrind, which does not know the system calls, the host
    /// cannot make it. The worker runs outside of valgrind.
    pub(crate) recipe: Option<Recipe>,
    pub(crate) filter: Option<Filter>,
    /// Where somebody looks on.
    pub(crate) reporting: Option<Reporting>,
    /// Where whoever looks on cannot trace: the socket by which it gets the listener of the filter instead.
    pub(crate) listens: Option<OwnedFd>,
    pub(crate) namespaces: Option<Namespaces>,
    /// Those that a worker keeps.
    pub(crate) capabilities: Vec<Capability>,
}

/// What failed while locking.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub(crate) struct LockError {
    what: String,
    pub(crate) cause: Option<Cause>,
}

impl LockError {
    fn new(what: impl Into<String>, cause: impl Into<Cause>) -> LockError {
        LockError { what: what.into(), cause: Some(cause.into()) }
    }

    /// As the error of a call whose body did not begin.
    pub(crate) fn of(self, function: &str) -> Error {
        let LockError { what, cause } = self;
        let what = cause.as_ref().map_or(what.clone(), |cause| format!("{what}: {cause}"));
        Error::launch(function, what, cause)
    }
}

impl Locks {
    /// Opens the granted paths and makes the ruleset of a plan.
    ///
    /// # Errors
    ///
    /// A granted path that cannot be opened, named with its attribute; a ruleset that the kernel refuses.
    pub(crate) fn prepare(plan: &Plan, function: &Function) -> Result<Locks, Error> {
        let recipe = plan.ruleset.as_ref().map(|ruleset| Recipe::open(ruleset, function)).transpose()?;
        let namespaces = Namespaces::of(plan, function)?;
        let mut locks = Locks {
            recipe,
            filter: plan.filter.as_ref().map(Filter::of),
            namespaces,
            capabilities: plan.capabilities.clone(),
            ..Locks::none()
        };
        if crate::kernel().abi >= plan.kernel.abi {
            locks.make_ruleset().map_err(|error| error.of(function.name))?;
        }
        Ok(locks)
    }

    /// Nothing that refuses: only a tracer is told what grants are about, so that they can be learned. The one way to run
    /// a body without enforcement, of a feature that is off by default.
    #[cfg(feature = "learn")]
    pub(crate) fn unenforced(placement: Placement, capabilities: Vec<Capability>) -> Locks {
        Locks { reporting: Some(Reporting::of_uses(placement)), capabilities, ..Locks::none() }
    }

    /// As [`Locks::unenforced`], for a thread of one that has that filter already.
    #[cfg(feature = "learn")]
    pub(crate) fn unobserved() -> Locks {
        Locks::none()
    }

    /// What a program is restricted to in place, for others that are to be so too.
    pub(crate) fn in_place(ruleset: Option<OwnedFd>, filter: Option<Filter>) -> Locks {
        Locks { ruleset, filter, ..Locks::none() }
    }

    /// What the others begin with. It refuses nothing, so nobody else has it.
    const fn none() -> Locks {
        Locks {
            ruleset: None,
            recipe: None,
            filter: None,
            reporting: None,
            listens: None,
            namespaces: None,
            capabilities: Vec::new(),
        }
    }

    /// Whether it is made to be learned from: it must be seen, since it refuses nothing. Without the feature a worker
    /// refuses to run under it.
    pub(crate) fn is_unenforced(&self) -> bool {
        self.filter.is_none() && self.reporting.is_some()
    }

    /// For tests: the filters of a plan alone.
    #[cfg(all(test, not(feature = "learn")))]
    pub(crate) fn of_filter(plan: &Plan) -> Locks {
        let filter = plan.filter.as_ref().map(Filter::of);
        let reporting = plan.filter.as_ref().map(|filter| Reporting::of(filter, &plan.limits));
        Locks { filter, reporting, ..Locks::none() }
    }

    /// Makes the ruleset where that is still to be done.
    pub(crate) fn make_ruleset(&mut self) -> Result<(), LockError> {
        if let Some(recipe) = self.recipe.take() {
            self.ruleset = Some(recipe.make()?);
        }
        Ok(())
    }

    /// Puts this process into namespaces of its own, if it is to be in some; a child of it returns.
    pub(crate) fn enter_namespaces(&self) -> Result<(), LockError> {
        self.namespaces.as_ref().map_or(Ok(()), |namespaces| namespaces.enter(self))
    }

    /// Adds a rule for what a path names by now, to a ruleset that is made.
    fn grant(&self, path: &std::path::Path, rights: Access) -> Result<(), LockError> {
        let failed = |errno| LockError::new(format!("landlock_add_rule {path:?}"), errno);
        let Some(ruleset) = self.ruleset.as_ref().filter(|_| !rights.is_empty()) else { return Ok(()) };
        let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        landlock::add_path(ruleset.as_fd(), rights.bits(), fd.as_fd(), 0).map_err(failed)
    }

    /// Restricts the calling thread, for good.
    pub(crate) fn close(&self) -> Result<Enforced, LockError> {
        self.take_on_ruleset(0)?;
        // Last: it may refuse what the steps above need.
        if !self.asks_instead(0)? {
            self.filter.as_ref().map_or(Ok(()), Filter::apply)?;
            self.reporting().map_or(Ok(()), |reporting| reporting.apply(0))?;
        }
        Ok(Enforced(()))
    }

    /// Has the filters tell what they refuse, to whoever traces this thread or process by then.
    pub(crate) fn report(&mut self, plan: &Plan) {
        self.reporting = plan.filter.as_ref().map(|filter| Reporting::of(filter, &plan.limits));
    }

    /// To a tracer.
    fn reporting(&self) -> Option<&Reporting> {
        self.reporting.as_ref().filter(|_| self.listens.is_none())
    }

    /// Installs the filter so that it asks whoever is to get its listener, if somebody is and can.
    fn asks_instead(&self, flags: u64) -> Result<bool, LockError> {
        let plan = self.reporting.as_ref().and_then(|reporting| reporting.plan.as_ref());
        let asked = plan.zip(self.listens.as_ref());
        asked.map_or(Ok(false), |(plan, socket)| filter::ask_instead(plan, socket.as_fd(), flags))
    }

    /// Restricts a worker, for good; also what is for its `parents` alone, its template and the forkserver.
    pub(crate) fn close_worker(&self, parents: [Pid; 2]) -> Result<Enforced, LockError> {
        self.take_on_ruleset(0)?;
        capabilities::keep_only(&self.capabilities)?;
        // Last: it may refuse what the steps above need.
        if self.asks_instead(0)? {
            self.pins(parents).map_or(Ok(()), |pins| pins.apply())?;
        } else {
            self.filter.as_ref().map_or(Ok(()), |filter| filter.apply_in_worker(parents))?;
            self.reporting().map_or(Ok(()), |reporting| reporting.apply_in_worker(parents))?;
        }
        Ok(Enforced(()))
    }

    /// Restricts a template, for good: as its workers, but for what names a process. With the ruleset only where it runs
    /// `foreign` code, since theirs then have a layer more.
    pub(crate) fn close_template(&self, foreign: bool) -> Result<(), LockError> {
        no_new_privs()?;
        if let Some(ruleset) = self.ruleset.as_ref().filter(|_| foreign) {
            Locks::take_on(ruleset)?;
        }
        capabilities::keep_only(&self.capabilities)?;
        self.filter.as_ref().map_or(Ok(()), Filter::apply)
    }

    /// As [`Locks::close_worker`], for what was forked from a template that is restricted.
    pub(crate) fn close_child_of_template(&self, pins: Option<&WorkerPins>) -> Result<Enforced, LockError> {
        // A layer of its own: siblings in one domain may signal and trace each other.
        self.ruleset.as_ref().map_or(Ok(()), Locks::take_on)?;
        pins.map_or(Ok(()), WorkerPins::apply)?;
        Ok(Enforced(()))
    }

    /// What every child of the calling template is to be pinned to.
    pub(crate) fn pins(&self, parents: [Pid; 2]) -> Option<WorkerPins> {
        self.filter.as_ref()?.pins(parents)
    }

    /// Takes on a ruleset, in a process that has no_new_privs.
    pub(crate) fn take_on(ruleset: &OwnedFd) -> Result<(), LockError> {
        restrict(ruleset.as_fd(), 0)
    }

    /// Restricts a process of one thread, for good.
    pub(crate) fn close_one_thread(&self) -> Result<Enforced, LockError> {
        self.try_out(Locks::close_quietly)?;
        self.close()
    }

    /// As [`Locks::close`], and nobody is told anything.
    fn close_quietly(&self) -> Result<(), LockError> {
        self.take_on_ruleset(0)?;
        self.filter.as_ref().map_or(Ok(()), Filter::apply)
    }

    /// Restricts every thread of this process, for good, by a signal to each (`thread_sync = "signal"`). Each thread
    /// gets a domain of its own: see [`ThreadSync::Signal`](crate::ThreadSync::Signal).
    ///
    /// Half a restriction cannot be undone, so where a thread does not answer this ends the process.
    pub(crate) fn close_each_thread(&self) -> Result<Enforced, LockError> {
        self.try_out(Locks::close_quietly)?;
        // Opened now: a restricted thread may not.
        let tasks = rustix::fs::open("/proc/self/task", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| LockError::new("/proc/self/task", errno))?;
        // One listener for each thread nobody has.
        let filters = [self.filter.as_ref().map(Filter::program), self.reporting().map(Reporting::program)];
        let action = EachThread { ruleset: self.ruleset.as_ref(), filters };
        sys::each_thread::run_in_each(tasks.as_fd(), &action)
            .map_err(|error| LockError::new("a signal for each thread", error))?;
        Ok(Enforced(()))
    }

    /// Restricts every thread of this process, for good: Landlock by TSYNC (ABI 8), seccomp by its own.
    /// no_new_privs goes along with both.
    pub(crate) fn close_all_threads(&self) -> Result<Enforced, LockError> {
        self.try_out(|locks| {
            locks.take_on_ruleset(0)?;
            // seccomp refuses all or nothing where a thread has filters that this one lacks. That is one that a
            // sandboxed thread left behind, and Landlock would replace its domain by a weaker one (measured on 7.0).
            if locks.asks_instead(sys::seccomp::TSYNC)? {
                return Ok(());
            }
            locks.filter.as_ref().map_or(Ok(()), Filter::apply_all_threads)?;
            locks.reporting().map_or(Ok(()), |reporting| reporting.apply(sys::seccomp::TSYNC))
        })?;
        self.take_on_ruleset(landlock::RESTRICT_SELF_TSYNC)?;
        Ok(Enforced(()))
    }

    /// The ruleset, with no_new_privs: by one call, which changes nothing where it fails, from ABI 11 on.
    fn take_on_ruleset(&self, flags: u32) -> Result<(), LockError> {
        match &self.ruleset {
            Some(ruleset) if crate::kernel().abi >= NO_NEW_PRIVS => {
                restrict(ruleset.as_fd(), flags | landlock::RESTRICT_SELF_NO_NEW_PRIVS)
            }
            Some(ruleset) => {
                no_new_privs()?;
                restrict(ruleset.as_fd(), flags)
            }
            None => no_new_privs(),
        }
    }

    /// Does what may fail in a thread that ends: after a failure no other thread is restricted, nor has no_new_privs.
    fn try_out<T: Send>(
        &self,
        close: impl FnOnce(&Locks) -> Result<T, LockError> + Send,
    ) -> Result<(), LockError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, || close(self));
            let thread = thread.map_err(|error| LockError::new("a thread to try the restriction", error))?;
            let panicked = |_| LockError { what: "trying the restriction panicked".into(), cause: None };
            thread.join().map_err(panicked)?.map(drop)
        })
    }
}

/// What each thread does by itself where the kernel cannot do it for all. It is run in a signal's handler: it
/// allocates nothing.
struct EachThread<'a> {
    ruleset: Option<&'a OwnedFd>,
    filters: [Option<Vec<libc::sock_filter>>; 2],
}

impl sys::each_thread::Action for EachThread<'_> {
    fn run(&self) -> bool {
        rustix::thread::set_no_new_privs(true).is_ok()
            && self.ruleset.is_none_or(|ruleset| landlock::restrict_self(ruleset.as_fd(), 0).is_ok())
            && self.filters.iter().flatten().all(|filter| sys::seccomp::install(filter, 0).is_ok())
    }
}

fn no_new_privs() -> Result<(), LockError> {
    rustix::thread::set_no_new_privs(true).map_err(|errno| LockError::new("prctl PR_SET_NO_NEW_PRIVS", errno))
}

fn restrict(ruleset: BorrowedFd<'_>, flags: u32) -> Result<(), LockError> {
    landlock::restrict_self(ruleset, flags).map_err(|errno| match errno {
        Errno::TOOBIG => LockError::new("landlock_restrict_self: 16 layers are the most that nest", errno),
        _ => LockError::new("landlock_restrict_self", errno),
    })
}

fn grant_error(function: &Function, key: &str, path: &std::path::Path, cause: impl Into<Cause>) -> Error {
    let kind = ErrorKind::Grant {
        key: key.to_owned(),
        path: path.to_owned(),
        place: format!("{}:{}", function.file, function.line),
        cause: cause.into(),
    };
    Error::new(function.name, kind, Ran::No)
}
