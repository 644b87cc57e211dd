//! Who wants to know what calls are denied: closures, tests, assertions.

use super::here;
use crate::denial::{By, Denial};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many different denials are kept in one list, and as many missing files.
const MOST: usize = 4096;

type List = Arc<Mutex<Heard>>;

#[derive(Debug, Default)]
struct Heard {
    denials: Vec<Denial>,
    /// Whether the use of grants is of interest.
    wants_uses: bool,
    /// Whether the body is a test, which may know what it was denied.
    is_test: bool,
    /// The grants that no call has used; `None` before the first.
    unused: Option<BTreeSet<String>>,
    /// What cannot be seen of some call, if anything.
    unseen: Option<String>,
}

thread_local! {
    /// One list for each [`observe`] that this thread is in.
    static LISTS: RefCell<Vec<List>> = const { RefCell::new(Vec::new()) };
}

/// Runs a closure, and returns what calls of sandboxed functions made inside it were denied, beside its result.
///
/// Calls that the closure makes on this thread, or through [`map`](crate::map()), are observed; those of other threads are
/// not. Each different denial is there
/// once, in the order of the last time, with how often it came ([`Denial::count`]). What file permissions refuse is there too,
/// and files that a call named and that are not there ([`By::Missing`]; not with `namespaces`, where a file may be
/// missing for the sandbox's own root): who wants what the sandbox refused, and no more, keeps those of which
/// [`By::is_sandbox`] is true.
///
/// A call that a limit refuses is a denial too ([`By::Limit`]), with the key that would raise it: `ENOMEM` of `mmap` and
/// `mremap` under `memory`, `EFBIG` under `file_size`, `EMFILE` under `open_files`, `EAGAIN` of a new thread under
/// `threads`. What ends the body is no denial but the call's error: `timeout`, `cpu`, its stack, the kernel's OOM killer.
/// Nor is what a call does in part: a short write before `EFBIG`, descriptors that a message loses.
///
/// Where a process may not be traced (under a debugger, in some containers, with `kernel.yama.ptrace_scope` at 2 or 3), only
/// what the sandbox's filter refuses is seen, by `seccomp_unotify(2)` (Linux 5.9): with errno and call, and mostly without
/// paths; what Landlock, limits and file permissions refuse is not, but for what the kernel's audit records say of a worker,
/// where auditing is on and this program may hear of it (root; Landlock ABI 7). `log` says so at warn level, with the
/// reason. Where that is not possible either, since somebody else has such a listener, nothing is seen.
///
/// An observed call has a worker of its own, whatever `workers` says, and takes about 2 ms more; each call that the
/// kernel might refuse takes some 10 µs more. Nothing else is different: whatever is denied is denied.
///
/// ```
/// # use sandboxed_runtime as sandboxed;
/// let (sum, denials) = sandboxed::observe(|| 2 + 2);
/// assert_eq!((sum, denials.len()), (4, 0));
/// let refused: Vec<_> = denials.into_iter().filter(|denial| denial.by.is_sandbox()).collect();
/// ```
pub fn observe<R>(body: impl FnOnce() -> R) -> (R, Vec<Denial>) {
    let watching = Watching::at(None);
    let result = body();
    (result, watching.end().unwrap_or_default())
}

/// A test that says what is denied to it: the body runs observed. With `none`, it fails where anything is; with
/// `all_used` where a grant is not used; with either of them also where that cannot be seen.
///
/// # Errors
///
/// Those of the body.
#[track_caller]
pub fn observed_test<R>(
    none: bool,
    all_used: bool,
    body: impl FnOnce() -> Result<R, crate::Error>,
) -> Result<R, crate::Error> {
    let watching = Watching::at(None);
    {
        let mut heard = lock(&watching.list);
        (heard.wants_uses, heard.is_test) = (all_used, true);
    }
    let result = body();
    let (unused, unseen) = {
        let mut heard = lock(&watching.list);
        (heard.unused.take().unwrap_or_default(), heard.unseen.take())
    };
    let denials = watching.end().unwrap_or_default();
    // What cannot be told may have been the sandbox.
    let is_denied = |denial: &&Denial| denial.by.is_sandbox() || denial.by == By::Unknown;
    let mut denied = denials.iter().filter(|denial| none && is_denied(denial)).peekable();
    if denied.peek().is_some() {
        let text: Vec<String> = denied.map(|denial| format!("\n{denial}")).collect();
        let failed = result.err().map_or_else(String::new, |error| format!("\nand it failed: {error}"));
        panic!("denied, where nothing was to be:{}{failed}", text.concat());
    }
    if let (Some(unseen), true) = (unseen, none || all_used) {
        panic!("what was expected cannot be checked: {unseen}");
    }
    if let (Ok(_), false) = (&result, unused.is_empty()) {
        let text: Vec<String> = unused.iter().map(|grant| format!("\n  `{grant}`")).collect();
        panic!("granted, and not used:{}", text.concat());
    }
    result
}

