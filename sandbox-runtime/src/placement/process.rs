//! A worker process: prepared here, forked by the forkserver, locked and run there, and waited for.

use super::{plan_for, thread};
use crate::call::{Caller, Entry};
use crate::codec::{CodecError, Incoming, Outgoing};
use crate::enforce::Locks;
use crate::error::{Error, Output, Ran};
use crate::forkserver::{self, Forkserver, Worker};
use crate::outcome::{Circumstances, Outcome};
use crate::plan::{Placement, Plan};
use crate::policy::Policy;
use crate::pool;
use crate::registry::Function;
use crate::wire::{Exchange, Job, JobError, Relay, Sending};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::collections::VecDeque;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Runs one call and returns the encoded result.
pub(crate) fn call(
    function: &'static Function,
    policy: &Policy,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Vec<u8>, Error> {
    if super::is_out_of_reach(function)? {
        return nested(function, policy, entry, arguments);
    }
    let plan = plan_for(function, policy, Placement::Process, pool::kernel(function, policy)?)?;
    let locks = Locks::prepare(&plan, function)?;
    let (worker, server) = pool::worker(function, plan.limits)?;
    let prepared = Prepared { function, plan: &plan, locks, worker, server };
    match prepared.run(entry, arguments, None)? {
        Outcome::Returned(answer) => Ok(answer),
        Outcome::Exit(_) => Err(super::bad_data(function, "an exit code for a result".into())),
    }
}

/// `fn main` in a worker: its arguments, stdin and environment are the program's, its end is too.
pub(crate) fn program(function: &'static Function, policy: &Policy, entry: Entry) -> ! {
    // With the program's arguments, so before anything else starts the forkserver.
    let kernel = forkserver::start_for_program().map_err(|error| pool::cannot_start(function, &error));
    let kernel = kernel.and_then(|_| pool::kernel(function, policy));
    let plan = kernel.and_then(|kernel| plan_for(function, policy, Placement::Process, kernel));
    let outcome = plan.and_then(|plan| {
        let locks = Locks::prepare(&plan, function)?;
        let (worker, server) = pool::worker(function, plan.limits)?;
        let stdin = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::launch(function.name, format!("stdin: {error}"), Some(error.into())))?;
        Prepared { function, plan: &plan, locks, worker, server }.run(entry, &Outgoing::new(), Some(stdin))
    });
    match outcome {
        Ok(Outcome::Exit(code)) => std::process::exit(code),
        Ok(Outcome::Returned(_)) => {
            crate::call::refuse_to_start(super::bad_data(function, "a result of `main`".into()))
        }
        Err(error) => match error.signal() {
            Some(signal) => crate::sys::process::die_by(signal),
            None => crate::call::refuse_to_start(error),
        },
    }
}

/// A worker and what it is to be locked with.
struct Prepared<'a> {
    function: &'static Function,
    plan: &'a Plan,
    locks: Locks,
    worker: Worker,
    server: std::sync::Arc<Forkserver>,
}

