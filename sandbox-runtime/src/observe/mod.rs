//! What was denied: observation of calls, by a process that traces them.
//!
//! Off unless `SANDBOXED_EXPLAIN` is set or a call is made inside [`observe`]; then the way of a call is the same but for
//! an [`observer`], which the forkserver forks, and two more filters in the sandbox. A [`link`] joins the two until the
//! one traces the other; what it sees it leaves in a [`report`], which is read when the call is over.

pub(crate) mod explain;
pub(crate) mod here;
pub(crate) mod link;
pub(crate) mod observer;
pub(crate) mod report;

use crate::denial::Denial;
use crate::forkserver;
use crate::plan::{Placement, Plan};
use crate::registry::Function;
use explain::Format;
use link::{Link, Wanted};
use observer::{Facts, Task};
use report::Reader;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::cell::RefCell;
use std::sync::{Mutex, OnceLock, PoisonError};

thread_local! {
    /// One list for each [`observe`] that this thread is in.
    static LISTS: RefCell<Vec<Vec<Denial>>> = const { RefCell::new(Vec::new()) };
}

/// What was printed so far, for the summary.
static EXPLAINED: Mutex<Vec<Denial>> = Mutex::new(Vec::new());

/// As the environment asked when it was first looked at.
fn format() -> Option<Format> {
    static FORMAT: OnceLock<Option<Format>> = OnceLock::new();
    *FORMAT.get_or_init(|| {
        let format = Format::asked();
        if format.is_some() {
            crate::sys::process::at_exit(summarise);
        }
        format
    })
}

extern "C" fn summarise() {
    if let Some(format) = format() {
        let explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
        eprint!("{}", format.summary(&explained));
    }
}

/// Whether the next call of this thread is to be observed.
pub(crate) fn is_on() -> bool {
    LISTS.with_borrow(|lists| !lists.is_empty()) || format().is_some()
}

/// Runs a closure, and returns what calls of sandboxed functions made inside it were denied, beside its result.
///
/// Calls that the closure makes on this thread are observed; those of other threads are not. Each different denial is there
/// once, in the order of the last time, with how often it came ([`Denial::count`]). What file permissions refuse is there too:
/// see [`By`](crate::By).
///
/// Where a process may not be traced (under a debugger, with `kernel.yama.ptrace_scope` at 2 or 3), calls run unobserved:
/// there are no denials then, and `log` says why at warn level.
///
/// An observed call has a worker of its own, whatever `workers` says, and takes about 2 ms more; each call that the
/// kernel might refuse takes some 10 µs more. Nothing else is different: whatever is denied is denied.
///
/// ```
/// # use sandboxed_runtime as sandboxed;
/// let (sum, denials) = sandboxed::observe(|| 2 + 2);
/// assert_eq!((sum, denials.len()), (4, 0));
/// ```
pub fn observe<R>(body: impl FnOnce() -> R) -> (R, Vec<Denial>) {
    let watching = Watching::at(None);
    let result = body();
    (result, watching.end().unwrap_or_default())
}

/// A test that says what is denied to it: the body runs observed. With `none`, it fails where anything is.
///
/// # Errors
///
/// Those of the body.
#[track_caller]
pub fn observed_test<R>(
    none: bool,
    body: impl FnOnce() -> Result<R, crate::Error>,
) -> Result<R, crate::Error> {
    let (result, denials) = observe(body);
    let mut denied = denials.iter().filter(|denial| none && denial.by.is_sandbox()).peekable();
    if denied.peek().is_some() {
        let text: Vec<String> = denied.map(|denial| format!("\n{denial}")).collect();
        let failed = result.err().map_or_else(String::new, |error| format!("\nand it failed: {error}"));
        panic!("denied, where nothing was to be:{}{failed}", text.concat());
    }
    result
}

/// While it lives, what the calling thread's calls are denied is seen; in a sandbox that is observed, what that is
/// denied.
#[derive(Debug)]
pub struct Watching {
    turn: Option<u64>,
    depth: usize,
}

impl Watching {
    /// Begins.
    pub fn begin() -> Watching {
        Watching::at(here::turn())
    }

    fn at(turn: Option<u64>) -> Watching {
        let depth = LISTS.with_borrow_mut(|lists| {
            lists.push(Vec::new());
            lists.len()
        });
        Watching { turn, depth }
    }

    /// What was denied since then, by the sandbox or not; `None` where nobody looks on, and no call was observed.
    pub(crate) fn end(self) -> Option<Vec<Denial>> {
        let list = LISTS.with_borrow_mut(|lists| lists.get_mut(self.depth - 1).map(std::mem::take));
        let list = list.unwrap_or_default();
        match self.turn {
            Some(turn) => {
                let seen = here::since(turn).into_iter().map(|seen| seen.named("this sandbox", "", 1));
                Some(seen.chain(list).collect())
            }
            None => (!list.is_empty()).then_some(list),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        LISTS.with_borrow_mut(|lists| lists.truncate(self.depth - 1));
    }
}

/// An observer that waits to be told whom to trace.
#[derive(Debug)]
pub(crate) struct Watch {
    function: &'static Function,
    link: Option<OwnedFd>,
    file: OwnedFd,
    reader: Reader,
}

impl Watch {
    /// Asks the forkserver for one. `None` where observation is off, or none is to be had, which is said.
    pub(crate) fn begin(
        function: &'static Function,
        plan: &Plan,
        ruleset: Option<BorrowedFd<'_>>,
    ) -> Option<Watch> {
        // From inside a sandbox no observer is asked for.
        if !is_on() || forkserver::is_out_of_reach() != Ok(false) {
            return None;
        }
        match Watch::start(function, plan, ruleset) {
            Ok(watch) => Some(watch),
            Err(why) => {
                cannot(function, &why);
                None
            }
        }
    }

