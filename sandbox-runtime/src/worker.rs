//! In a worker, from the fork to the end: reads the job, locks itself, decodes, calls, catches, encodes, exits.

use crate::call::{Call, Caller, Entry};
use crate::codec::{Incoming, Outgoing};
use crate::enforce::{Enforced, LockError};
use crate::error::Cause;
use crate::forkserver::HasNamespaces;
use crate::limit;
use crate::sys::image::Image;
use crate::sys::{self, process};
use crate::wire::{self, Job, Kind, Received};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid, Signal};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::io::{self, IoSlice, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

/// Where a worker replies; the numbers below are its stdio.
const REPLY: i32 = 3;
/// Where it reads its job, until it has.
const JOB: i32 = 4;
/// What a program whose `main` panicked exits with.
pub(crate) const PANICKED: i32 = 101;

/// Why a body did not begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) cause: Option<Cause>,
}

impl Refusal {
    fn new(what: &str) -> impl FnOnce(io::Error) -> Refusal {
        move |error| Refusal { what: format!("{what}: {error}"), cause: Some(error.into()) }
    }
}

/// A panic as it crosses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PanicNote {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
}

/// The life of a worker, in the process that was just forked by `parent`.
pub(crate) fn run(channels: [OwnedFd; 2], parent: Pid) -> ! {
    let Ok([job, reply]) = detach(&channels, parent) else { process::exit_now(1) };
    // Open as long as the process: the panic hook finds it too, without another descriptor.
    let reply: &'static OwnedFd = Box::leak(Box::new(reply));
    let received = Received::from_channel(job.as_fd());
    drop(job);
    let refusal = match received.map_err(|error| Refusal { what: error.to_string(), cause: None }) {
        Ok(received) => match settle_in(received, parent) {
            Ok(ready) => ready.run(reply.as_fd()),
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    refuse(reply.as_fd(), &refusal)
}

/// The life of a child that tries whether namespaces can be had.
pub(crate) fn probe(answer: OwnedFd, parent: Pid) -> ! {
    // As a worker: in its own session, with nothing of the forkserver's, and ended with it. It has no job to read.
    let Ok(channels) = answer.try_clone().map(|spare| [spare, answer]) else { process::exit_now(1) };
    let Ok([_spare, answer]) = detach(&channels, parent) else { process::exit_now(1) };
    crate::enforce::probe_namespaces(|result| {
        let result: HasNamespaces = result.map_err(|error| error.to_string());
        // A host that is gone needs no answer, and a pipe takes so much at once.
        let bytes = postcard::to_allocvec(&result).unwrap_or_default();
        rustix::io::write(answer, &bytes).map(drop).unwrap_or_default();
    })
}

/// Keeps the channels and nothing else of the forkserver's.
fn detach([job, reply]: &[OwnedFd; 2], parent: Pid) -> io::Result<[OwnedFd; 2]> {
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // A forkserver that died before the line above sends no signal.
    if rustix::process::getppid() != Some(parent) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Their dispositions are those of the forkserver, which has reset them. Timers did not come along.
    process::unblock_signals();
    // Above both numbers first, so that neither assignment closes the other.
    let job = fcntl_dupfd_cloexec(job, JOB + 1)?;
    process::dup_to(reply.as_fd(), REPLY)?;
    process::dup_to(job.as_fd(), JOB)?;
    std::mem::forget(job);
    process::close_from(JOB + 1)?;
    let channels = [process::take_fd(JOB)?, process::take_fd(REPLY)?];
    channels.iter().try_for_each(|channel| rustix::io::fcntl_setfd(channel, FdFlags::CLOEXEC))?;
    Ok(channels)
}

/// A locked worker with its job.
struct Ready {
    enforced: Enforced,
    entry: Entry,
    arguments: Vec<u8>,
    fds: std::collections::VecDeque<OwnedFd>,
    program: bool,
}

/// Everything between reading the job and running the body.
fn settle_in(received: Received, forkserver: Pid) -> Result<Ready, Refusal> {
    let Received { job, arguments, stdio, directory, mut locks, fds } = received;
    take_stdio(&job, stdio).map_err(Refusal::new("stdio"))?;
    match directory {
        Some(directory) => rustix::process::fchdir(directory),
        None => rustix::process::chdir("/"),
    }
    .map_err(|errno| Refusal::new("working directory")(errno.into()))?;
    process::set_environment(&environment(&job)).map_err(Refusal::new("environment"))?;
    let entry = Image::ours().and_then(|image| image.function_at::<Entry>(job.entry));
    let entry = entry.ok_or_else(|| Refusal { what: "no function at that offset".into(), cause: None })?;
    let name = job.function.rsplit("::").next().unwrap_or_default();
    // For `ps` alone.
    drop(CString::new(name).map(|name| rustix::thread::set_name(&name)));
    if !job.program {
        std::panic::set_hook(Box::new(note_panic));
    }
    let refused = |error: LockError| {
        let cause = error.cause.clone();
        Refusal { what: cause.as_ref().map_or(error.to_string(), |cause| format!("{error}: {cause}")), cause }
    };
    locks.make_ruleset().map_err(refused)?;
    // Ahead of what hides it: who is not dumpable may not say who is who in a namespace.
    locks.enter_namespaces().map_err(refused)?;
    hide(&job).map_err(Refusal::new("sigaction, prctl"))?;
    // Behind the ruleset, which takes a descriptor, and before the filter, which need not let it pass.
    limit::apply(&job.limits, &fds).map_err(Refusal::new("setrlimit"))?;
    let enforced = locks.close_worker(forkserver).map_err(refused)?;
    Ok(Ready { enforced, entry, arguments, fds, program: job.program })
}

fn take_stdio(job: &Job, stdio: Vec<OwnedFd>) -> io::Result<()> {
    if !job.program {
        process::dup_to(nothing_to_read()?.as_fd(), 0)?;
    }
    let first = if job.program { 0 } else { 1 };
    (first..).zip(&stdio).try_for_each(|(number, fd)| process::dup_to(fd.as_fd(), number))
}

/// A function's stdin. The forkserver's own is one open file for all workers, whose flags and locks would reach
/// from one call into the next. After `in_place` /dev/null may be out of reach: then a pipe that nobody writes to.
fn nothing_to_read() -> io::Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(null.or_else(|_| rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map(|(read, _)| read))?)
}

fn environment(job: &Job) -> Vec<(CString, CString)> {
    let variables = job.env.iter().cloned();
    variables
        .filter_map(|(name, value)| Some((CString::new(name).ok()?, CString::new(value).ok()?)))
        .collect()
}

/// No stranger looks into it, nor does a program that the kernel hands core dumps to. What is not dumpable belongs to root
/// in `/proc`, and so could not look at itself there.
fn hide(job: &Job) -> io::Result<()> {
    if !job.grants_proc {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    if !job.directory {
        sys::seccomp::answer_fstat()?;
    }
    Ok(())
}

impl Ready {
    /// Runs the body and ends.
    fn run(self, channel: BorrowedFd<'static>) -> ! {
        let mut caller = Channel { to: channel, begun: false };
        CHANNEL_OF_HOOK.set(Some(channel));
        // The host is trusted, and the memory is limited otherwise.
        let input = Incoming::new(&self.arguments, self.fds).with_room(u64::MAX);
        let result = execute(&self.enforced, self.entry, input, &mut caller);
        let code = match result {
            Ok(Ok(())) => 0,
            Ok(Err(error)) if caller.begun => {
                send(channel, Kind::Unsendable, &[error.to_string().as_bytes()]);
                1
            }
            Ok(Err(error)) => {
                refuse(channel, &Refusal { what: format!("the arguments: {error}"), cause: None })
            }
            Err(payload) => {
                panicked(channel, payload, self.program);
                PANICKED
            }
        };
        process::exit_now(code)
    }
}

/// Calls the entry. The token is what makes it impossible to come here unlocked.
pub(crate) fn execute(
    _enforced: &Enforced,
    entry: Entry,
    input: Incoming<'_>,
    caller: &mut dyn Caller,
) -> std::thread::Result<Result<(), crate::codec::CodecError>> {
    // A panic must not unwind into the forkserver's code. Nothing of what it leaves broken is used again.
    catch_unwind(AssertUnwindSafe(|| entry(&mut Call::new(input, caller))))
}

/// The caller of a worker's body: the host, over the channel.
struct Channel<'a> {
    to: BorrowedFd<'a>,
    begun: bool,
}

impl Caller for Channel<'_> {
    fn begun(&mut self) {
        self.begun = true;
        send(self.to, Kind::Begun, &[]);
    }

    fn returned(&mut self, message: &Outgoing<'_>) {
        flush();
        let segments: Vec<&[u8]> = message.segments().collect();
        send(self.to, Kind::Returned, &segments);
    }

    fn exit_code(&mut self, code: u8) {
        flush();
        send(self.to, Kind::ExitCode, &[&[code]]);
    }
}

