//! In a template and its workers, from the fork to the end: locks itself, waits for a call, decodes, calls, catches,
//! encodes, and exits or waits again.

mod events;
mod reply;

pub use reply::{forge_reply, reply_memory};

use crate::backtrace::{self, Offset};
use crate::bytes::result;
use crate::call::{Call, Caller, Entry};
use crate::codec::{CodecError, Incoming, Outgoing};
use crate::enforce::{Enforced, LockError, Locks, Recipe, WorkerPins};
use crate::error::Cause;
use crate::forkserver::HasNamespaces;
use crate::limit::{self, OpenFiles};
use crate::observe;
use crate::observe::link::{Attached, Link, Wanted};
use crate::observe::report::Reader;
use crate::plan::Limits;
use crate::record::{Levels, cut};
use crate::sys::image::Image;
use crate::sys::{self, process};
use crate::wire::{self, Files, Head, Kind, Requests, Setup};
use reply::{ring, send};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid, Signal};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a worker rings for its host; the numbers below are its stdio.
const BELL: i32 = 3;
/// Where descriptors come: until the last call has, if it is known to be the last.
const JOB: i32 = 4;
/// What a program whose `main` panicked exits with.
pub(crate) const PANICKED: i32 = 101;
/// Whether the host wants to know the frames of a panic.
static WANTS_BACKTRACE: AtomicBool = AtomicBool::new(false);

/// Why a body did not begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    pub(crate) cause: Option<Cause>,
}

impl Refusal {
    fn of(what: &str) -> Refusal {
        Refusal { what: what.into(), cause: None }
    }

    fn new(what: &str) -> impl FnOnce(io::Error) -> Refusal {
        move |error| Refusal { what: format!("{what}: {error}"), cause: Some(error.into()) }
    }
}

/// A panic as it crosses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PanicNote {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) frames: Vec<Offset>,
}

/// What a template hands to every worker that it forks.
pub(crate) struct Prepared {
    setup: Setup,
    forkserver: Pid,
    directory: Option<OwnedFd>,
    /// What is left to lock; or what every call is told instead.
    locks: Result<Locks, Refusal>,
    /// Of that, what binds workers of this template.
    pins: Option<WorkerPins>,
    /// What leads to the observer of the worker, if there is one.
    observer: Option<Observer>,
}

/// The link to it, and what it reports.
struct Observer {
    link: Link,
    /// For a test.
    report: Option<OwnedFd>,
}

/// What leads to one worker after the other.
pub(crate) struct Openings {
    pub(crate) files: Files,
    pub(crate) bell: OwnedFd,
    pub(crate) job: OwnedFd,
    pub(crate) stdio: Vec<OwnedFd>,
}

impl Prepared {
    /// Locks the template as far as its workers have it in common. The descriptors are those of the setup.
    pub(crate) fn new(setup: Setup, fds: VecDeque<OwnedFd>, forkserver: Pid) -> Prepared {
        let mut prepared = Prepared {
            setup,
            forkserver,
            directory: None,
            locks: Err(Refusal::of("nothing is locked")),
            pins: None,
            observer: None,
        };
        prepared.locks = prepared.lock(fds);
        let parents = [rustix::process::getpid(), forkserver];
        prepared.pins = prepared.locks.as_ref().ok().and_then(|locks| locks.pins(parents));
        prepared
    }

    /// Whether stdout and stderr are pipes of the workers' own.
    pub(crate) fn has_own_streams(&self) -> bool {
        self.setup.own_streams
    }

    /// How many descriptors lead to a worker.
    pub(crate) fn descriptors(&self) -> usize {
        if self.setup.program { 8 } else { 7 }
    }

    pub(crate) fn window(&self) -> usize {
        self.setup.window
    }

    pub(crate) fn limits(&self) -> Limits {
        self.setup.limits
    }

