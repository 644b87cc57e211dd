//! `SANDBOXED_LEARN`: functions run without enforcement, under the eyes of an observer, which writes down the smallest
//! policy that would have let them do what they did.
//!
//! There is nothing of this without the feature `learn`. With it, and with the variable set, a call's way is the same but
//! for what locks it: [`Locks::unenforced`] takes the place of the plan's locks, and has nothing in it but a filter that
//! tells a tracer of calls that grants are about. What runs neither locked nor observed does not run.
//!
//! | step | module |
//! |---|---|
//! | whose calls those of a thread are | `mark` |
//! | calls to uses | `observe::observer::lesson` |
//! | uses of one run to uses of any | `uses` |
//! | uses to grants | `grants` |
//! | grants to the file, with those of other runs | `file` |

pub(crate) mod file;
pub(crate) mod grants;
pub(crate) mod mark;
pub(crate) mod uses;

use crate::enforce::Locks;
use crate::error::Error;
use crate::forkserver;
use crate::observe::link::{Attached, Link, Wanted};
use crate::plan::{Capability, Kernel, Placement, Plan, plan};
use crate::policy::{Demand, Memory, Policy, Timeout, Workers};
use crate::pool::cannot_start;
use crate::registry::{FUNCTIONS, Function};
use crate::worker::message_of;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use uses::Facts;

/// The variable: the file to write to.
const VARIABLE: &str = "SANDBOXED_LEARN";

/// What an observer that learns is told when it is forked. Descriptors: its end of the link, what it closes when the
/// function is written down, the host's stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Whose body is observed, by its place in the list of functions.
    pub(crate) function: u64,
    pub(crate) placement: Placement,
    /// What its attribute says beside grants.
    pub(crate) keep: String,
    pub(crate) facts: Facts,
    /// The file, by its absolute path.
    pub(crate) to: PathBuf,
}

/// Where to write, as the environment said when it was first looked at; by then it is said what that means.
fn target() -> Option<&'static Path> {
    static TARGET: OnceLock<Option<PathBuf>> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        // A set-user-ID program runs unenforced for no stranger.
        let asked = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        let asked = asked.filter(|_| !crate::sys::startup::is_secure_execution())?;
        let target = std::path::absolute(asked).ok()?;
        eprintln!(
            "sandboxed: {VARIABLE} is set: functions run UNENFORCED; what they use goes to {}",
            target.display()
        );
        Some(target)
    });
    target.as_deref()
}

pub(crate) fn is_on() -> bool {
    target().is_some()
}

/// Where the program starts.
pub(crate) fn warn_of_release() {
    if cfg!(not(debug_assertions)) {
        eprintln!("sandboxed: this is a release build with the feature `learn`: it must not be shipped");
    }
}

/// A plan that limits as the policy says, and refuses nothing.
pub(crate) fn unrefusing_plan(
    function: &Function,
    policy: &Policy,
    placement: Placement,
    kernel: Kernel,
) -> Result<Plan, Error> {
    let policy = Policy {
        // With files a body begins in the caller's directory.
        env: policy.expanded(kernel.abi).env,
        workers: Workers { reuse: 1, spare: Some(0), max: Some(1) },
        ..without_grants(policy)
    };
    let policy = Policy { threads: None, namespaces: false, demand: Demand::BestEffort, ..policy.read("/") };
    plan(&policy, placement, kernel).map_err(|why| Error::launch(function.name, why.to_string(), None))
}

fn without_grants(policy: &Policy) -> Policy {
    let empty = Policy::new();
    let quiet = policy.paths.iter().filter(|grant| grant.key.rights().is_empty()).cloned().collect();
    Policy { paths: quiet, ports: empty.ports, allow: empty.allow, presets: empty.presets, ..policy.clone() }
}

/// What an attribute says beside grants, in its words.
fn kept(function: &Function, placement: Placement, policy: &Policy) -> String {
    let mut policy = without_grants(policy);
    // Under `policy = EXPR` that of `fn main` need not be one for a program.
    let is_main = policy.is_program || function.name.ends_with("::main");
    let word = match (placement, is_main) {
        (Placement::InPlace, true) | (Placement::Process, false) => None,
        _ => Some(placement.word().to_owned()),
    };
    if policy.is_program {
        // As it is without a word.
        policy.timeout = policy.timeout.filter(|limit| *limit != Timeout::Never);
        policy.memory = policy.memory.filter(|limit| *limit != Memory::Unlimited);
    }
    let keys = Some(policy.to_string()).filter(|keys| !keys.is_empty());
    word.into_iter().chain(keys).collect::<Vec<_>>().join(", ")
}

/// What a body of this placement runs under. A worker has the capabilities that any policy could leave it.
pub(crate) fn locks(placement: Placement) -> Locks {
    Locks::unenforced(placement, vec![Capability::Mknod, Capability::NetBindService])
}

