//! A call in a worker process: prepared here, run there, and waited for.

use super::thread;
use crate::backtrace;
use crate::bytes::result::ResultFile;
use crate::call::{Caller, Entry};
use crate::codec::{CodecError, Incoming, Outgoing};
use crate::error::{Error, ErrorKind, Output, Ran};
use crate::observe::{Watch, here};
use crate::outcome::{Answer, Circumstances, Outcome};
#[cfg(feature = "learn")]
use crate::plan::Placement;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::pool::{self, Lease, NoWorker, Source};
use crate::record::Levels;
use crate::registry::Function;
use crate::wire::{ALIGNED, Buffer, Data, Exchange, Head, Relay, send_fds};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::VecDeque;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Runs one call and returns the encoded result.
pub(crate) fn call(
    function: &'static Function,
    policy: &Policy,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Answer, Error> {
    if super::is_out_of_reach(function)? {
        return nested(function, policy, entry, arguments);
    }
    #[cfg(feature = "learn")]
    if crate::learn::is_on() {
        return crate::learn::mark::unlearned(|| learned(function, policy, entry, arguments));
    }
    // A template that died is noticed here; the next one is asked once more.
    let attempt = || here::quietly(|| attempt(function, policy, entry, arguments));
    match attempt()? {
        Attempt::Over(result) => result,
        Attempt::Gone(_) => match attempt()? {
            Attempt::Over(result) => result,
            Attempt::Gone(_) if function.warm.is_some() => Err(Error::launch(
                function.name,
                "its template has ended: does `warm` end the process?",
                None,
            )),
            Attempt::Gone(error) => Err(error),
        },
    }
}

/// What became of a call.
enum Attempt {
    Over(Result<Answer, Error>),
    /// The template ended before the body began.
    Gone(Error),
}

fn attempt(
    function: &'static Function,
    policy: &Policy,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Attempt, Error> {
    let mut source = pool::source(function, policy)?;
    let watch = source.watch.take();
    let result = attempt_of(function, &source, entry, arguments);
    let Some(watch) = watch else { return result };
    let denials = watch.end();
    result.map(|attempt| match attempt {
        Attempt::Over(Err(error)) => Attempt::Over(Err(error.with_denials(denials))),
        attempt => attempt,
    })
}

/// As [`attempt`], of a worker that is learned from.
#[cfg(feature = "learn")]
fn learned(
    function: &'static Function,
    policy: &Policy,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Answer, Error> {
    let mut lesson = crate::learn::Lesson::begin(function, policy, Placement::Process)?;
    let source = pool::learned(function, policy, lesson.for_worker()?, false)?;
    let result = attempt_of(function, &source, entry, arguments);
    // With it ends the worker, if it did not before.
    drop(source);
    lesson.end();
    match result? {
        Attempt::Over(result) => result,
        Attempt::Gone(error) => Err(error),
    }
}

/// As [`program`], of a worker that is learned from.
#[cfg(feature = "learn")]
fn learned_program(function: &'static Function, policy: &Policy, entry: Entry) -> Result<Outcome, Error> {
    crate::forkserver::start_for_program().map_err(|error| pool::cannot_start(function, &error))?;
    let mut lesson = crate::learn::Lesson::begin(function, policy, Placement::Process)?;
    let source = pool::learned(function, policy, lesson.for_worker()?, true)?;
    let stdin = std::io::stdin();
    let lease = source.template.take(Some(stdin.as_fd())).map_err(|error| no_worker(function, error))?;
    let outcome = Call { function, source: &source, program: true }.run(lease, entry, &Outgoing::new());
    drop(source);
    lesson.end();
    outcome
}

fn attempt_of(
    function: &'static Function,
    source: &Source,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Attempt, Error> {
    let lease = match source.template.take(None) {
        Ok(lease) => lease,
        Err(NoWorker::Gone) => return Ok(Attempt::Gone(no_worker(function, NoWorker::Gone))),
        Err(error) => return Err(no_worker(function, error)),
    };
    Ok(match (Call { function, source, program: false }).run(lease, entry, arguments) {
        Ok(Outcome::Returned(answer)) => Attempt::Over(Ok(answer)),
        Ok(Outcome::Exit(_)) => {
            Attempt::Over(Err(super::bad_data(function, "an exit code for a result".into())))
        }
        Err(error) if matches!((error.kind(), error.ran()), (ErrorKind::Abandoned, Ran::Maybe)) => {
            Attempt::Gone(error)
        }
        Err(error) => Attempt::Over(Err(error)),
    })
}

/// `fn main` in a worker: its arguments, stdin and environment are the program's, its end is too.
pub(crate) fn program(function: &'static Function, policy: &Policy, entry: Entry) -> ! {
    let run = || {
        #[cfg(feature = "learn")]
        if crate::learn::is_on() {
            return learned_program(function, policy, entry);
        }
        let mut source = pool::source_of_program(function, policy)?;
        let watch = source.watch.take();
        let stdin = std::io::stdin();
        let lease = source.template.take(Some(stdin.as_fd())).map_err(|error| no_worker(function, error))?;
        let outcome = Call { function, source: &source, program: true }.run(lease, entry, &Outgoing::new());
        watch.map(Watch::end);
        outcome
    };
    match run() {
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

fn no_worker(function: &Function, error: NoWorker) -> Error {
    match error {
        NoWorker::Gone => Error::launch(function.name, "its template has ended", None),
        NoWorker::Busy { max, waited } => Error::new(function.name, ErrorKind::Busy { max, waited }, Ran::No),
        NoWorker::Start(error) => pool::cannot_start(function, &error),
    }
}

struct Call<'a> {
    function: &'static Function,
    source: &'a Source,
    program: bool,
}

impl Call<'_> {
    fn run(&self, mut lease: Lease, entry: Entry, arguments: &Outgoing<'_>) -> Result<Outcome, Error> {
        let Source { plan, ruleset, .. } = self.source;
        let directory = self.source.directory(self.function)?;
        let template = &*self.source.template;
        let result = if arguments.wants_file() { template.result_file() } else { None };
        let fds: Vec<BorrowedFd<'_>> = (directory.iter().chain(ruleset).map(AsFd::as_fd))
            .chain(arguments.fds().iter().copied())
            .chain(result.iter().map(AsFd::as_fd))
            .collect();
        let env = self.environment(plan)?;
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let head = Head {
            entry: pool::offset(self.function, self.source.template.server(), entry as usize)?,
            env: env.len() as u64,
            arguments: arguments.len() as u64,
            fds: fds.len() as u32,
            flags: Levels::ours().to_bits() << Head::LEVELS
                | flag(backtrace::is_wanted(), Head::BACKTRACE)
                | flag(directory.is_some(), Head::DIRECTORY)
                | flag(ruleset.is_some(), Head::RULESET)
                | flag(result.is_some(), Head::RESULT)
                | flag(lease.is_last(), Head::LAST),
        };
        let Some((ends, slot)) = lease.parts() else { return Err(self.launch("the worker was settled")) };
        send_fds(ends.job.as_fd(), &fds).map_err(|error| self.launch(error.to_string()))?;
        let mut parts = [&env[..]].into_iter().chain(arguments.segments());
        let data = Data::new(&mut parts);
        let exchange = Exchange::new(ends, slot, data, plan.limits.timeout, self.function.name);
        let transcript = exchange.run(head, || {
            if result.is_some() {
                template.stock_result_file();
            }
        });
        let server = self.source.template.server();
        if transcript.stuck {
            server.give_up();
        } else if transcript.abandoned {
            server.forget_if_gone();
        }
        let fate = transcript.fate();
        let relay = &ends.relay;
        self.log_captured(relay);
        let circumstances = Circumstances { function: self.function, plan, relay, is_program: self.program };
        let mut outcome = circumstances.outcome(transcript);
        lease.note_given(arguments.in_files() + result.as_ref().map_or(0, ResultFile::most_memory));
        lease.settle(fate);
        if let Ok(Outcome::Returned(answer)) = &mut outcome {
            answer.result = result;
        }
        outcome
    }

    fn launch(&self, what: impl Into<String>) -> Error {
        Error::launch(self.function.name, what, None)
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

    /// The variables to pass, encoded; nothing if there are none.
    fn environment(&self, plan: &Plan) -> Result<Vec<u8>, Error> {
        if !self.program && plan.env.is_empty() {
            return Ok(Vec::new());
        }
        let passes =
            |name: &std::ffi::OsStr| self.program || plan.env.iter().any(|known| name == known.as_str());
        let variables: Vec<(Vec<u8>, Vec<u8>)> = std::env::vars_os()
            .filter(|(name, _)| passes(name))
            .map(|(name, value)| (name.as_bytes().to_owned(), value.into_vec()))
            .collect();
        let encoded = postcard::to_allocvec(&variables);
        let mut encoded = encoded.map_err(|error| self.launch(format!("environment: {error}")))?;
        // What is behind the last variable is not looked at; the arguments follow.
        encoded.resize(encoded.len().next_multiple_of(ALIGNED), 0);
        Ok(encoded)
    }
}

/// A call made inside a sandbox: no worker can be asked for from there, so it runs in a thread that is restricted
/// further. Values are copied as they would be for a worker.
fn nested(
    function: &'static Function,
    policy: &Policy,
    entry: Entry,
    arguments: &Outgoing<'_>,
) -> Result<Answer, Error> {
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
    answer: Option<Answer>,
}

impl Caller for Nested {
    fn begun(&mut self) {
        self.begun = true;
    }

    /// That is the outer call's.
    fn has_result_file(&self) -> bool {
        false
    }

    fn returned(&mut self, message: &Outgoing<'_>) {
        let mut stream = Buffer::default();
        message.segments().for_each(|segment| stream.extend_from_slice(segment));
        self.answer = Some(Answer { stream, ..Answer::default() });
    }

    fn exit_code(&mut self, _: u8) {}
}
