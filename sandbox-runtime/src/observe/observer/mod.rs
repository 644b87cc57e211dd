//! A process that looks on: it traces a sandboxed thread or process and all that these start, and sees which calls are
//! refused, and by whom. It is forked by the forkserver, is in no sandbox of the observed's, and loosens none: what a
//! filter refuses it only answers as the filter says, and it never lets a call pass that was to be refused.
//!
//! Two filters beside the enforcing ones (see [`Reporting`](crate::enforce::Reporting)) say what to stop for: what they
//! refuse comes as a signal with the errno, what Landlock or file permissions may refuse is looked at when it has
//! returned. Everything else runs as fast as ever.
//!
//! Where it may not trace (Yama, a container, a debugger that does already), it gets the listener of a filter that asks
//! where it would refuse, and answers as that would have: see [`refusal`].

mod beside;
mod call;
mod judge;
#[cfg(feature = "learn")]
pub(crate) mod lesson;
mod needs;
mod path;
mod probe;
mod program;
pub(crate) mod uses;
mod walk;

pub(crate) use judge::Facts;

use super::explain::{Format, Printer};
use super::link::{Link, PTRACE_SCOPE, Wanted};
use super::report::{Seen, Unseen, Writer};
use crate::enforce::mark::NOTE;
use crate::enforce::{REPORT, name_of_call, number_of_call, refusal};
use crate::plan::{Capability, FilterPlan, Placement};
use crate::sys::process::{exit_now, tracer_of};
use crate::sys::ptrace::{self, Call, Change, Stop, Trap};
use crate::sys::seccomp::{self, Next};
use beside::{Beside, is_about_processors};
use call::ask;
use judge::Refused;
use probe::Probe;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;

/// What an observer is told when it is forked. Descriptors: its end of the link, the memory of the report, the ruleset if
/// there is one, the host's stderr if it is to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) facts: Facts,
    /// By which it is known what it refuses, if it cannot be traced.
    pub(crate) filter: Option<FilterPlan>,
    pub(crate) ruleset: bool,
    /// What the observed keeps of root's capabilities; `None` where it keeps all. Credentials must be equal, or what file
    /// permissions refuse would be blamed on Landlock.
    pub(crate) capabilities: Option<Vec<Capability>>,
    /// Whose use is to be seen.
    pub(crate) grants: Vec<uses::Grant>,
    /// Prints by itself, where the host cannot: under which name and place.
    pub(crate) print: Option<(Format, String, String)>,
}

impl Task {
    /// Whether it looks on to the end of those that it is for, whatever becomes of the forkserver: of a whole program, or of a
    /// thread of the host, which its filters would end without a tracer.
    pub(crate) fn outlives_forkserver(&self) -> bool {
        self.print.is_some() || self.facts.placement != Placement::Process
    }
}

struct Observer {
    task: Task,
    probe: Option<Probe>,
    report: Writer,
    printer: Option<Printer<OwnedFd>>,
    process: Option<i32>,
    /// Those whose calls are the library's for the moment.
    quiet: HashSet<Pid>,
    /// The calls that were let pass and have not returned, with the grants that they need.
    under_way: HashMap<Pid, (Call, Vec<usize>)>,
    beside: Beside,
}

/// The life of an observer, in the process that was just forked.
pub(crate) fn run(task: Task, fds: Vec<OwnedFd>) -> ! {
    match prepare(task, fds).and_then(|(mut observer, link)| {
        let listener = observer.attach(&link)?;
        Ok((observer, listener))
    }) {
        Ok((mut observer, listener)) => {
            match listener {
                None => look_on(&mut observer),
                Some(listener) => observer.answer(listener.as_fd()),
            }
            observer.summarise();
            exit_now(0)
        }
        // The other side sees that the link is closed.
        Err(_) => exit_now(1),
    }
}

/// What every observer does first.
fn settle_in(name: &CStr, fds: &[OwnedFd]) -> io::Result<()> {
    // So that Ctrl-C does not end it ahead of the observed.
    rustix::process::setsid()?;
    crate::sys::process::unblock_signals();
    crate::sys::process::close_all_but(&fds.iter().collect::<Vec<_>>())?;
    Ok(rustix::thread::set_name(name)?)
}

