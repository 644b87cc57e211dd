//! Where workers come from: templates, one for each kind of worker that is needed, which fork them ahead of need.
//!
//! Functions share a template where their workers are locked alike and nothing of one call is there for the next. What a
//! grant names is opened when a template is made and looked at again before each call; where grants depend on the
//! arguments, the ruleset is made for each call and handed to a worker that is locked but for that.

mod lane;
mod results;
mod template;

use crate::enforce::Locks;
use crate::error::Error;
use crate::forkserver::{self, Forkserver, HasNamespaces, StartError};
use crate::observe::{self, Watch};
use crate::placement::plan_for;
use crate::plan::{Kernel, Placement, Plan};
use crate::policy::{Policy, Stdio, Workers};
use crate::registry::Function;
use crate::sys::fork_mark::ForkMark;
use crate::sys::process::now;
use crate::wire::Setup;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(crate) use lane::Lease;
pub(crate) use template::NoWorker;
use template::Template;

/// The most templates that are kept for their next call. Those that were used longest ago end.
const MOST_TEMPLATES: usize = 16;

/// What this process has; a forked child begins anew.
#[derive(Default)]
struct Pool {
    /// What each function had at its last call.
    known: RwLock<HashMap<usize, Arc<Known>>>,
    /// Every template that may be used again, the last used last.
    templates: Mutex<Vec<(Kind, Arc<Template>)>>,
}

static POOL: ForkMark<Pool> = ForkMark::new();

/// What makes workers alike.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    setup: Setup,
    /// What the grants named.
    named: Vec<Named>,
    stdio: Stdio,
    workers: Workers,
    /// The function, where workers have something of it.
    owner: Option<usize>,
}

/// A granted path, and device and inode of what it named, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named(PathBuf, Option<(u64, u64)>);

impl Named {
    fn now(path: &std::path::Path) -> Named {
        Named(path.to_owned(), identity_of(path))
    }

    fn is_the_same(&self) -> bool {
        identity_of(&self.0) == self.1
    }
}

