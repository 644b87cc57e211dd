//! The caller's own process, restricted for good.

use super::{is_out_of_reach, plan_for, thread};
use crate::enforce::mark::is_inside;
use crate::enforce::{Enforced, Locks};
use crate::error::Error;
use crate::forkserver;
use crate::observe::{Watch, here};
use crate::plan::{Placement, Plan};
use crate::policy::{Policy, ThreadSync};
use crate::pool::cannot_start;
use crate::registry::{Function, functions};
use crate::sys;
use rustix::fd::AsFd;
use std::io;
use std::time::Duration;

/// The ABI that restricts all threads at once.
const TSYNC: u32 = 8;

impl Plan {
    /// Whether the kernel can restrict all threads at once; seccomp always can.
    fn has_tsync(&self) -> bool {
        self.kernel.abi >= TSYNC || self.ruleset.is_none()
    }
}

/// Restricts every thread of this process.
pub(crate) fn enforce(function: &'static Function, policy: &Policy) -> Result<Enforced, Error> {
    #[cfg(feature = "learn")]
    if crate::learn::mark::is_here() || crate::learn::is_on() {
        return learn(function, policy);
    }
    let plan = plan_for(function, policy, Placement::InPlace, crate::kernel())?;
    let mut locks = Locks::prepare(&plan, function)?;
    let refused = |what: &str| Error::launch(function.name, what, None);
    thread::while_none_lives(|| {
        let threads = check_threads(function, &plan)?;
        // A worker must be as restricted as this program is going to be, and afterwards the forkserver could not
        // be started any more.
        let has_workers = needs_forkserver() && !is_out_of_reach(function)?;
        observe(function, (&plan, policy), &mut locks);
        if !has_workers {
            // One that the observer came from is free, and must not serve who is not.
            forkserver::forget();
        }
        let server = has_workers.then(|| forkserver::restrict_first(&locks)).transpose();
        let server = server.map_err(|error| cannot_start(function, &error))?;
        if server.is_some() {
            crate::pool::forget();
        }
        let enforced = match threads {
            1 => locks.close_one_thread(),
            _ if plan.has_tsync() => locks.close_all_threads(),
            _ => locks.close_each_thread(),
        };
        if let (Some(server), Err(_)) = (&server, &enforced) {
            forkserver::not_restricted(server);
        }
        let enforced = enforced.map_err(|error| error.of(function.name))?;
        if let Some(server) = server {
            here::quietly(|| forkserver::restricted(&server)).map_err(|error| cannot_start(function, &error))?;
        }
        Ok(enforced)
    })
    .ok_or_else(|| refused("sandboxed threads live, whose restrictions this would loosen, or another thread does the same now"))?
}

/// As [`enforce`], but that nothing is refused.
#[cfg(feature = "learn")]
fn learn(function: &'static Function, policy: &Policy) -> Result<Enforced, Error> {
    use crate::learn::{Lesson, locks, mark, nested_in_place};
    if mark::is_here() {
        return nested_in_place(function);
    }
    // It came before the observer, and serves on: there is no restriction to take on.
    let server = forkserver::current().map_err(|error| cannot_start(function, &error))?;
    Lesson::begin(function, policy, Placement::InPlace)?.attach_process()?;
    let enforced = locks(Placement::InPlace).close_all_threads().map_err(|error| error.of(function.name))?;
    forkserver::restricted(&server).map_err(|error| cannot_start(function, &error))?;
    mark::begin(mark::OBSERVED);
    Ok(enforced)
}

/// Has an observer look on from now on, where one is asked for.
fn observe(function: &'static Function, (plan, policy): (&Plan, &Policy), locks: &mut Locks) {
    let ruleset = locks.ruleset.as_ref().map(AsFd::as_fd);
    if let Some(watch) = Watch::begin(function, (plan, policy), ruleset, true) {
        locks.report(plan);
        watch.attach_process().tell_by(locks);
    }
}

/// How many threads there are, if they can all be restricted.
fn check_threads(function: &Function, plan: &Plan) -> Result<u64, Error> {
    let refused = |what: String| Error::launch(function.name, what, None);
    let must_be_alone = !plan.has_tsync() && plan.thread_sync == ThreadSync::Kernel;
    let threads = if must_be_alone { settled_threads() } else { sys::process::threads() };
    let threads = threads.ok_or_else(|| refused("threads cannot be counted: is /proc mounted?".into()))?;
    if threads > 1 && must_be_alone {
        return Err(refused(format!(
            "this process has {threads} threads, and restricting them all needs Landlock ABI {TSYNC}, but this \
             kernel has {}; restrict it while it has one thread, as an attribute on `main` does, or write \
             `thread_sync = \"signal\"`",
            plan.kernel.abi
        )));
    }
    if threads > 1
        && let Some(thread) =
            ring_thread(plan).map_err(|error| refused(format!("/proc/self/task: {error}")))?
    {
        return Err(refused(format!(
            "`{thread}` is a thread of the kernel's that works for an io_uring, which no way of restricting threads \
             reaches; close the ring first"
        )));
    }
    Ok(threads)
}

/// A thread that opens files for an io_uring. With `IORING_SETUP_SQPOLL` it takes requests from memory, past any filter,
/// and acts as the process could when the ring was made: TSYNC changes the thread, not that (measured on 7.0 to 7.3).
/// Others serve system calls that the filter refuses from now on, but no signal reaches them.
fn ring_thread(plan: &Plan) -> io::Result<Option<String>> {
    let kind = if plan.has_tsync() { "iou-sqp-" } else { "iou-" };
    let threads = match std::fs::read_dir("/proc/self/task") {
        // In a sandbox of ours no ring can be made, and those from before were looked for.
        Err(_) if is_inside_any() => return Ok(None),
        threads => threads?,
    };
    // One that has ended meanwhile has no name.
    let mut names =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    Ok(names.find(|name| name.starts_with(kind)).map(|name| name.trim_end().to_owned()))
}

fn is_inside_any() -> bool {
    let placements = [Placement::Process, Placement::Thread, Placement::InPlace];
    placements.into_iter().any(|placement| is_inside(placement) == Ok(true))
}

/// How many threads there are. One that was joined is counted a moment longer: the kernel tells those who wait for it
/// before it lets go of it.
fn settled_threads() -> Option<u64> {
    const MOMENTS: u32 = 50;
    for _ in 0..MOMENTS {
        match sys::process::threads() {
            Some(2..) => std::thread::sleep(Duration::from_millis(1)),
            alone_or_unknown => return alone_or_unknown,
        }
    }
    sys::process::threads()
}

fn needs_forkserver() -> bool {
    functions().any(|function| function.placement == Placement::Process)
}
