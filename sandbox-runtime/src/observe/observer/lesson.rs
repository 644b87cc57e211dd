//! An observer that learns: it sees what a body does that nothing refuses, and writes down what that needs.
//!
//! A call is looked at when it is about to be made, while what it names is as the body found it, and counts when it has
//! succeeded. Whose it is the body's side says: see [`mark`].

use super::call::{Ask, ask};
use super::needs::{Need, needs};
use super::path::{Found, Named, mapped};
use super::{Tracer, look_on, settle_in};
use crate::enforce::mark::LEARN;
use crate::enforce::name_of_call;
use crate::learn::file::{Section, Sections, add};
use crate::learn::uses::{Seen, Use, inside};
use crate::learn::{Task, mark};
use crate::observe::link::{Link, Wanted};
use crate::plan::Placement;
use crate::policy::Access;
use crate::registry::FUNCTIONS;
use crate::sys::process::{exit_now, process_of};
use crate::sys::ptrace::{self, Call, Stop};
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

/// Whom a thread works for, the last begun last; each is a place in the list of functions, or [`mark::NOBODY`].
type Work = Vec<u64>;

/// A call that is being made.
struct UnderWay {
    /// If it succeeds.
    uses: Vec<Use>,
    /// If it finds nothing.
    missing: Option<Use>,
    /// What is there afterwards, and was not before.
    made: Option<PathBuf>,
    /// Whether it counts though it fails: who answers is no matter of grants.
    tries: bool,
}

struct Learner {
    task: Task,
    /// Closed when the first of those that are observed has ended.
    writing: Option<OwnedFd>,
    stderr: OwnedFd,
    first: Option<Pid>,
    under_way: HashMap<Pid, UnderWay>,
    work: HashMap<Pid, Work>,
    /// Of threads whose beginning was not seen.
    work_of_others: Work,
    /// Those that begin before it is known whose they are.
    waiting: HashSet<Pid>,
    /// What was made by those that are observed: another time it is not there before.
    made: BTreeSet<PathBuf>,
    /// Processes of those that are observed.
    own: HashSet<i32>,
    seen: HashMap<u64, Seen>,
}

/// The life of an observer that learns, in the process that was just forked.
pub(crate) fn run(task: Task, fds: Vec<OwnedFd>) -> ! {
    match prepare(task, fds) {
        Ok(mut learner) => {
            look_on(&mut learner);
            learner.write();
            exit_now(0)
        }
        // The other side sees that the link is closed.
        Err(_) => exit_now(1),
    }
}

fn prepare(task: Task, fds: Vec<OwnedFd>) -> io::Result<Learner> {
    settle_in(c"sandboxed-learn", &fds)?;
    let mut fds = fds.into_iter();
    let mut take = || fds.next().ok_or(io::ErrorKind::UnexpectedEof);
    let (link, writing, stderr) = (Link::new(take()?), take()?, take()?);
    link.introduce()?;
    let wanted = link.wanted()?;
    let seized = super::seize(&wanted, true);
    link.answer(&seized)?;
    seized.map_err(io::Error::other)?;
    let first = match wanted {
        Wanted::Thread { thread, .. } => Pid::from_raw(thread),
        Wanted::Process(_) => None,
    };
    Ok(Learner {
        task,
        writing: Some(writing),
        stderr,
        first,
        under_way: HashMap::new(),
        work: first.into_iter().map(|thread| (thread, Work::new())).collect(),
        work_of_others: Work::new(),
        waiting: HashSet::new(),
        made: BTreeSet::new(),
        own: wanted.process().into_iter().collect(),
        seen: HashMap::new(),
    })
}

impl Tracer for Learner {
    fn ended(&mut self, thread: Pid) {
        self.under_way.remove(&thread);
        self.work.remove(&thread);
        // Whoever was to say whose they are may have been this one.
        for waiting in std::mem::take(&mut self.waiting) {
            ptrace::go_on(waiting, 0).unwrap_or_default();
        }
        if self.first == Some(thread) {
            self.write();
            self.writing = None;
        }
    }