/// What the body printed goes out before the result does. Where it cannot, nobody is left to be told.
fn flush() {
    drop(io::stdout().flush());
    process::flush_c_stdio();
}

fn refuse(channel: BorrowedFd<'_>, refusal: &Refusal) -> ! {
    send(channel, Kind::Refused, &[&postcard::to_allocvec(refusal).unwrap_or_default()]);
    process::exit_now(1)
}

/// Sends a frame; a host that is gone needs no worker.
fn send(channel: BorrowedFd<'_>, kind: Kind, payload: &[&[u8]]) {
    let header = wire::header(kind, payload.iter().map(|part| part.len()).sum());
    let mut parts: Vec<IoSlice<'_>> =
        [&header[..]].into_iter().chain(payload.iter().copied()).map(IoSlice::new).collect();
    let mut parts = &mut parts[..];
    while !parts.is_empty() {
        let some = parts.len().min(64);
        match rustix::io::writev(channel, &parts[..some]) {
            Ok(sent) => IoSlice::advance_slices(&mut parts, sent),
            Err(Errno::INTR) => {}
            Err(_) => process::exit_now(1),
        }
    }
}

thread_local! {
    /// Set in the thread of the body alone.
    static CHANNEL_OF_HOOK: Cell<Option<BorrowedFd<'static>>> = const { Cell::new(None) };
    static LAST_LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The panic hook of a worker: tells the host, which must know even if the panic aborts. Other threads of a body
/// panic in their own way, on stderr.
fn note_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let message = message_of(info.payload());
    match CHANNEL_OF_HOOK.try_with(Cell::get) {
        Ok(Some(channel)) => {
            send_note(channel, &PanicNote { message, location: location.clone() });
            LAST_LOCATION.set(location);
        }
        _ => eprintln!("thread panicked at {}: {message}", location.as_deref().unwrap_or("an unknown place")),
    }
}

/// The body panicked, all the way up. Its own hook may have replaced ours, so the message is told again.
fn panicked(channel: BorrowedFd<'_>, payload: Box<dyn Any + Send>, program: bool) {
    flush();
    if !program {
        send_note(channel, &PanicNote { message: message_of(&*payload), location: LAST_LOCATION.take() });
    }
    // Dropping it runs code of the body's, which may panic again.
    std::mem::forget(payload);
}

fn send_note(channel: BorrowedFd<'_>, note: &PanicNote) {
    let mut note = note.clone();
    let longest = wire::NOTE_LIMIT / 2;
    let cut = (0..=note.message.len().min(longest)).rev().find(|end| note.message.is_char_boundary(*end));
    note.message.truncate(cut.unwrap_or(0));
    send(channel, Kind::Panicked, &[&postcard::to_allocvec(&note).unwrap_or_default()]);
}

/// The message of a panic, as the standard library finds it.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "Box<dyn Any>".to_owned())
}
