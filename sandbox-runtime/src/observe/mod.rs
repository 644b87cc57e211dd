//! What was denied: observation of calls, by a process that traces them.
//!
//! Off unless `SANDBOXED_EXPLAIN` is set or a call is made inside [`observe`]; then the way of a call is the same but for
//! an [`observer`], which the forkserver forks, and two more filters in the sandbox. A [`link`] joins the two until the
//! one traces the other; what it sees it leaves in a [`report`], which is read when the call is over.

pub(crate) mod explain;
pub(crate) mod here;
pub(crate) mod link;
mod listeners;
pub(crate) mod observer;
pub(crate) mod report;

pub(crate) use listeners::Listeners;
pub use listeners::{Watching, observe, observed_test};

use crate::audit::{OfWorker, SandboxName};
use crate::denial::{By, Denial};
use crate::forkserver;
use crate::plan::{Placement, Plan};
use crate::policy::Policy;
use crate::registry::Function;
use explain::Format;
use link::{Attached, Link, Wanted};
use observer::{Facts, Task, uses};
use report::{Reader, Unseen};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What was printed so far, for the summary.
static EXPLAINED: Mutex<Vec<Denial>> = Mutex::new(Vec::new());

/// As the environment asked when it was first looked at.
fn format() -> Option<Format> {
    static FORMAT: OnceLock<Option<Format>> = OnceLock::new();
    *FORMAT.get_or_init(|| {
        let format = Format::asked();
        if format.is_some() {
            crate::sys::process::at_exit(summarise);
        }
        format
    })
}

extern "C" fn summarise() {
    if let Some(format) = format() {
        let explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
        say(&format.summary(&explained));
    }
}

/// For tests: whether this sandbox can read what it was denied.
pub fn sees_what_is_denied() -> bool {
    here::turn().is_some()
}

/// Whether the next call of this thread is to be observed.
pub fn is_on() -> bool {
    listeners::are_there() || format().is_some()
}

/// An observer that waits to be told whom to trace.
#[derive(Debug)]
pub(crate) struct Watch {
    function: &'static Function,
    link: Option<OwnedFd>,
    file: OwnedFd,
    reader: Reader,
    program: bool,
    is_worker: bool,
    grants: Vec<uses::Grant>,
    /// What the kernel records of it.
    records: OfWorker,
}

impl Watch {
    /// Asks the forkserver for one. `None` where observation is off, or none is to be had, which is said.
    /// For a whole `program` it prints by itself, while that runs.
    pub(crate) fn begin(
        function: &'static Function,
        (plan, policy): (&Plan, &Policy),
        ruleset: Option<BorrowedFd<'_>>,
        program: bool,
    ) -> Option<Watch> {
        // From inside a sandbox no observer is asked for.
        if !is_on() || forkserver::is_out_of_reach() != Ok(false) {
            return None;
        }
        match Watch::start(function, (plan, policy), ruleset, program) {
            Ok(watch) => Some(watch),
            Err(why) => {
                cannot(function, &Unseen::all(why), true);
                None
            }
        }
    }