    fn stopped(&mut self, thread: Pid, stop: Stop) -> rustix::io::Result<()> {
        match stop {
            Stop::Call => {
                let call = ptrace::call(thread)?;
                if let Some(under_way) = self.called(thread, &call) {
                    self.under_way.insert(thread, under_way);
                    return ptrace::go_on_until_return(thread);
                }
            }
            Stop::Returned => {
                if let Some(under_way) = self.under_way.remove(&thread) {
                    let errno = ptrace::errno(thread)?;
                    self.returned(thread, under_way, errno);
                }
            }
            Stop::Exec => {
                let under_way = self.under_way.remove(&thread);
                self.executed(thread, under_way);
            }
            Stop::Born => self.born_to(thread),
            Stop::Begins if self.is_to_wait(thread) => return Ok(()),
            Stop::Begins | Stop::Other => {}
            // By a signal, say, and who waits for its end still does.
            Stop::Exit if self.first.is_none() && self.own.contains(&thread.as_raw_pid()) => self.write(),
            Stop::Exit => {}
            Stop::Signal(signal) => return ptrace::go_on(thread, signal),
            Stop::Group => return ptrace::stay_stopped(thread),
        }
        ptrace::go_on(thread, 0)
    }
}

impl Learner {
    /// A new thread or child works for what its parent does.
    fn born_to(&mut self, parent: Pid) {
        let Some(work) = self.work.get(&parent).cloned() else { return };
        if let Ok(Some(child)) = ptrace::born(parent) {
            self.own.extend(process_of(child));
            self.work.entry(child).or_insert(work);
            if self.waiting.remove(&child) {
                ptrace::go_on(child, 0).unwrap_or_default();
            }
        }
    }

    /// Whether a thread that begins is to wait until it is known whose it is. In place not all are known; their children are
    /// as they.
    fn is_to_wait(&mut self, thread: Pid) -> bool {
        self.first.is_some() && !self.work.contains_key(&thread) && self.waiting.insert(thread)
    }

    fn work_of(&mut self, thread: Pid) -> &mut Work {
        let first = self.first.is_some();
        let others = &self.work_of_others;
        match first {
            true => self.work.entry(thread).or_default(),
            false => self.work.entry(thread).or_insert_with(|| others.clone()),
        }
    }

    /// What a call needs; `None` where nothing is to be learned from how it ends.
    fn called(&mut self, thread: Pid, call: &Call) -> Option<UnderWay> {
        let name = name_of_call(call.number);
        let [first, second, third, ..] = call.arguments;
        if name == "prctl" && first as u32 == LEARN {
            self.marked(thread, second, third);
            return None;
        }
        if name == "exit_group" && self.first.is_none() {
            // While who waits for the end of the program waits.
            self.write();
        }
        if self.work_of(thread).last().is_none_or(|function| *function == mark::NOBODY) {
            return None;
        }
        if let Some(used) = counted_at_once(thread, name, call) {
            self.note(thread, used);
            return None;
        }
        self.needs(thread, name, call)
    }

    fn marked(&mut self, thread: Pid, step: u64, function: u64) {
        let function = if function == mark::OBSERVED { self.task.function } else { function };
        if step == mark::BEGIN && function != mark::NOBODY {
            // Also if it needs nothing.
            self.seen.entry(function).or_default();
        }
        let is_first_in_place = self.first.is_none() && self.work_of_others.is_empty();
        let work = self.work_of(thread);
        match step {
            mark::BEGIN => work.push(function),
            _ => drop(work.pop()),
        }
        if is_first_in_place && step == mark::BEGIN && function == self.task.function {
            self.work_of_others.push(function);
            // Also of those that were looked at before.
            let others = self.work.values_mut().filter(|work| work.is_empty());
            others.for_each(|work| work.push(function));
        }
    }

    fn needs(&self, thread: Pid, name: &'static str, call: &Call) -> Option<UnderWay> {
        let ask = ask(thread, name, call);
        if matches!(&ask, Ask::Look(named) if named.path.is_empty()) {
            // Of what is open already.
            return None;
        }
        let mut lesson = Lesson { learner: self, uses: Vec::new(), missing: None, made: None };
        for need in needs(thread, &ask, |named, bare| {
            // A link that is only looked at is a name like another.
            named.find(thread, bare || matches!(ask, Ask::Look(_)))
        }) {
            lesson.add(thread, &need, name, call);
        }
        let Lesson { uses, missing, made, .. } = lesson;
        let tries = matches!(ask, Ask::Connect(..) | Ask::Send(..));
        let is_anything = !uses.is_empty() || missing.is_some() || made.is_some();
        is_anything.then_some(UnderWay { uses, missing, made, tries })
    }