/// While it lives, what the calling thread's calls are denied is seen; in a sandbox that is observed, what that is
/// denied.
#[derive(Debug)]
pub struct Watching {
    turn: Option<u64>,
    list: List,
}

impl Watching {
    /// Begins.
    pub fn begin() -> Watching {
        Watching::at(here::turn())
    }

    fn at(turn: Option<u64>) -> Watching {
        let list = List::default();
        LISTS.with_borrow_mut(|lists| lists.push(Arc::clone(&list)));
        Watching { turn, list }
    }

    /// What was denied since then, by the sandbox or not; `None` where nobody looks on, and no call was observed.
    pub(crate) fn end(self) -> Option<Vec<Denial>> {
        let list = std::mem::take(&mut lock(&self.list).denials);
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
        LISTS.with_borrow_mut(|lists| lists.retain(|list| !Arc::ptr_eq(list, &self.list)));
    }
}

/// Who listens to the calling thread, for the threads that work for it.
pub(crate) struct Listeners(Vec<List>);

impl Listeners {
    pub(crate) fn of_caller() -> Listeners {
        Listeners(LISTS.with_borrow(Clone::clone))
    }

    /// From now on they listen to the calling thread too.
    pub(crate) fn listen(&self) {
        LISTS.with_borrow_mut(|lists| lists.extend(self.0.iter().cloned()));
    }
}

/// Whether anybody listens to the calling thread.
pub(super) fn are_there() -> bool {
    LISTS.with_borrow(|lists| !lists.is_empty())
}

/// Whether what is called is a test. Nobody else may see in a sandbox what was found out outside of it.
pub(super) fn are_tests() -> bool {
    LISTS.with_borrow(|lists| lists.iter().any(|list| lock(list).is_test))
}

/// Whether one of them wants to know which grants are used.
pub(super) fn want_uses() -> bool {
    LISTS.with_borrow(|lists| lists.iter().any(|list| lock(list).wants_uses))
}

/// What a call was denied, and which of its grants it did not use.
pub(super) fn tell(denials: &[Denial], unused: BTreeSet<String>) {
    LISTS.with_borrow(|lists| {
        for list in lists {
            let mut heard = lock(list);
            add(&mut heard.denials, denials, |_| {});
            if heard.wants_uses {
                let known = heard.unused.take();
                heard.unused = Some(known.map_or_else(|| unused.clone(), |known| &known & &unused));
            }
        }
    });
}

/// What cannot be seen of a call.
pub(super) fn tell_unseen(unseen: &str) {
    LISTS.with_borrow(|lists| lists.iter().for_each(|list| lock(list).unseen = Some(unseen.to_owned())));
}

/// What is there already is only counted. Of hostile calls there could be any number.
pub(super) fn add(list: &mut Vec<Denial>, denials: &[Denial], is_new: impl Fn(&Denial)) {
    for denial in denials {
        let is_missing = denial.by == By::Missing;
        let has_room = list.iter().filter(|known| (known.by == By::Missing) == is_missing).count() < MOST;
        match list.iter_mut().find(|known| known.is_same(denial)) {
            Some(known) => known.count += denial.count,
            None if has_room => {
                is_new(denial);
                list.push(denial.clone());
            }
            None => {}
        }
    }
}

fn lock(list: &List) -> MutexGuard<'_, Heard> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
