//! Who wants to know what calls are denied: closures, tests, assertions.

use super::here;
use crate::denial::Denial;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type List = Arc<Mutex<Vec<Denial>>>;

thread_local! {
    /// One list for each [`observe`] that this thread is in.
    static LISTS: RefCell<Vec<List>> = const { RefCell::new(Vec::new()) };
}

/// Runs a closure, and returns what calls of sandboxed functions made inside it were denied, beside its result.
///
/// Calls that the closure makes on this thread, or through [`map`](crate::map()), are observed; those of other threads are
/// not. Each different denial is there
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
        let list = std::mem::take(&mut *lock(&self.list));
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

pub(super) fn tell(denials: &[Denial]) {
    LISTS.with_borrow(|lists| lists.iter().for_each(|list| add(&mut lock(list), denials, |_| {})));
}

/// What is there already is only counted.
pub(super) fn add(list: &mut Vec<Denial>, denials: &[Denial], is_new: impl Fn(&Denial)) {
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

fn lock(list: &List) -> MutexGuard<'_, Vec<Denial>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