    /// Whether a process may be signalled without a grant: a worker is pinned to itself.
    fn may_signal(&self, process: i32) -> bool {
        match self.task.placement {
            Placement::Process => self.first.is_some_and(|worker| worker.as_raw_pid() == process),
            Placement::Thread | Placement::InPlace => self.own.contains(&process),
        }
    }

    fn has_opened(&self, thread: Pid, object: &str) -> bool {
        let functions = self.work.get(&thread).into_iter().flatten();
        let mut seen = functions.filter_map(|function| self.seen.get(function));
        let opens = ["read_file", "write_file"];
        seen.any(|seen| opens.iter().any(|word| seen.contains_key(&Use::new(*word, object))))
    }

    fn returned(&mut self, thread: Pid, under_way: UnderWay, errno: Option<i32>) {
        let UnderWay { uses, missing, made, tries } = under_way;
        let is_refused =
            matches!(errno, Some(libc::EACCES | libc::EPERM | libc::EAFNOSUPPORT | libc::EINVAL));
        match errno {
            None => {
                self.made.extend(made);
                uses.into_iter().for_each(|used| self.note(thread, used));
            }
            Some(libc::ENOENT | libc::ENOTDIR) if missing.is_some() => {
                missing.into_iter().for_each(|used| self.note(thread, used));
            }
            Some(_) if tries && !is_refused => uses.into_iter().for_each(|used| self.note(thread, used)),
            Some(_) => {}
        }
    }

    /// A program was started: it, what interprets it, and the loader are mapped by now.
    fn executed(&mut self, thread: Pid, under_way: Option<UnderWay>) {
        let Some(under_way) = under_way else { return };
        self.own.extend(process_of(thread));
        let mapped = mapped(thread).into_iter().map(|path| Use::new("execute", path.to_string_lossy()));
        let all: BTreeSet<Use> = under_way.uses.into_iter().chain(mapped).collect();
        all.into_iter().for_each(|used| self.note(thread, used));
    }

    /// For all whom the thread works for.
    fn note(&mut self, thread: Pid, used: Use) {
        let functions: BTreeSet<u64> = self.work_of(thread).iter().copied().collect();
        for function in functions.into_iter().filter(|function| *function != mark::NOBODY) {
            *self.seen.entry(function).or_default().entry(used.clone()).or_default() += 1;
        }
    }

    /// Adds what was learned since the last time to the file.
    fn write(&mut self) {
        let mut sections = Sections::new();
        for (function, seen) in self.seen.drain() {
            let Some(known) = usize::try_from(function).ok().and_then(|index| FUNCTIONS.get(index)) else {
                continue;
            };
            let is_observed = function == self.task.function;
            let keep = if is_observed { self.task.keep.clone() } else { word_of(known.placement) };
            let placement = if is_observed { self.task.placement } else { known.placement };
            sections.insert(known.name.to_owned(), Section { placement, keep, seen });
        }
        if sections.is_empty() {
            return;
        }
        if let Err(why) = add(&self.task.to, sections, &self.task.facts) {
            // Where nobody reads it, nobody is to be told.
            rustix::io::write(&self.stderr, format!("sandboxed: {why}\n").as_bytes())
                .map(drop)
                .unwrap_or_default();
        }
    }
}

fn word_of(placement: Placement) -> String {
    match placement {
        Placement::Process => String::new(),
        placement => placement.word().to_owned(),
    }
}

/// What is no matter of success: a new thread's parent does not return where it is looked at.
fn counted_at_once(thread: Pid, name: &str, call: &Call) -> Option<Use> {
    let flags = match name {
        "clone" => call.arguments[0],
        "clone3" => {
            let mut flags = [0; 8];
            ptrace::read(thread, call.arguments[0], &mut flags);
            u64::from_ne_bytes(flags)
        }
        "fork" | "vfork" => 0,
        _ => return None,
    };
    (flags & libc::CLONE_THREAD as u64 == 0).then(|| Use::new("processes", ""))
}

/// What is to be learned from one call.
struct Lesson<'a> {
    learner: &'a Learner,
    uses: Vec<Use>,
    missing: Option<Use>,
    made: Option<PathBuf>,
}