    fn start(
        function: &'static Function,
        (plan, policy): (&Plan, &Policy),
        ruleset: Option<BorrowedFd<'_>>,
        program: bool,
    ) -> Result<Watch, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let server = forkserver::current().map_err(|error| failed(&error))?;
        let file = report::file().map_err(|error| failed(&error))?;
        let reader = Reader::new(file.as_fd()).map_err(|error| failed(&error))?;
        let [ours, theirs] = Link::pair().map_err(|error| failed(&error))?;
        let is_worker = plan.placement == Placement::Process;
        let facts = Facts {
            placement: plan.placement,
            abi: plan.kernel.abi,
            restricted: server.is_restricted(),
            limits: plan.limits,
            threads: plan.namespaces.as_ref().and_then(|namespaces| namespaces.threads),
        };
        // The program's own stderr, where nobody reads the report before it is over.
        let print = format().filter(|_| program);
        let print = print.map(|format| (format, function.name.to_owned(), place(function)));
        let capabilities = is_worker.then(|| plan.capabilities.clone());
        let stderr = print.is_some().then(|| rustix::stdio::stderr());
        let grants = if listeners::want_uses() { uses::grants(plan, policy) } else { Vec::new() };
        let (ruleset_comes, filter) = (ruleset.is_some(), plan.filter);
        let task =
            Task { grants: grants.clone(), facts, filter, ruleset: ruleset_comes, capabilities, print };
        let fds: Vec<BorrowedFd<'_>> =
            [theirs.as_fd(), file.as_fd()].into_iter().chain(ruleset).chain(stderr).collect();
        server.observer(&task, &fds).map_err(|error| failed(&error))?;
        let (link, records) = (Some(ours), OfWorker::begin());
        Ok(Watch { function, link, file, reader, program, is_worker, grants, records })
    }

    /// What a worker needs to be observed: its end of the link; for a test the report too.
    pub(crate) fn for_worker(&mut self) -> Option<(OwnedFd, Option<OwnedFd>)> {
        let report = if listeners::are_tests() { Some(self.file.try_clone().ok()?) } else { None };
        self.link.take().map(|link| (link, report))
    }

    /// Has the observer trace the calling thread.
    pub(crate) fn attach_thread(&mut self) -> Attached {
        let thread = rustix::thread::gettid().as_raw_pid();
        let attached = self.attach(Wanted::Thread { thread, kill: false });
        if let Attached::Traced = attached {
            let reader = listeners::are_tests().then(|| Reader::new(self.file.as_fd()).ok());
            here::begin_in_thread(reader.flatten());
        }
        attached
    }

    /// Has the observer trace every thread of this process, for good.
    pub(crate) fn attach_process(mut self) -> Attached {
        let process = rustix::process::getpid().as_raw_pid();
        let attached = self.attach(Wanted::Process(process));
        match &attached {
            Attached::Traced => here::begin(None),
            Attached::Barred { why, .. } => {
                here::begin_listened();
                log::warn!("`{}` may not be traced: {why}", self.function.name);
            }
            Attached::Gone(_) => {}
        }
        attached
    }

    fn attach(&mut self, wanted: Wanted) -> Attached {
        // One at a time may say who may trace this process.
        static ATTACHING: Mutex<()> = Mutex::new(());
        let _attaching = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
        let link = self.link.take().map(Link::new);
        let attached = link.map_or(Attached::Gone(String::new()), |link| link.attach(wanted));
        if let Attached::Gone(why) = &attached {
            cannot(self.function, &Unseen::all(why.clone()), true);
        }
        attached
    }

    /// When the call is over: tells everybody who asked.
    pub(crate) fn end(self) -> Vec<Denial> {
        let mut unseen = self.reader.failure();
        if let Some(unseen) = &mut unseen {
            unseen.but_records = self.is_worker && self.records.hears();
            cannot(self.function, unseen, !self.program);
        }
        let left_out = self.reader.left_out();
        if left_out > 0 {
            log::warn!(
                "{left_out} denials or missing files of `{}` are not in the report: there were too many",
                self.function.name
            );
        }
        let mut denials: Vec<Denial> =
            self.reader.since(0).into_iter().map(|(seen, count)| seen.of(self.function, count)).collect();
        let refused = self.reader.process().map(|process| self.records.end(process)).unwrap_or_default();
        if unseen.is_some_and(|unseen| unseen.but_records) {
            let of_landlock = refused.iter().filter(|refused| refused.by == By::Landlock);
            denials
                .extend(of_landlock.map(|refused| refused.denial(self.function.name, &place(self.function))));
        }
        let unused = self.grants.iter().enumerate().filter(|(index, _)| !self.reader.is_used(*index));
        listeners::tell(&denials, unused.map(|(_, grant)| grant.text.clone()).collect());
        let domain = refused.iter().find_map(|refused| refused.domain);
        let name = domain.and_then(|domain| SandboxName::of(domain).ok()).map(|name| name.to_string());
        if let Some(name) = &name {
            log::info!("the sandbox of `{}` that was refused something is {name}", self.function.name);
        }
        if !self.program {
            print(&denials, self.function.name, name);
        }
        denials
    }
}

pub(crate) fn place(function: &Function) -> String {
    format!("{}:{}:{}", function.file, function.line, function.column)
}

/// To who reads stderr.
fn print(denials: &[Denial], function: &str, sandbox: Option<String>) {
    if let Some(format) = format() {
        let mut explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
        listeners::add(&mut explained, denials, |denial| say(&format.denial(denial)));
        sandbox.into_iter().for_each(|name| say(&format.sandbox(function, &name)));
    }
}

/// Where nobody reads it, nobody is told: `eprint` would panic.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

/// Says what cannot be seen of a function, once.
fn cannot(function: &Function, unseen: &Unseen, prints: bool) {
    listeners::tell_unseen(&format!("`{}` {unseen}", function.name));
    static SAID: Mutex<BTreeSet<(&str, Unseen)>> = Mutex::new(BTreeSet::new());
    let is_new = SAID.lock().unwrap_or_else(PoisonError::into_inner).insert((function.name, unseen.clone()));
    if !is_new {
        return;
    }
    log::warn!("`{}` {unseen}", function.name);
    if let Some(format) = format().filter(|_| prints) {
        say(&format.unseen(function.name, unseen));
    }
}