    fn start(
        function: &'static Function,
        plan: &Plan,
        ruleset: Option<BorrowedFd<'_>>,
    ) -> Result<Watch, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let server = forkserver::current().map_err(|error| failed(&error))?;
        let file = report::file().map_err(|error| failed(&error))?;
        let reader = Reader::new(file.as_fd()).map_err(|error| failed(&error))?;
        let [ours, theirs] = Link::pair().map_err(|error| failed(&error))?;
        let is_worker = plan.placement == Placement::Process;
        let facts = Facts {
            placement: plan.placement,
            abi: plan.kernel.abi,
            open_files: plan.limits.open_files.filter(|_| is_worker).map(u64::from),
        };
        // The program's own stderr, where nobody reads the report when it is over.
        let print = format().filter(|_| plan.placement == Placement::InPlace);
        let print = print.map(|format| (format, function.name.to_owned(), place(function)));
        let capabilities = is_worker.then(|| plan.capabilities.clone());
        let stderr = print.is_some().then(|| rustix::stdio::stderr());
        let task = Task { facts, ruleset: ruleset.is_some(), capabilities, print };
        let fds: Vec<BorrowedFd<'_>> =
            [theirs.as_fd(), file.as_fd()].into_iter().chain(ruleset).chain(stderr).collect();
        server.observer(&task, &fds).map_err(|error| failed(&error))?;
        Ok(Watch { function, link: Some(ours), file, reader })
    }

    /// What a worker needs to be observed: its end of the link, and the report.
    pub(crate) fn for_worker(&mut self) -> Option<[OwnedFd; 2]> {
        let report = self.file.try_clone().ok()?;
        self.link.take().map(|link| [link, report])
    }

    /// Has the observer trace the calling thread. Says whether it does.
    pub(crate) fn attach_thread(&mut self) -> bool {
        let thread = rustix::thread::gettid().as_raw_pid();
        let attached = self.attach(Wanted::Thread { thread, kill: false });
        if let Some(reader) = attached {
            here::begin_in_thread(reader);
            return true;
        }
        false
    }

    /// Has the observer trace every thread of this process, for good. Says whether it does.
    pub(crate) fn attach_process(mut self) -> bool {
        let process = rustix::process::getpid().as_raw_pid();
        let attached = self.attach(Wanted::Process(process));
        if let Some(reader) = attached {
            here::begin(reader);
            return true;
        }
        false
    }

    /// A reader for the observed, if it is.
    fn attach(&mut self, wanted: Wanted) -> Option<Reader> {
        // One at a time may say who may trace this process.
        static ATTACHING: Mutex<()> = Mutex::new(());
        let _attaching = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
        match Link::new(self.link.take()?).attach(wanted) {
            Ok(()) => Reader::new(self.file.as_fd()).ok(),
            Err(why) => {
                cannot(self.function, &why);
                None
            }
        }
    }

    /// When the call is over: tells everybody who asked.
    pub(crate) fn end(self) -> Vec<Denial> {
        if let Some(why) = self.reader.failure() {
            cannot(self.function, &why);
        }
        let left_out = self.reader.left_out();
        if left_out > 0 {
            log::warn!(
                "{left_out} denials of `{}` are not in the report: there were too many",
                self.function.name
            );
        }
        let denials: Vec<Denial> =
            self.reader.since(0).into_iter().map(|(seen, count)| seen.of(self.function, count)).collect();
        tell(&denials);
        denials
    }
}

pub(crate) fn place(function: &Function) -> String {
    format!("{}:{}:{}", function.file, function.line, function.column)
}

/// To every [`observe`] that the calling thread is in, and to who reads stderr.
fn tell(denials: &[Denial]) {
    LISTS.with_borrow_mut(|lists| lists.iter_mut().for_each(|list| add(list, denials, |_| {})));
    if let Some(format) = format() {
        let mut explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut explained, denials, |denial| eprint!("{}", format.denial(denial)));
    }
}

/// What is there already is only counted.
fn add(list: &mut Vec<Denial>, denials: &[Denial], is_new: impl Fn(&Denial)) {
    for denial in denials {
        let is_same = |known: &&mut Denial| Denial { count: denial.count, ..(**known).clone() } == *denial;
        match list.iter_mut().find(is_same) {
            Some(known) => known.count += denial.count,
            None => {
                is_new(denial);
                list.push(denial.clone());
            }
        }
    }
}

/// Says why a call runs unobserved.
fn cannot(function: &Function, why: &str) {
    log::warn!("`{}` cannot be observed: {why}", function.name);
    if format().is_some() {
        eprintln!("sandboxed: `{}` runs unobserved, so what it is denied is not shown: {why}", function.name);
    }
}