fn prepare(task: Task, fds: Vec<OwnedFd>) -> io::Result<(Observer, Link)> {
    settle_in(c"sandboxed-watch", &fds)?;
    let mut fds = fds.into_iter();
    let mut take = || fds.next().ok_or(io::ErrorKind::UnexpectedEof);
    let (link, report) = (Link::new(take()?), take()?);
    let probe = if task.ruleset { Some(Probe::new(take()?)) } else { None };
    let printer = match &task.print {
        Some((format, ..)) => Some(Printer::new(*format, take()?)),
        None => None,
    };
    let report = Writer::new(&report)?;
    let (quiet, under_way, beside) = (HashSet::new(), HashMap::new(), Beside::new());
    Ok((Observer { task, probe, report, printer, process: None, quiet, under_way, beside }, link))
}

impl Observer {
    /// Traces what the other side of the link names. Where that cannot be: the listener of its filter.
    fn attach(&mut self, link: &Link) -> io::Result<Option<OwnedFd>> {
        link.introduce()?;
        let wanted = link.wanted()?;
        // Who is to see the summary before the end waits for it; others end without us.
        let seized = seize(&wanted, self.task.print.is_some());
        if let Some(capabilities) = &self.task.capabilities {
            // Not ahead of it: to trace takes as many as the traced has.
            crate::enforce::capabilities::keep_only(capabilities)
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        self.process = wanted.process();
        self.process.into_iter().for_each(|process| self.report.note_process(process));
        if let Err(why) = &seized {
            self.report.fail(why);
        }
        link.answer(&seized)?;
        let Err(why) = seized else { return Ok(None) };
        let listener = link.listener();
        if listener.is_ok() {
            self.report.listens();
        }
        if let (Some((_, function, _)), Some(printer)) = (&self.task.print, &mut self.printer) {
            printer.unseen(function, &Unseen { but_filter: listener.is_ok(), ..Unseen::all(why) });
        }
        let listener = listener?;
        link.acknowledge()?;
        Ok(Some(listener))
    }

    /// What a filter asks about, until nobody is left who could: each call is refused, as it was to be.
    fn answer(&mut self, listener: BorrowedFd<'_>) {
        let Some(plan) = self.task.filter else { return };
        let process = self.process.and_then(Pid::from_raw);
        let mut process = process.and_then(|process| pidfd_open(process, PidfdFlags::empty()).ok());
        loop {
            let asked = match seccomp::next_asked(listener, process.as_ref().map(AsFd::as_fd)) {
                Ok(Next::Asked(asked)) => asked,
                Ok(Next::Ended) => {
                    // Its parent may wait for the end of what it prints before it waits for it.
                    self.summarise();
                    process = None;
                    continue;
                }
                Ok(Next::Nobody) | Err(_) => return,
            };
            if let Some(thread) = asked.thread.filter(|_| name_of_call(asked.call.number) == "prctl")
                && self.noted(thread, &asked.call)
            {
                // As the kernel, which knows no such option.
                seccomp::refuse(listener, &asked, libc::EINVAL).unwrap_or_default();
                continue;
            }
            let errno = refusal(&plan, &asked.call);
            let seen = asked.thread.and_then(|thread| self.seen(thread, &asked.call, errno, true));
            // One that was killed meanwhile may have been another when it was looked at.
            if seccomp::still_waits(listener, &asked) {
                seen.into_iter().for_each(|seen| self.note(seen));
            }
            seccomp::refuse(listener, &asked, errno).unwrap_or_default();
        }
    }
}

/// Who is told of those that it traces.
trait Tracer {
    fn ended(&mut self, thread: Pid);
    fn stopped(&mut self, thread: Pid, stop: Stop) -> rustix::io::Result<()>;
}

/// Until nobody is left to be observed.
fn look_on(tracer: &mut impl Tracer) {
    while let Some((thread, change)) = ptrace::wait() {
        match change {
            Change::Ended(_) => tracer.ended(thread),
            // One that was killed meanwhile is told of next.
            Change::Stopped(stop) => tracer.stopped(thread, stop).unwrap_or_default(),
        }
    }
}

impl Tracer for Observer {
    fn ended(&mut self, thread: Pid) {
        self.under_way.remove(&thread);
        self.quiet.remove(&thread);
    }

