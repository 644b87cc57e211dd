//! The caller's own process, restricted for good.

use super::{plan_for, thread};
use crate::enforce::{Enforced, Locks};
use crate::error::Error;
use crate::forkserver;
use crate::plan::{Placement, Plan};
use crate::policy::Policy;
use crate::pool::cannot_start;
use crate::registry::{Function, functions};
use crate::sys;

/// The ABI that restricts all threads at once.
const TSYNC: u32 = 8;

/// Restricts every thread of this process.
pub(crate) fn enforce(function: &'static Function, policy: &Policy) -> Result<Enforced, Error> {
    let plan = plan_for(function, policy, Placement::InPlace)?;
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
        let enforced = if threads == 1 { locks.close() } else { locks.close_all_threads() };
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
    let can = plan.kernel.abi >= TSYNC || plan.ruleset.is_none();
    if threads > 1 && !can {
        return Err(refused(format!(
            "this process has {threads} threads, and restricting them all needs Landlock ABI {TSYNC}, but this \
             kernel has {}; restrict it while it has one thread, as an attribute on `main` does",
            plan.kernel.abi
        )));
    }
    Ok(threads)
}

fn needs_forkserver() -> bool {
    functions().any(|function| function.placement == Placement::Process)
}