    fn lock(&mut self, mut fds: VecDeque<OwnedFd>) -> Result<Locks, Refusal> {
        let setup = &self.setup;
        let mut take = |count: usize| -> Result<Vec<OwnedFd>, Refusal> {
            let missing = || Refusal::of("a descriptor of the host's message is missing");
            (0..count).map(|_| fds.pop_front().ok_or_else(missing)).collect()
        };
        self.directory = take(usize::from(setup.directory))?.pop();
        let ruleset = take(usize::from(setup.ruleset))?.pop();
        let recipe =
            setup.recipe.clone().map(|plan| take(plan.paths.len()).map(|paths| Recipe { plan, paths }));
        let mut locks = Locks {
            ruleset,
            recipe: recipe.transpose()?,
            filter: setup.filter.clone(),
            reporting: setup.reporting.clone(),
            listens: None,
            namespaces: setup.namespaces.clone(),
            capabilities: setup.capabilities.clone(),
        };
        if locks.is_unenforced() && !cfg!(feature = "learn") {
            return Err(Refusal::of("it is to run unenforced, which takes the feature `learn`"));
        }
        if setup.reporting.is_some() {
            let [link] = <[OwnedFd; 1]>::try_from(take(1)?)
                .map_err(|_| Refusal::of("what leads to the observer is missing"))?;
            let report = take(usize::from(setup.reads_report))?.pop();
            self.observer = Some(Observer { link: Link::new(link), report });
        }
        rustix::process::chdir("/").map_err(|errno| Refusal::new("working directory")(errno.into()))?;
        let name = setup.function.rsplit("::").next().unwrap_or_default();
        // For `ps` alone.
        drop(CString::new(name).map(|name| rustix::thread::set_name(&name)));
        if !setup.program {
            std::panic::set_hook(Box::new(note_panic));
        }
        locks.make_ruleset().map_err(refused)?;
        if locks.namespaces.is_some() && setup.warm.is_some() {
            return Err(Refusal::of(
                "`warm` runs in a locked template, and with `namespaces` each worker locks itself",
            ));
        }
        let tasks = rustix::fs::open("/proc/self/task", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let statm = std::fs::File::open("/proc/self/statm");
        if self.observer.is_some() {
            // The worker locks itself.
            return Ok(locks);
        }
        if locks.namespaces.is_none() {
            self.hide(false).map_err(Refusal::new("sigaction, prctl"))?;
            locks.close_template(setup.warm.is_some()).map_err(refused)?;
        }
        if let Some(offset) = setup.warm {
            warm(offset, tasks.ok())?;
            // No limit of a worker's counts what it made, and no worker prints what is in its buffers.
            statm.map(limit::note_mapped_in).unwrap_or_default();
            flush();
        }
        Ok(locks)
    }

    /// No stranger looks into it, nor does a program that the kernel hands core dumps to. What is not dumpable belongs to
    /// root in `/proc`, and so could not look at itself there.
    fn hide(&self, is_seen: bool) -> io::Result<()> {
        // Who is hidden cannot be observed.
        if !self.setup.grants_proc && !is_seen {
            rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        }
        if !self.setup.directory {
            sys::seccomp::answer_fstat()?;
        }
        Ok(())
    }

    /// Everything between the fork and the first call. Descriptors are at their numbers already.
    fn settle_in(
        &mut self,
        stdio: &[OwnedFd],
        kept: &[&OwnedFd],
        parents: [Pid; 2],
    ) -> Result<Enforced, Refusal> {
        self.take_stdio(stdio).map_err(Refusal::new("stdio"))?;
        if let Some(directory) = &self.directory {
            rustix::process::fchdir(directory)
                .map_err(|errno| Refusal::new("working directory")(errno.into()))?;
        }
        if let Some(observer) = self.observer.take() {
            return self.settle_observed(observer, kept, parents);
        }
        let locks = self.locks.as_ref().map_err(Clone::clone)?;
        // Ahead of what hides it: who is not dumpable may not say who is who in a namespace.
        locks.enter_namespaces().map_err(refused)?;
        if locks.namespaces.is_some() {
            self.hide(false).map_err(Refusal::new("sigaction, prctl"))?;
        }
        let enforced = match locks.namespaces {
            Some(_) => {
                process::close_all_but(&kept.iter().copied().chain(&locks.ruleset).collect::<Vec<_>>())
                    .map_err(Refusal::new("close_range"))?;
                limit::apply(&self.setup.limits, self.setup.window).map_err(Refusal::new("setrlimit"))?;
                locks.close_worker(parents).map_err(refused)?
            }
            None => {
                limit::apply(&self.setup.limits, self.setup.window).map_err(Refusal::new("setrlimit"))?;
                locks.close_child_of_template(self.pins.as_ref()).map_err(refused)?
            }
        };
        process::close_all_but(kept).map_err(Refusal::new("close_range"))?;
        Ok(enforced)
    }

    /// As [`settle_in`](Prepared::settle_in), under the eyes of an observer: its template has locked nothing, and all that is
    /// locked is seen through the same filters.
    fn settle_observed(
        &mut self,
        observer: Observer,
        kept: &[&OwnedFd],
        parents: [Pid; 2],
    ) -> Result<Enforced, Refusal> {
        let Observer { link, report } = observer;
        let this = rustix::thread::gettid().as_raw_pid();
        let attached = link.attach(Wanted::Thread { thread: this, kill: true });
        let reader = report.map(|report| Reader::new(report.as_fd())).transpose();
        let reader = reader.map_err(|errno| Refusal::new("a report")(errno.into()))?;
        let is_seen = matches!(attached, Attached::Traced);
        let tasks = rustix::fs::open("/proc/self/task", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let statm = std::fs::File::open("/proc/self/statm");
        let mut locks = std::mem::replace(&mut self.locks, Err(Refusal::of("locked already")))?;
        if let (Attached::Barred { why, .. } | Attached::Gone(why), true) = (&attached, locks.is_unenforced())
        {
            return Err(Refusal::of(&format!("it cannot be learned: {why}")));
        }
        if let Attached::Gone(why) = &attached {
            eprintln!("sandboxed: `{}` runs unobserved: {why}", self.setup.function);
        }
        attached.tell_by(&mut locks);
        #[cfg(feature = "learn")]
        if locks.is_unenforced() {
            crate::learn::mark::start();
        }
        locks.enter_namespaces().map_err(refused)?;
        if is_seen {
            observe::here::begin(reader);
        }
        self.hide(is_seen).map_err(Refusal::new("sigaction, prctl"))?;
        let more: Vec<&OwnedFd> = locks.ruleset.iter().chain(&locks.listens).chain(tasks.iter()).collect();
        let statm = statm.map(OwnedFd::from);
        let all: Vec<&OwnedFd> = kept.iter().copied().chain(more).chain(statm.iter()).collect();
        process::close_all_but(&all).map_err(Refusal::new("close_range"))?;
        let enforced = locks.close_worker(parents).map_err(refused)?;
        let window = match self.setup.warm {
            Some(offset) => {
                // It is granted what the body is.
                #[cfg(feature = "learn")]
                crate::learn::mark::begin(crate::learn::mark::OBSERVED);
                warm(offset, tasks.ok())?;
                #[cfg(feature = "learn")]
                crate::learn::mark::end();
                // The channel is among what is mapped now.
                statm.map(|statm| limit::note_mapped_in(std::fs::File::from(statm))).unwrap_or_default();
                flush();
                0
            }
            None => {
                drop((tasks, statm));
                limit::note_also(if self.setup.reads_report { observe::report::LENGTH } else { 0 });
                self.setup.window
            }
        };
        drop(locks);
        limit::apply(&self.setup.limits, window).map_err(Refusal::new("setrlimit"))?;
        process::close_all_but(kept).map_err(Refusal::new("close_range"))?;
        Ok(enforced)
    }

    fn take_stdio(&self, stdio: &[OwnedFd]) -> io::Result<()> {
        if !self.setup.program {
            process::dup_to(nothing_to_read()?.as_fd(), 0)?;
        }
        let first = if self.setup.program { 0 } else { 1 };
        (first..).zip(stdio).try_for_each(|(number, fd)| process::dup_to(fd.as_fd(), number))
    }
}

/// A function's stdin. An open file for all workers would carry its flags and locks from one call into the next. Where
/// /dev/null is out of reach (behind the filter, or after `in_place`), a pipe that nobody writes to.
fn nothing_to_read() -> io::Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(null.or_else(|_| rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map(|(read, _)| read))?)
}

fn refused(error: LockError) -> Refusal {
    let cause = error.cause.clone();
    Refusal { what: cause.as_ref().map_or(error.to_string(), |cause| format!("{error}: {cause}")), cause }
}

/// Runs what is to be ready in every worker.
fn warm(offset: u64, tasks: Option<OwnedFd>) -> Result<(), Refusal> {
    let warm = Image::ours().and_then(|image| image.function_at::<fn()>(offset));
    let warm = warm.ok_or_else(|| Refusal::of("no function to warm up with at that offset"))?;
    catch_unwind(warm).map_err(|payload| {
        let what = format!("`warm` panicked: {}", message_of(&*payload));
        std::mem::forget(payload);
        Refusal::of(&what)
    })?;
    match tasks.and_then(|tasks| process::threads_in(tasks.as_fd())) {
        None => {
            Err(Refusal::of("the threads that `warm` may have started cannot be counted: is /proc mounted?"))
        }
        Some(count @ 2..) => Err(Refusal::of(&format!(
            "`warm` started {} threads, and a process with threads cannot be forked safely",
            count - 1
        ))),
        _ => Ok(()),
    }
}

/// As a process of its own: with a session, ended with its parent, and told of what loses its parent below it.
pub(crate) fn begin_session(parent: Pid) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before the line above sends no signal.
    if rustix::process::getppid() != Some(parent) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Dispositions are those of the forkserver, which has reset them. Timers did not come along.
    process::unblock_signals();
    Ok(())
}