    fn stopped(&mut self, thread: Pid, stop: Stop) -> rustix::io::Result<()> {
        match stop {
            Stop::Call => {
                let call = ptrace::call(thread)?;
                match name_of_call(call.number) {
                    "prctl" => drop(self.noted(thread, &call)),
                    name if is_about_processors(name) => return ptrace::go_on(thread, 0),
                    _ => {
                        let used = self.used_by(thread, &call);
                        self.under_way.insert(thread, (call, used));
                        return self.beside.go_on(thread, || ptrace::go_on_until_return(thread));
                    }
                }
            }
            Stop::Returned => {
                let Some((call, used)) = self.under_way.remove(&thread) else {
                    return ptrace::go_on(thread, 0);
                };
                let errno = ptrace::errno(thread)?;
                // Who answers is no matter of grants.
                let is_answered = |errno| {
                    name_of_call(call.number) == "connect" && !matches!(errno, libc::EACCES | libc::EPERM)
                };
                if errno.is_none_or(is_answered) {
                    self.note_uses(used);
                }
                if let Some(errno) = errno {
                    self.failed(thread, call, errno, false);
                }
            }
            Stop::Exec => {
                self.quiet.remove(&thread);
                let (_, used) = self.under_way.remove(&thread).unzip();
                self.note_uses(used.unwrap_or_default());
                if !self.task.grants.is_empty() {
                    let placement = self.task.facts.placement;
                    self.note_uses(uses::used_by_program(thread, placement, &self.task.grants));
                }
            }
            // The first thread's end is that of the program, whose parent is to see the summary before it.
            Stop::Exit if self.process == Some(thread.as_raw_pid()) => self.summarise(),
            Stop::Exit => {}
            Stop::Signal(libc::SIGSYS) => match ptrace::trap(thread)? {
                Some(Trap { call, data }) if data & !0xff == REPORT => match data & 0xff {
                    0 => self.asked_of_file(thread, call)?,
                    errno => {
                        let errno = errno.cast_signed();
                        self.failed(thread, call, errno, true);
                        ptrace::fail(thread, errno)?;
                    }
                },
                // Another filter's, or somebody's.
                _ => return ptrace::go_on(thread, libc::SIGSYS),
            },
            Stop::Signal(signal) => return ptrace::go_on(thread, signal),
            Stop::Group => return ptrace::stay_stopped(thread),
            Stop::Begins | Stop::Born | Stop::Other => {}
        }
        self.beside.go_on(thread, || ptrace::go_on(thread, 0))
    }
}

impl Observer {
    /// `newfstatat` of a worker that may name no path: made the `fstat` that it means where it names none, and refused
    /// otherwise.
    fn asked_of_file(&mut self, thread: Pid, call: Call) -> rustix::io::Result<()> {
        let call::Ask::Look(named) = ask(thread, name_of_call(call.number), &call) else { return Ok(()) };
        if named.path.is_empty() {
            let [fd, _, buffer, ..] = call.arguments;
            let arguments = [fd, buffer, 0, 0, 0, 0];
            return ptrace::make_instead(thread, &Call { number: number_of_call("fstat"), arguments });
        }
        self.failed(thread, call, libc::EACCES, true);
        ptrace::fail(thread, libc::EACCES)
    }

    fn note_uses(&mut self, used: Vec<usize>) {
        used.into_iter().for_each(|grant| self.report.note_use(grant));
    }

