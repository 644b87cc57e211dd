//! Where workers come from: for now a fresh one for each call, forked when it is asked for.

use crate::error::Error;
use crate::forkserver::{self, Forkserver, HasNamespaces, StartError, Worker};
use crate::plan::{Kernel, Limits};
use crate::policy::Policy;
use crate::registry::Function;
use std::sync::Arc;

/// What the kernel has for workers: what it has for this process, but where something between hides it (valgrind
/// does not know the system calls), what the forkserver sees.
pub(crate) fn kernel(function: &Function, policy: &Policy) -> Result<Kernel, Error> {
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

/// As for [`take`].
fn namespaces() -> Result<HasNamespaces, StartError> {
    match forkserver::current()?.namespaces() {
        Err(StartError::Gone) => forkserver::current()?.namespaces(),
        answer => answer,
    }
}

/// A worker that waits for its job, and the forkserver that it came from.
pub(crate) fn worker(function: &Function, limits: Limits) -> Result<(Worker, Arc<Forkserver>), Error> {
    take(limits).map_err(|error| cannot_start(function, &error))
}

/// A forkserver that died is noticed here; the next one is asked once more.
fn take(limits: Limits) -> Result<(Worker, Arc<Forkserver>), StartError> {
    for _ in 0..2 {
        let server = forkserver::current()?;
        if let Some(worker) = server.fork(limits)? {
            return Ok((worker, server));
        }
    }
    Err(StartError::NotServing("it died twice".into()))
}

pub(crate) fn cannot_start(function: &Function, error: &StartError) -> Error {
    Error::launch(function.name, error.to_string(), error.cause())
}