/// The life of a child that tries whether namespaces can be had.
pub(crate) fn probe(answer: OwnedFd, parent: Pid) -> ! {
    let ready = begin_session(parent).and_then(|()| process::close_all_but(&[&answer]));
    if ready.is_err() {
        process::exit_now(1);
    }
    crate::enforce::probe_namespaces(|result| {
        let result: HasNamespaces = result.map_err(|error| error.to_string());
        // A host that is gone needs no answer, and a pipe takes so much at once.
        let bytes = postcard::to_allocvec(&result).unwrap_or_default();
        rustix::io::write(answer, &bytes).map(drop).unwrap_or_default();
    })
}

/// The life of a worker, in the process that was just forked by `template`.
pub(crate) fn run(
    openings: &Openings,
    prepared: &mut Prepared,
    turn: u32,
    at_hand: usize,
    template: Pid,
) -> ! {
    let Ok((mut requests, bell, job)) = open(openings, prepared.setup.window, turn, at_hand, template) else {
        process::exit_now(1)
    };
    let settled = prepared.settle_in(&openings.stdio, &[&bell, &job], [template, prepared.forkserver]);
    let mut worker = settled.map(|enforced| Worker {
        enforced,
        open_files: None,
        limits: prepared.setup.limits,
        program: prepared.setup.program,
    });
    touch_memory();
    if let Ok(worker) = &mut worker {
        worker.rehearse(&requests);
    }
    let mut job = Some(job);
    loop {
        let head = requests.next();
        reply::begin(requests.turn());
        if head.fds > 0
            && let Ok(worker) = &mut worker
            && worker.open_files.take().is_some()
        {
            // What then does not fit is missing, and said.
            OpenFiles::make_room().unwrap_or_default();
        }
        let fds = job.as_ref().map_or(Ok(VecDeque::new()), |job| wire::receive_fds(job.as_fd(), &head));
        if head.flags & Head::LAST != 0 {
            job = None;
        }
        let result = worker.as_mut().map_err(|refusal| refusal.clone()).and_then(|worker| {
            let fds = fds.map_err(|error| Refusal::of(&error.to_string()))?;
            worker.call(&requests, &head, fds)
        });
        match result {
            Ok(0) if job.is_some() => {}
            Ok(code) => {
                // Who waits for the answer goes on before memory is given back.
                rustix::thread::sched_yield();
                process::exit_now(code)
            }
            Err(refusal) => refuse(&refusal),
        }
    }
}