fn identity_of(path: &std::path::Path) -> Option<(u64, u64)> {
    rustix::fs::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

struct Known {
    policy: Policy,
    plan: Arc<Plan>,
    named: Vec<Named>,
    template: Arc<Template>,
}

/// Where the workers for one call come from.
pub(crate) struct Source {
    pub(crate) plan: Arc<Plan>,
    pub(crate) template: Arc<Template>,
    /// For this call alone.
    pub(crate) ruleset: Option<OwnedFd>,
    /// Who looks on.
    pub(crate) watch: Option<Watch>,
}

/// How long the memory of long requests is kept for the next of them, in nanoseconds. It is given back when something is
/// called afterwards: while nothing is, no code of ours runs in this process.
const IDLE: u64 = 10_000_000_000;

/// When to look for such memory, on the clock of [`now`]; 0 where there is none.
static LOOK_AT: AtomicU64 = AtomicU64::new(0);

/// There is some.
fn close_large_later() {
    let then = now().saturating_add(IDLE);
    // It is looked for already where this fails.
    let _known = LOOK_AT.compare_exchange(0, then, Ordering::Relaxed, Ordering::Relaxed);
}

/// Where the workers for a call of a function come from.
pub(crate) fn source(function: &'static Function, policy: &Policy) -> Result<Source, Error> {
    let pool = POOL.get_or_init(Pool::default).map_err(|errno| {
        Error::launch(function.name, format!("a page for the pool's state: {errno}"), Some(errno.into()))
    })?;
    pool.close_large();
    if observe::is_on()
        && let Some(source) = observed(function, policy)?
    {
        return Ok(source);
    }
    match pool.known(function, policy).filter(|known| known.fits()) {
        Some(known) => Ok(Source {
            plan: Arc::clone(&known.plan),
            template: Arc::clone(&known.template),
            ruleset: None,
            watch: None,
        }),
        None => pool.source(function, policy),
    }
}

/// Forgets every template, after a restriction of this process: they ended.
pub(crate) fn forget() {
    if let Some(pool) = POOL.get() {
        pool.templates.lock().unwrap_or_else(PoisonError::into_inner).clear();
        pool.forget_but(|_| false);
    }
}

/// A source for one call that shares nothing with others: `fn main`, with its own stdin.
pub(crate) fn source_of_program(function: &'static Function, policy: &Policy) -> Result<Source, Error> {
    // With the program's arguments, so before anything else starts the forkserver.
    forkserver::start_for_program().map_err(|error| cannot_start(function, &error))?;
    let plan = plan_for(function, policy, Placement::Process, kernel(function, policy)?)?;
    let locks = Locks::prepare(&plan, function)?;
    let watch = Watch::begin(function, (&plan, policy), locks.ruleset.as_ref().map(AsFd::as_fd), true);
    alone(function, plan, locks, watch, true)
}

/// As [`source`], with an observer; `None` if there is none to be had.
fn observed(function: &'static Function, policy: &Policy) -> Result<Option<Source>, Error> {
    let plan = plan_for(function, policy, Placement::Process, kernel(function, policy)?)?;
    let locks = Locks::prepare(&plan, function)?;
    match Watch::begin(function, (&plan, policy), locks.ruleset.as_ref().map(AsFd::as_fd), false) {
        None => Ok(None),
        watch => {
            let workers = Workers { reuse: 1, spare: Some(0), max: Some(1) };
            alone(function, Plan { workers, ..plan }, locks, watch, false).map(Some)
        }
    }
}

/// As [`source`], for a call that is learned from, by who is at the other end of the link.
#[cfg(feature = "learn")]
pub(crate) fn learned(
    function: &'static Function,
    policy: &Policy,
    link: OwnedFd,
    program: bool,
) -> Result<Source, Error> {
    let kernel = kernel(function, &Policy::new())?;
    let plan = crate::learn::unrefusing_plan(function, policy, Placement::Process, kernel)?;
    let (setup, mut fds) = setup(function, &plan, crate::learn::locks(Placement::Process), program)?;
    fds.push(link);
    let template = start(function, &plan, &setup, &fds)?;
    Ok(Source { plan: Arc::new(plan), template, ruleset: None, watch: None })
}

/// A template for one call.
fn alone(
    function: &'static Function,
    plan: Plan,
    mut locks: Locks,
    mut watch: Option<Watch>,
    program: bool,
) -> Result<Source, Error> {
    let seen = watch.as_mut().and_then(Watch::for_worker);
    if seen.is_some() {
        locks.report(&plan);
    }
    let (mut setup, mut fds) = setup(function, &plan, locks, program)?;
    if let Some((link, report)) = seen {
        setup.reads_report = report.is_some();
        fds.extend([link].into_iter().chain(report));
    }
    let template = start(function, &plan, &setup, &fds)?;
    Ok(Source { plan: Arc::new(plan), template, ruleset: None, watch })
}

impl Pool {
    fn known(&self, function: &'static Function, policy: &Policy) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&address(function)).filter(|known| known.policy == *policy).cloned()
    }

    fn source(&self, function: &'static Function, policy: &Policy) -> Result<Source, Error> {
        let plan = plan_for(function, policy, Placement::Process, kernel(function, policy)?)?;
        let mut named = Vec::new();
        let rules = plan.ruleset.iter().flat_map(|ruleset| &ruleset.paths);
        // Ahead of the ruleset: what changes in between is noticed at the next call.
        named.extend(rules.map(|rule| Named::now(&rule.path)));
        let mut locks = Locks::prepare(&plan, function)?;
        let varies = function.policy.is_none() && function.warm.is_none();
        let ruleset = if varies && plan.namespaces.is_none() { locks.ruleset.take() } else { None };
        if ruleset.is_some() {
            named.clear();
        }
        let (setup, fds) = setup(function, &plan, locks, false)?;
        // A layer for each call is for good; and what is shared is nobody's.
        let used_once = ruleset.is_some() || plan.limits.cpu.is_some();
        let workers = if used_once { Workers { reuse: 1, ..plan.workers } } else { plan.workers };
        // A template of a restricted forkserver cannot see what workers leave behind; when it ends the forkserver does.
        let is_blind =
            plan.may_leave_processes() && current(&plan).is_ok_and(|server| server.is_restricted());
        let shares_nothing = plan.namespaces.is_some() || plan.stdio == Stdio::Inherit || is_blind;
        let kind = Kind {
            setup,
            named,
            stdio: plan.stdio,
            workers,
            owner: (workers.reuse > 1 || function.warm.is_some()).then(|| address(function)),
        };
        let plan = Arc::new(Plan { workers, ..plan });
        if shares_nothing {
            let template = start(function, &plan, &kind.setup, &fds)?;
            return Ok(Source { plan, template, ruleset, watch: None });
        }
        let named = kind.named.clone();
        let template = self.template(function, &plan, kind, &fds)?;
        if ruleset.is_none() {
            let known = Known {
                policy: policy.clone(),
                plan: Arc::clone(&plan),
                named,
                template: Arc::clone(&template),
            };
            self.known
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(address(function), Arc::new(known));
        }
        Ok(Source { plan, template, ruleset, watch: None })
    }

    /// One that is there, or a new one. Of many that are there, the last used are kept.
    fn template(
        &self,
        function: &'static Function,
        plan: &Plan,
        kind: Kind,
        fds: &[OwnedFd],
    ) -> Result<Arc<Template>, Error> {
        let server = current(plan).map_err(|error| cannot_start(function, &error))?;
        let is_alike = |known: &Kind| {
            let setup = Setup { function: known.setup.function.clone(), ..kind.setup.clone() };
            let rest = |kind: &Kind| (kind.stdio, kind.workers, kind.owner);
            known.setup == setup && rest(known) == rest(&kind) && known.named == kind.named
        };
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of a host that has changed are not used again; without them their forkserver ends.
        let is_of_use = |template: &Template| !template.is_gone() && template.handle().is_of(&server);
        if templates.iter().any(|(_, template)| !is_of_use(template)) {
            templates.retain(|(_, template)| is_of_use(template));
            self.forget_but(|template| is_of_use(template));
        }
        if let Some(index) = templates.iter().position(|(known, _)| is_alike(known)) {
            let found = templates.remove(index);
            let template = Arc::clone(&found.1);
            templates.push(found);
            return Ok(template);
        }
        let template = start(function, plan, &kind.setup, fds)?;
        templates.push((kind, Arc::clone(&template)));
        if templates.len() > MOST_TEMPLATES {
            let (_, ended) = templates.remove(0);
            self.forget_but(|template| !std::ptr::eq(template, &*ended));
        }
        Ok(template)
    }

    /// Gives back what [`close_large_later`] was told of, if nobody has used it since.
    fn close_large(&self) {
        let look_at = LOOK_AT.load(Ordering::Relaxed);
        if look_at == 0 || now() < look_at {
            return;
        }
        LOOK_AT.store(0, Ordering::Relaxed);
        let templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now().saturating_sub(IDLE);
        if templates.iter().filter(|(_, template)| template.close_large(since)).count() > 0 {
            close_large_later();
        }
    }

    fn forget_but(&self, is_kept: impl Fn(&Template) -> bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| is_kept(&known.template));
    }
}

