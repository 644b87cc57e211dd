//! The caller's own process, restricted for good.

use super::{plan_for, thread};
use crate::enforce::{Enforced, Locks};
use crate::error::Error;
use crate::forkserver;
use crate::plan::{Placement, Plan};
use crate::policy::{Policy, ThreadSync};
use crate::pool::cannot_start;
use crate::registry::{Function, functions};
use crate::sys;

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
    let plan = plan_for(function, policy, Placement::InPlace, crate::kernel())?;
    let locks = Locks::prepare(&plan, function)?;
    let refused = |what: &str| Error::launch(function.name, what, None);
    thread::while_none_lives(|| {
        let threads = check_threads(function, &plan)?;
        let has_workers = !forkserver::is_out_of_reach() && needs_forkserver();
        if has_workers {
            // A worker must be as restricted as this program is going to be, and afterwards the forkserver
            // could not be started any more.
            forkserver::restrict_first(&locks).map_err(|error| cannot_start(function, &error))?;
        }
        let enforced = match threads {
            1 => locks.close(),
            _ if plan.has_tsync() => locks.close_all_threads(),
            _ => locks.close_each_thread(),
        };
        if has_workers && enforced.is_err() {
            forkserver::not_restricted();
        }
        let enforced = enforced.map_err(|error| error.of(function.name))?;
        if has_workers {
            forkserver::restricted().map_err(|error| cannot_start(function, &error))?;
        }
        Ok(enforced)
    })
    .ok_or_else(|| refused("sandboxed threads live, and restricting all threads would loosen theirs"))?
}

/// How many threads there are, if they can all be restricted.
fn check_threads(function: &Function, plan: &Plan) -> Result<u64, Error> {
    let refused = |what: String| Error::launch(function.name, what, None);
    let threads = sys::process::threads();
    let threads = threads.ok_or_else(|| refused("threads cannot be counted: is /proc mounted?".into()))?;
    if threads > 1 && !plan.has_tsync() && plan.thread_sync == ThreadSync::Kernel {
        return Err(refused(format!(
            "this process has {threads} threads, and restricting them all needs Landlock ABI {TSYNC}, but this \
             kernel has {}; restrict it while it has one thread, as an attribute on `main` does, or write \
             `thread_sync = \"signal\"`",
            plan.kernel.abi
        )));
    }
    Ok(threads)
}

fn needs_forkserver() -> bool {
    functions().any(|function| function.placement == Placement::Process)
}