/// Puts the bell and the socket at their numbers, where a body finds them.
fn open(
    openings: &Openings,
    window: usize,
    turn: u32,
    at_hand: usize,
    template: Pid,
) -> io::Result<(Requests, OwnedFd, OwnedFd)> {
    begin_session(template)?;
    let (requests, replies) = wire::open_channel(&openings.files, window, turn)?;
    replies.touch(at_hand);
    reply::open(replies);
    // Above both numbers first, so that neither assignment closes the other.
    let job = fcntl_dupfd_cloexec(&openings.job, JOB + 1)?;
    let bell = fcntl_dupfd_cloexec(&openings.bell, JOB + 1)?;
    for (fd, number) in [(&bell, BELL), (&job, JOB)] {
        process::dup_to(fd.as_fd(), number)?;
    }
    let (bell, job) = (process::take_fd(BELL)?, process::take_fd(JOB)?);
    [&bell, &job].into_iter().try_for_each(|fd| rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC))?;
    Ok((requests, bell, job))
}

/// What a body will surely touch, made its own while nobody waits: some of the stack and of the heap.
fn touch_memory() {
    const PAGE: usize = 4096;
    let mut stack = [0_u8; 3 * PAGE];
    let mut heap = Vec::<u8>::with_capacity(2 * PAGE);
    stack.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    heap.resize(2 * PAGE, 1);
    std::hint::black_box((&mut stack, &mut heap));
}