impl Lesson<'_> {
    fn add(&mut self, thread: Pid, need: &Need, name: &str, call: &Call) {
        match need {
            Need::File(right, found) => self.file(thread, *right, found),
            Need::New(right, found) => {
                // What is in a directory that was made has its place said already.
                let home = self.lasting(found.home());
                let object = if home.ends_with("/*") { home } else { inside(Path::new(&home)) };
                self.uses.push(Use::new(right.to_string(), object));
            }
            Need::Entry(right, found) => self.entry(*right, found),
            Need::Linked(_) | Need::Ioctl(..) => {}
            Need::Port(right, address) => {
                let used = right.map(|right| Use::new(right.name(), address.port().to_string()));
                self.uses.extend(used);
            }
            Need::Abstract(name) => self.uses.push(Use::new("abstract_unix_socket", name)),
            Need::Signal(number) => {
                let single = number.filter(|number| *number > 0).and_then(Pid::from_raw);
                let is_own =
                    single.and_then(process_of).is_some_and(|process| self.learner.may_signal(process));
                let whom = if single.is_some() { "" } else { "a group" };
                self.uses.extend((!is_own).then(|| Use::new("signal", whom)));
            }
            Need::Look(found) => {
                self.of("look", found);
                self.missing = self.uses.last().cloned();
            }
            Need::Metadata(found) => self.of("metadata", found),
            Need::Trace(_) => self.other(thread, name, name, call),
            Need::Unread(text) | Need::Other(text) => self.other(thread, name, text, call),
        }
    }

    fn of(&mut self, word: impl Into<String>, found: &Found) {
        let object = self.lasting(&found.shown);
        self.uses.push(Use::new(word, object));
    }

    fn file(&mut self, thread: Pid, right: Access, found: &Found) {
        match right {
            // What was open before the body is the host's to give.
            Access::IOCTL_DEV if !self.learner.has_opened(thread, &self.lasting(&found.shown)) => {}
            Access::RESOLVE_UNIX if !found.is_there() => self.of("missing_socket", found),
            _ => self.of(right.to_string(), found),
        }
        let opens = matches!(right, Access::READ_FILE | Access::READ_DIR | Access::WRITE_FILE);
        if opens && !found.is_there() {
            self.missing = Some(Use::new("missing", self.lasting(&found.shown)));
        }
    }

    fn entry(&mut self, right: Access, found: &Found) {
        let Some((_, directory)) = found.parent.as_ref() else { return };
        let object = self.lasting(directory);
        // What is in a directory that was made is in one that was there.
        let directory = object.strip_suffix("/*").map_or(object.clone(), str::to_owned);
        if right == Access::MAKE_SOCK {
            // Sockets of that family come with it.
            self.uses.push(Use::new("resolve_unix", inside(Path::new(&directory))));
        }
        self.uses.push(Use::new(right.to_string(), directory));
        if !matches!(right, Access::REMOVE_FILE | Access::REMOVE_DIR | Access::REFER) {
            // What takes its name is not what a grant of that name would open.
            self.made = Some(found.shown.clone());
        }
    }

    /// A path by a name that it has in other runs too.
    fn lasting(&self, path: &Path) -> String {
        let made =
            self.learner.made.iter().find(|made| path.starts_with(made)).and_then(|made| made.parent());
        if let Some(directory) = made {
            return inside(directory);
        }
        let own = self.learner.own.iter().map(|process| format!("/proc/{process}"));
        let own = own.chain(["/proc/thread-self".to_owned()]);
        let mut below = own.filter_map(|own| path.strip_prefix(own).ok());
        let path = below.next().map_or_else(|| path.to_owned(), |rest| Path::new("/proc/self").join(rest));
        path.to_string_lossy().into_owned()
    }

    /// What has no path and no address.
    fn other(&mut self, thread: Pid, name: &str, text: &str, call: &Call) {
        let used = match name {
            "memfd_create" => Use::new("memory_file", ""),
            "listen" => Use::new("listen", ""),
            "mmap" => {
                return self.of("map_executable", &Named::open(call.arguments[4] as i32).find(thread, false));
            }
            // Ports and paths are said later.
            "socket" if text.starts_with("socket(AF_INET") || text.starts_with("socket(AF_UNIX") => return,
            "sendto" | "sendmsg" | "sendmmsg" | "execve" | "execveat" => return,
            _ => Use::new("refused", text),
        };
        self.uses.push(used);
    }
}
