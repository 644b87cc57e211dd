//! Where a body runs: a worker process, a thread, or the caller's process itself.

pub(crate) mod in_place;
pub(crate) mod process;
pub(crate) mod thread;

use crate::codec::CodecError;
use crate::error::{Error, ErrorKind, Ran};
use crate::plan::{Kernel, Lost, Placement, Plan, plan};
use crate::policy::Policy;
use crate::registry::Function;
use crate::{forkserver, pool};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The plan of a call. What is lost is reported.
pub(crate) fn plan_for(
    function: &'static Function,
    policy: &Policy,
    placement: Placement,
    kernel: Kernel,
) -> Result<Plan, Error> {
    #[cfg(not(feature = "learn"))]
    say_that_nothing_is_learned();
    let plan = plan(policy, placement, kernel)
        .map_err(|why| Error::new(function.name, ErrorKind::Unenforceable(why), Ran::No))?;
    report_lost(function, &plan);
    Ok(plan)
}

/// Once, to who asks for it of a build that cannot.
#[cfg(not(feature = "learn"))]
fn say_that_nothing_is_learned() {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        let is_asked = std::env::var_os("SANDBOXED_LEARN").is_some_and(|file| !file.is_empty());
        if is_asked && !crate::sys::startup::is_secure_execution() {
            eprintln!(
                "sandboxed: SANDBOXED_LEARN is set, and has no effect: this was built without the feature `learn`"
            );
        }
    });
}

/// Whether the calling thread is in a sandbox from where no worker can be asked for.
fn is_out_of_reach(function: &Function) -> Result<bool, Error> {
    forkserver::is_out_of_reach().map_err(|error| pool::cannot_start(function, &error.into()))
}

/// Once per function.
fn report_lost(function: &'static Function, plan: &Plan) {
    static REPORTED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
    if plan.lost.is_empty() || !log::log_enabled!(log::Level::Warn) {
        return;
    }
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if reported.insert(std::ptr::from_ref(function) as usize) {
        let (name, placement) = (function.name, plan.placement);
        log::warn!(
            "sandbox of `{name}` in `{placement}` does not hold: {}",
            lost_by_need(&plan.lost).join("; ")
        );
    }
}

/// What is lost, said once for each thing that it would need.
fn lost_by_need(lost: &[Lost]) -> Vec<String> {
    let needs: BTreeSet<String> = lost.iter().map(Lost::needs).collect();
    let of = |need: &String| {
        let promises = lost.iter().filter(|lost| lost.needs() == *need).map(|lost| lost.promise.to_string());
        format!("{} ({need})", promises.collect::<Vec<_>>().join(", "))
    };
    needs.iter().map(of).collect()
}

pub(crate) fn cannot_encode(function: &Function, error: &CodecError) -> Error {
    Error::new(function.name, ErrorKind::Encode { what: error.to_string() }, Ran::No)
}

pub(crate) fn bad_data(function: &Function, what: String) -> Error {
    Error::new(function.name, ErrorKind::BadData { what }, Ran::Yes)
}