/// A locked worker.
struct Worker {
    enforced: Enforced,
    /// What was set for the call before.
    open_files: Option<OpenFiles>,
    limits: Limits,
    program: bool,
}

impl Worker {
    /// Makes a call of our own while nobody waits, so that the code and the data that any call needs are mapped and the
    /// worker's own. Its reply is one to a turn that is over, which nobody looks at.
    fn rehearse(&mut self, requests: &Requests) {
        let entry = Image::ours().and_then(|image| image.offset_of(rehearsed as *const () as usize));
        if let Some(entry) = entry.filter(|_| !requests.has_next()) {
            let rehearsed = self.call(requests, &Head { entry, ..Head::default() }, VecDeque::new());
            rehearsed.map(drop).unwrap_or_default();
        }
    }

    /// Runs a body; returns the exit code.
    fn call(&mut self, requests: &Requests, head: &Head, mut fds: VecDeque<OwnedFd>) -> Result<i32, Refusal> {
        let mut take = |flag: u32| (head.flags & flag != 0).then(|| fds.pop_front()).flatten();
        if let Some(directory) = take(Head::DIRECTORY) {
            rustix::process::fchdir(directory)
                .map_err(|errno| Refusal::new("working directory")(errno.into()))?;
        }
        if let Some(ruleset) = take(Head::RULESET) {
            Locks::take_on(&ruleset).map_err(refused)?;
        }
        let [env, arguments] =
            [head.env, head.arguments].map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let data = requests.data(env.saturating_add(arguments), ring);
        let data =
            data.map_err(|length| Refusal::of(&format!("no memory for {length} bytes of arguments")))?;
        let (env, arguments) = data.split_at(env);
        if head.env > 0 {
            process::set_environment(&environment(env)?).map_err(Refusal::new("environment"))?;
        }
        let most = OpenFiles::new(&self.limits, &fds, head.flags & Head::LAST != 0);
        if most != self.open_files {
            most.map_or(Ok(()), OpenFiles::set).map_err(Refusal::new("setrlimit"))?;
            self.open_files = most;
        }
        result::begin_call((head.flags & Head::RESULT != 0).then(|| fds.pop_back()).flatten());
        let entry = Image::ours().and_then(|image| image.function_at::<Entry>(head.entry));
        let entry = entry.ok_or_else(|| Refusal::of("no function at that offset"))?;
        events::begin(Levels::of_bits(head.flags >> Head::LEVELS));
        WANTS_BACKTRACE.store(head.flags & Head::BACKTRACE != 0, Ordering::Relaxed);
        // The host is trusted, and the memory is limited otherwise.
        let input = Incoming::new(arguments, fds).with_room(u64::MAX);
        let mut caller = Channel { begun: false };
        match execute(&self.enforced, entry, input, &mut caller) {
            Ok(Ok(())) => Ok(0),
            Ok(Err(error)) if caller.begun => {
                send(Kind::Unsendable, &[error.to_string().as_bytes()]);
                Ok(1)
            }
            Ok(Err(error)) => Err(Refusal::of(&format!("the arguments: {error}"))),
            Err(payload) => {
                panicked(payload, self.program);
                Ok(PANICKED)
            }
        }
    }
}

fn rehearsed(call: &mut Call<'_>) -> Result<(), CodecError> {
    call.begin();
    call.reply(|answer| answer.put_value(&0_u32))
}

fn environment(bytes: &[u8]) -> Result<Vec<(CString, CString)>, Refusal> {
    let variables: Vec<(&[u8], &[u8])> =
        postcard::from_bytes(bytes).map_err(|error| Refusal::of(&format!("environment: {error}")))?;
    let variables = variables.into_iter();
    Ok(variables
        .filter_map(|(name, value)| Some((CString::new(name).ok()?, CString::new(value).ok()?)))
        .collect())
}