impl Prepared<'_> {
    fn run(&self, entry: Entry, arguments: &Outgoing<'_>, stdin: Option<OwnedFd>) -> Result<Outcome, Error> {
        let failed = |what: &'static str| {
            move |error: std::io::Error| {
                Error::launch(self.function.name, format!("{what}: {error}"), Some(error.into()))
            }
        };
        let job = self.job(entry, stdin.is_some())?;
        let directory = self.directory().map_err(failed("working directory"))?;
        let (mut relay, stdio) = Relay::new(self.plan.stdio).map_err(failed("stdio"))?;
        let prelude = job.prelude(arguments).map_err(|error| self.unsendable(&error))?;
        // In the order of the fields of `Received`.
        let Locks { ruleset, recipe, .. } = &self.locks;
        let paths = recipe.iter().flat_map(|recipe| &recipe.paths);
        let fds: Vec<BorrowedFd<'_>> =
            (stdin.iter().chain(&stdio).chain(&directory).chain(ruleset).chain(paths))
                .map(AsFd::as_fd)
                .chain(arguments.fds().iter().copied())
                .collect();
        let sending = Sending::new(&prelude, arguments, fds).map_err(|error| self.unsendable(&error))?;
        let transcript = Exchange::new(&self.worker, sending, &mut relay, self.plan.limits.timeout).run();
        if transcript.stuck {
            self.server.give_up();
        } else if transcript.abandoned {
            self.server.forget_if_gone();
        }
        let circumstances = Circumstances {
            function: self.function,
            plan: self.plan,
            relay: &relay,
            is_program: job.program,
        };
        let outcome = circumstances.outcome(transcript)?;
        self.log_captured(&relay);
        Ok(outcome)
    }

    /// What a successful call printed under `stdio = "capture"`; an error carries it.
    fn log_captured(&self, relay: &Relay) {
        let Some(Output { stdout, stderr }) = relay.captured() else { return };
        for (stream, text) in [("stdout", stdout), ("stderr", stderr)] {
            if !text.is_empty() {
                log::debug!("{stream} of `{}`: {}", self.function.name, String::from_utf8_lossy(&text));
            }
        }
    }

    fn job(&self, entry: Entry, program: bool) -> Result<Job, Error> {
        let offset = self.server.image().offset_of(entry as usize);
        let no_code = || Error::launch(self.function.name, "the function's code is not in the program", None);
        Ok(Job {
            function: self.function.name.to_owned(),
            entry: offset.ok_or_else(no_code)?,
            program,
            directory: self.plan.files,
            ruleset: self.locks.ruleset.is_some(),
            recipe: self.locks.recipe.as_ref().map(|recipe| recipe.plan.clone()),
            filter: self.locks.filter.clone(),
            namespaces: self.locks.namespaces.clone(),
            capabilities: self.locks.capabilities.clone(),
            grants_proc: self.plan.grants_proc(),
            limits: self.plan.limits,
            env: self.environment(program),
        })
    }

    fn environment(&self, program: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::env::vars_os()
            .filter(|(name, _)| program || self.plan.env.iter().any(|known| name == known.as_str()))
            .map(|(name, value)| (name.as_bytes().to_owned(), value.into_vec()))
            .collect()
    }

    /// The directory to work in, where files are granted.
    fn directory(&self) -> std::io::Result<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = || rustix::fs::open(".", flags, Mode::empty());
        Ok(if self.plan.files { Some(here()?) } else { None })
    }

    fn unsendable(&self, error: &JobError) -> Error {
        Error::launch(self.function.name, error.to_string(), None)
    }
}

/// A call made inside a sandbox: no worker can be asked for from there, so it runs in a thread that is restricted
/// further. Values are copied as they would be for a worker.
fn nested(
    function: &'static Function,
    policy: &Policy,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Vec<u8>, Error> {
    let bytes: Vec<u8> = arguments.segments().flatten().copied().collect();
    let fds = arguments.fds().iter().map(BorrowedFd::try_clone_to_owned);
    let fds = fds.collect::<std::io::Result<VecDeque<OwnedFd>>>().map_err(|error| {
        Error::launch(function.name, format!("a descriptor of the arguments: {error}"), Some(error.into()))
    })?;
    let mut caller = Nested::default();
    let result = thread::call(function, &policy.without_limits(), || {
        entry(&mut crate::call::Call::new(Incoming::new(&bytes, fds).with_room(u64::MAX), &mut caller))
    })?;
    let at = if caller.begun { Ran::Yes } else { Ran::No };
    result.map_err(|error: CodecError| {
        Error::new(function.name, crate::error::ErrorKind::Encode { what: error.to_string() }, at)
    })?;
    caller.answer.ok_or_else(|| super::bad_data(function, "no result".into()))
}

/// The caller of a nested body: this very process.
#[derive(Default)]
struct Nested {
    begun: bool,
    answer: Option<Vec<u8>>,
}

impl Caller for Nested {
    fn begun(&mut self) {
        self.begun = true;
    }

    fn returned(&mut self, message: &Outgoing<'_>) {
        self.answer = Some(message.segments().flatten().copied().collect());
    }

    fn exit_code(&mut self, _: u8) {}
}
