//! A new thread that restricts itself. It shares all memory with the others: it contains mistakes, not an
//! attacker who controls memory.

use super::plan_for;
use crate::enforce::{Enforced, LockError};
use crate::error::{Error, ErrorKind, Ran};
use crate::observe::{Watch, here};
use crate::plan::Placement;
use crate::policy::Policy;
use crate::registry::Function;
use crate::worker::message_of;
use rustix::fd::AsFd;
use std::sync::{RwLock, TryLockError};

/// Read-locked while a sandboxed thread lives. `in_place` only ever tries to write-lock it, so that readers
/// never wait: Landlock's TSYNC would replace the domains of such threads by a weaker one.
static LIVE: RwLock<()> = RwLock::new(());

/// Runs `body` in a new, restricted thread and waits for it.
pub(crate) fn call<R: Send>(
    function: &'static Function,
    policy: &Policy,
    body: impl FnOnce() -> R + Send,
) -> Result<R, Error> {
    #[cfg(feature = "learn")]
    if crate::learn::mark::is_here() || crate::learn::is_on() {
        return crate::learn::thread(function, policy, body);
    }
    let plan = plan_for(function, policy, Placement::Thread, crate::kernel())?;
    let mut locks = crate::enforce::Locks::prepare(&plan, function)?;
    // In a sandbox that is observed it is so already, as a part of that.
    let is_seen = here::is_observed();
    let ruleset = locks.ruleset.as_ref().map(AsFd::as_fd);
    let mut watch = if is_seen { None } else { Watch::begin(function, (&plan, policy), ruleset, false) };
    if is_seen || watch.is_some() {
        locks.report(&plan);
    }
    let _alive = LIVE.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let joined = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(function.name.to_owned());
        let thread = thread.spawn_scoped(scope, || {
            if let Some(watch) = &mut watch {
                watch.attach_thread().tell_by(&mut locks);
            }
            locks.close().map(|enforced| run(&enforced, body))
        });
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    let joined = joined.map_err(|error| {
        Error::launch(function.name, format!("a thread cannot be started: {error}"), Some(error.into()))
    })?;
    let denials = watch.map(Watch::end);
    let failed = |failure| match failure {
        Failure::NotLocked(error) => error.of(function.name),
        Failure::Panicked(message) => {
            let kind = ErrorKind::Panicked { message, location: None, backtrace: None };
            Error::new(function.name, kind, Ran::Yes)
        }
    };
    finished(joined).map_err(|failure| failed(failure).with_denials(denials.unwrap_or_default()))
}

enum Failure {
    NotLocked(LockError),
    Panicked(String),
}

fn finished<R>(joined: std::thread::Result<Result<R, LockError>>) -> Result<R, Failure> {
    match joined {
        Ok(result) => result.map_err(Failure::NotLocked),
        Err(payload) => {
            let message = message_of(&*payload);
            // Dropping it runs code of the body's, which is to run in its sandbox alone.
            std::mem::forget(payload);
            Err(Failure::Panicked(message))
        }
    }
}

/// The token is what makes it impossible to come here unlocked.
pub(crate) fn run<R>(_enforced: &Enforced, body: impl FnOnce() -> R) -> R {
    body()
}

/// Runs `restrict` while no sandboxed thread lives or begins; `None` if one does.
pub(super) fn while_none_lives<R>(restrict: impl FnOnce() -> R) -> Option<R> {
    match LIVE.try_write() {
        Ok(_alone) => Some(restrict()),
        Err(TryLockError::Poisoned(_alone)) => Some(restrict()),
        Err(TryLockError::WouldBlock) => None,
    }
}