/// Calls the entry. The token is what makes it impossible to come here unlocked.
pub(crate) fn execute(
    _enforced: &Enforced,
    entry: Entry,
    input: Incoming<'_>,
    caller: &mut dyn Caller,
) -> std::thread::Result<Result<(), CodecError>> {
    // A panic must not unwind into the forkserver's code. Nothing of what it leaves broken is used again.
    catch_unwind(AssertUnwindSafe(|| {
        backtrace::__rust_begin_short_backtrace(|| entry(&mut Call::new(input, caller)))
    }))
}

/// The caller of a worker's body: the host, over the channel.
struct Channel {
    begun: bool,
}

impl Caller for Channel {
    fn begun(&mut self) {
        self.begun = true;
        send(Kind::Begun, &[]);
        #[cfg(feature = "learn")]
        crate::learn::mark::begin(crate::learn::mark::OBSERVED);
    }

    fn has_result_file(&self) -> bool {
        true
    }

    fn returned(&mut self, message: &Outgoing<'_>) {
        #[cfg(feature = "learn")]
        crate::learn::mark::end();
        flush();
        message.bulk().for_each(|(segment, align)| send(Kind::of_bulk(align), &[segment]));
        send(Kind::Returned, &message.stream().collect::<Vec<_>>());
    }

    fn exit_code(&mut self, code: u8) {
        flush();
        send(Kind::ExitCode, &[&[code]]);
    }
}

/// What the body printed goes out before the result does. Where it cannot, nobody is left to be told.
fn flush() {
    drop(io::stdout().flush());
    process::flush_c_stdio();
}

fn refuse(refusal: &Refusal) -> ! {
    send(Kind::Refused, &[&postcard::to_allocvec(refusal).unwrap_or_default()]);
    process::exit_now(1)
}

thread_local! {
    static LAST_PANIC: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Where a panic began.
#[derive(Clone, Debug, Default)]
struct Place {
    location: Option<String>,
    frames: Vec<Offset>,
}

/// The panic hook of a worker: tells the host, which must know even if the panic aborts. Other threads of a body
/// panic in their own way, on stderr.
fn note_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let message = message_of(info.payload());
    if !reply::is_body() {
        let place = location.as_deref().unwrap_or("an unknown place");
        return eprintln!("thread panicked at {place}: {message}");
    }
    let frames = if WANTS_BACKTRACE.load(Ordering::Relaxed) { backtrace::capture() } else { Vec::new() };
    let place = Place { location, frames };
    send_note(message, place.clone());
    LAST_PANIC.set(Some(place));
}

/// The body panicked, all the way up. Its own hook may have replaced ours, so the message is told again.
fn panicked(payload: Box<dyn Any + Send>, program: bool) {
    flush();
    if !program {
        send_note(message_of(&*payload), LAST_PANIC.take().unwrap_or_default());
    }
    // Dropping it runs code of the body's, which may panic again.
    std::mem::forget(payload);
}

fn send_note(mut message: String, Place { location, frames }: Place) {
    cut(&mut message, wire::NOTE_LIMIT / 2);
    let note = PanicNote { message, location, frames };
    send(Kind::Panicked, &[&postcard::to_allocvec(&note).unwrap_or_default()]);
}

/// The message of a panic, as the standard library finds it.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "Box<dyn Any>".to_owned())
}

#[cfg(all(test, not(feature = "learn")))]
mod tests {
    use super::*;
    use crate::plan::{Placement, plan};
    use crate::policy::Policy;

    /// Whatever a host asks for. The twin, which is enforced, goes on to what else is missing here.
    #[test]
    fn without_the_feature_no_worker_runs_unenforced() {
        let plan = plan(&Policy::new(), Placement::Process, crate::kernel()).unwrap();
        let locks = Locks::of_filter(&plan);
        let Locks { filter, reporting, .. } = locks;
        assert!(filter.is_some() && reporting.is_some());
        for (filter, why) in [
            (None, "it is to run unenforced, which takes the feature `learn`"),
            (filter, "a descriptor of the host's message is missing"),
        ] {
            let setup = Setup { filter, reporting: reporting.clone(), ..Setup::default() };
            let prepared = Prepared::new(setup, VecDeque::new(), rustix::process::getpid());
            assert_eq!(prepared.locks.err().unwrap().what, why);
        }
    }
}