    /// The grants that a call needs. It is asked before the call: what it makes is not there, and where it runs another
    /// program its path is.
    fn used_by(&self, thread: Pid, call: &Call) -> Vec<usize> {
        if self.task.grants.is_empty() {
            return Vec::new();
        }
        let ask = ask(thread, name_of_call(call.number), call);
        uses::used_by(thread, self.task.facts.placement, &ask, &self.task.grants)
    }

    /// Whether it is a note to us.
    fn noted(&mut self, thread: Pid, call: &Call) -> bool {
        let [option, quiet, ..] = call.arguments;
        let is_note = option == u64::from(NOTE) && self.task.facts.placement == Placement::InPlace;
        match quiet {
            _ if !is_note => false,
            0 => self.quiet.remove(&thread),
            _ => self.quiet.insert(thread),
        };
        is_note
    }

    fn failed(&mut self, thread: Pid, call: Call, errno: i32, by_filter: bool) {
        if let Some(seen) = self.seen(thread, &call, errno, by_filter) {
            self.note(seen);
        }
    }

    fn seen(&self, thread: Pid, call: &Call, errno: i32, by_filter: bool) -> Option<Seen> {
        let name = name_of_call(call.number);
        if self.quiet.contains(&thread)
            || (!by_filter && !judge::is_looked_into(name, errno, &self.task.facts.limits))
        {
            return None;
        }
        let (facts, probe) = (&self.task.facts, self.probe.as_ref());
        Refused { thread, name, ask: ask(thread, name, call), errno, by_filter, facts, probe }.seen()
    }

    fn note(&mut self, seen: Seen) {
        let is_new = self.report.add(&seen);
        if let (Some((_, function, place)), Some(printer), true) =
            (&self.task.print, &mut self.printer, is_new)
        {
            printer.denial(&seen.named(function, place, 1));
        }
    }

    /// Once.
    fn summarise(&mut self) {
        if let (Some((_, function, place)), Some(mut printer)) = (&self.task.print, self.printer.take()) {
            let all: Vec<_> = self.report.all();
            let all = all.into_iter().map(|(seen, count)| seen.named(function, place, count));
            printer.summary(&all.collect::<Vec<_>>());
        }
    }
}

/// Traces a thread, or every thread of a process: those that begin meanwhile are found by looking again.
fn seize(wanted: &Wanted, ends: bool) -> Result<(), String> {
    let pid = |number: i32| {
        (number > 0).then(|| Pid::from_raw(number)).flatten().ok_or("no such thread".to_owned())
    };
    match wanted {
        Wanted::Thread { thread, kill } => {
            let thread = pid(*thread)?;
            ptrace::seize(thread, *kill, ends).map_err(|errno| why_not(thread, errno))
        }
        Wanted::Process(process) => {
            let process = pid(*process)?;
            let tasks = format!("/proc/{}/task", process.as_raw_pid());
            let mut seized = HashSet::new();
            loop {
                let entries = std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))?;
                let threads =
                    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
                let new: Vec<i32> = threads.filter(|thread| !seized.contains(thread)).collect();
                if new.is_empty() {
                    return Ok(());
                }
                for number in new {
                    let thread = pid(number)?;
                    match ptrace::seize(thread, false, ends) {
                        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                        // A child of one that is traced already is so too.
                        Err(_) if is_traced_by_us(thread) => {}
                        Err(errno) => return Err(why_not(thread, errno)),
                    }
                    seized.insert(number);
                }
            }
        }
    }
}

fn is_traced_by_us(thread: Pid) -> bool {
    tracer_of(thread) == Some(rustix::process::getpid().as_raw_pid())
}

/// What keeps an observer from tracing, as far as can be told.
fn why_not(thread: Pid, errno: rustix::io::Errno) -> String {
    let scope = std::fs::read_to_string(PTRACE_SCOPE).unwrap_or_default();
    match (tracer_of(thread), scope.trim()) {
        (Some(tracer @ 1..), _) => {
            format!("process {tracer} traces it already (a debugger, strace, or another observer)")
        }
        (_, scope @ ("2" | "3")) => format!("kernel.yama.ptrace_scope is {scope}: {errno}"),
        _ => format!("ptrace: {errno}"),
    }
}
