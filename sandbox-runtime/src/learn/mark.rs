//! How an observer that learns is told whose calls those of a thread are: by an option of `prctl(2)` that no kernel knows,
//! which the filter of [`Locks::unenforced`](crate::enforce::Locks::unenforced) hands to the tracer. Without one it is
//! refused with `EINVAL`, and nothing happens.

use crate::enforce::mark::LEARN;
use crate::sys::process::ask_prctl;
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, Ordering};

/// The function that the observer was begun for.
pub(crate) const OBSERVED: u64 = u64::MAX;
/// The library itself, whose calls nobody's policy needs to grant.
pub(crate) const NOBODY: u64 = u64::MAX - 1;

/// What the second argument says.
pub(crate) const ASK: u64 = 0;
pub(crate) const BEGIN: u64 = 1;
pub(crate) const END: u64 = 2;

/// Whether this process has been learned from: elsewhere no filter is asked, which would refuse it.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Somebody in this process is going to be learned from.
pub(crate) fn start() {
    STARTED.store(true, Ordering::Release);
}

fn say(step: u64, function: u64) -> bool {
    STARTED.load(Ordering::Acquire) && ask_prctl(LEARN, step, function) == Err(Errno::ACCESS)
}

/// Whether the calling thread is learned from.
pub(crate) fn is_here() -> bool {
    say(ASK, 0)
}

/// From now on this thread works for a function, by its place in the list, and for those that it worked for before.
pub(crate) fn begin(function: u64) {
    say(BEGIN, function);
}

/// No longer.
pub(crate) fn end() {
    say(END, 0);
}

/// Does what the library does by itself, in the midst of a body that is learned from.
pub(crate) fn unlearned<R>(work: impl FnOnce() -> R) -> R {
    /// Ends it where `work` panics too, as a logger of the program's may.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            end();
        }
    }
    begin(NOBODY);
    let _end = End;
    work()
}