impl Known {
    /// Whether its workers are what a call of this moment is to have.
    fn fits(&self) -> bool {
        !self.template.is_gone()
            && current(&self.plan).is_ok_and(|server| self.template.handle().is_of(&server))
            && self.named.iter().all(Named::is_the_same)
    }
}

fn address(function: &'static Function) -> usize {
    std::ptr::from_ref(function) as usize
}

/// The forkserver, for workers of a plan.
fn current(plan: &Plan) -> Result<Arc<Forkserver>, StartError> {
    if plan.grants_nothing() { forkserver::current_by_credentials() } else { forkserver::current() }
}

/// What the workers of a plan have in common, and the descriptors of it.
fn setup(
    function: &'static Function,
    plan: &Plan,
    locks: Locks,
    program: bool,
) -> Result<(Setup, Vec<OwnedFd>), Error> {
    let directory = if plan.files { Some(directory(function)?) } else { None };
    let Locks { ruleset, recipe, filter, reporting, listens: _, namespaces, capabilities } = locks;
    let server = current(plan).map_err(|error| cannot_start(function, &error))?;
    let setup = Setup {
        function: function.name.to_owned(),
        program,
        directory: directory.is_some(),
        ruleset: ruleset.is_some(),
        recipe: recipe.as_ref().map(|recipe| recipe.plan.clone()),
        filter,
        reporting,
        reads_report: false,
        namespaces,
        capabilities,
        grants_proc: plan.grants_proc(),
        limits: plan.limits,
        own_streams: plan.stdio != Stdio::Inherit && !program,
        window: crate::wire::window(plan.limits.memory),
        warm: function.warm.map(|warm| offset(function, &server, warm as usize)).transpose()?,
    };
    let paths = recipe.into_iter().flat_map(|recipe| recipe.paths);
    Ok((setup, directory.into_iter().chain(ruleset).chain(paths).collect()))
}