fn index_of(function: &'static Function) -> u64 {
    FUNCTIONS
        .iter()
        .position(|known| std::ptr::eq(known, function))
        .map_or(mark::NOBODY, |index| index as u64)
}

/// An observer that waits to be told whom to learn from.
#[derive(Debug)]
pub(crate) struct Lesson {
    function: &'static Function,
    link: Option<OwnedFd>,
    /// Ends when what was learned is in the file.
    written: OwnedFd,
}

impl Lesson {
    /// Asks the forkserver for one.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being had: then the body must not run.
    pub(crate) fn begin(
        function: &'static Function,
        policy: &Policy,
        placement: Placement,
    ) -> Result<Lesson, Error> {
        let failed = |errno: Errno| {
            Error::launch(function.name, format!("it cannot be learned: {errno}"), Some(errno.into()))
        };
        let [link, theirs] = Link::pair().map_err(failed)?;
        let (written, writing) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        let server = forkserver::current().map_err(|error| cannot_start(function, &error))?;
        let task = Task {
            function: index_of(function),
            placement,
            keep: kept(function, placement, policy),
            facts: Facts {
                abi: server.kernel().abi,
                temporary: std::env::temp_dir(),
                home: std::env::home_dir(),
            },
            to: target().unwrap_or(Path::new("/dev/null")).to_owned(),
        };
        let fds = [theirs.as_fd(), writing.as_fd(), rustix::stdio::stderr()];
        server.learner(&task, &fds).map_err(|error| cannot_start(function, &error))?;
        Ok(Lesson { function, link: Some(link), written })
    }

    /// What a worker needs to be observed: its end of the link.
    pub(crate) fn for_worker(&mut self) -> Result<OwnedFd, Error> {
        let name = self.function.name;
        self.link.take().ok_or_else(|| Error::launch(name, "it is learned from already", None))
    }

    fn attach(&mut self, wanted: Wanted) -> Result<(), Error> {
        mark::start();
        // One at a time may say who may trace this process.
        static ATTACHING: Mutex<()> = Mutex::new(());
        let _attaching = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |why: &str| Err(Error::launch(self.function.name, why, None));
        match self.link.take().map(|link| Link::new(link).attach(wanted)) {
            Some(Attached::Traced) => Ok(()),
            Some(Attached::Barred { why, .. } | Attached::Gone(why)) => {
                refused(&format!("it cannot be learned: {why}"))
            }
            None => refused("it is learned from already"),
        }
    }

    /// Has the observer trace every thread of this process, for good.
    pub(crate) fn attach_process(mut self) -> Result<(), Error> {
        self.attach(Wanted::Process(rustix::process::getpid().as_raw_pid()))
    }

    /// Waits until what was learned of a worker or thread that has ended is in the file.
    pub(crate) fn end(self) {
        let mut ready = [PollFd::new(&self.written, PollFlags::IN)];
        while poll(&mut ready, None) == Err(Errno::INTR) {}
    }
}

/// As `placement::thread::call`.
pub(crate) fn thread<R: Send>(
    function: &'static Function,
    policy: &Policy,
    body: impl FnOnce() -> R + Send,
) -> Result<R, Error> {
    // Inside a body that is learned from: its observer sees the threads that it starts.
    let is_nested = mark::is_here();
    let mut lesson = match is_nested {
        true => None,
        false => Some(Lesson::begin(function, policy, Placement::Thread)?),
    };
    let joined = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(function.name.to_owned());
        let thread = thread.spawn_scoped(scope, || {
            if let Some(lesson) = &mut lesson {
                let thread = rustix::thread::gettid().as_raw_pid();
                lesson.attach(Wanted::Thread { thread, kill: false })?;
                let enforced = locks(Placement::Thread).close().map_err(|error| error.of(function.name))?;
                mark::begin(mark::OBSERVED);
                return Ok(crate::placement::thread::run(&enforced, body));
            }
            let enforced = Locks::unobserved().close().map_err(|error| error.of(function.name))?;
            mark::begin(index_of(function));
            Ok(crate::placement::thread::run(&enforced, body))
        });
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    let joined = joined.map_err(|error| {
        Error::launch(function.name, format!("a thread cannot be started: {error}"), Some(error.into()))
    })?;
    lesson.into_iter().for_each(Lesson::end);
    joined.unwrap_or_else(|payload| {
        let message = message_of(&*payload);
        std::mem::forget(payload);
        let kind = crate::error::ErrorKind::Panicked { message, location: None, backtrace: None };
        Err(Error::new(function.name, kind, crate::error::Ran::Yes))
    })
}

/// As `placement::in_place::enforce`, inside a body that is learned from already: it goes on as both.
pub(crate) fn nested_in_place(function: &'static Function) -> Result<crate::enforce::Enforced, Error> {
    let enforced = Locks::unobserved().close().map_err(|error| error.of(function.name))?;
    mark::begin(index_of(function));
    Ok(enforced)
}