/// The caller's working directory.
pub(crate) fn directory(function: &Function) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(".", flags, Mode::empty()).map_err(|errno| {
        Error::launch(function.name, format!("working directory: {errno}"), Some(errno.into()))
    })
}

impl Source {
    /// The directory to send along: the caller's, where that is not where the workers are.
    pub(crate) fn directory(&self, function: &Function) -> Result<Option<OwnedFd>, Error> {
        let differs = || self.template.reuse() > 1 || self.template.directory() != identity_of(".".as_ref());
        if self.plan.files && differs() { directory(function).map(Some) } else { Ok(None) }
    }
}

/// What the kernel has for workers: what it has for this process, but where something between hides it (valgrind
/// does not know the system calls), what the forkserver sees.
fn kernel(function: &Function, policy: &Policy) -> Result<Kernel, Error> {
    kernel_for(policy).map_err(|error| cannot_start(function, &error))
}

/// As [`kernel`].
pub(crate) fn kernel_for(policy: &Policy) -> Result<Kernel, StartError> {
    let here = crate::kernel();
    let kernel = if here.abi > 0 && here.seccomp { here } else { forkserver::current()?.kernel() };
    if !policy.namespaces {
        return Ok(kernel);
    }
    Ok(namespaces()?.map_or(kernel, |thread_limit| kernel.with_namespaces(thread_limit)))
}

/// A forkserver that died is noticed here; the next one is asked once more.
fn namespaces() -> Result<HasNamespaces, StartError> {
    match forkserver::current()?.namespaces() {
        Err(StartError::Gone) => forkserver::current()?.namespaces(),
        answer => answer,
    }
}

pub(crate) fn cannot_start(function: &Function, error: &StartError) -> Error {
    Error::launch(function.name, error.to_string(), error.cause())
}

/// Where code of the program is in its executable.
pub(crate) fn offset(function: &Function, server: &Forkserver, address: usize) -> Result<u64, Error> {
    let no_code = || Error::launch(function.name, "the function's code is not in the program", None);
    server.image().offset_of(address).ok_or_else(no_code)
}

/// A forkserver that died is noticed here; the next one is asked once more.
fn start(function: &Function, plan: &Plan, setup: &Setup, fds: &[OwnedFd]) -> Result<Arc<Template>, Error> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let start = || {
        for _ in 0..2 {
            if let Some(template) = Template::start(&forkserver::current()?, plan, setup, &fds)? {
                return Ok(Arc::new(template));
            }
        }
        Err(StartError::NotServing("it died twice".into()))
    };
    start().map_err(|error| cannot_start(function, &error))
}
