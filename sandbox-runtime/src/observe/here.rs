//! Inside a sandbox that is observed: what was denied to it so far, for assertions.

use super::report::{Reader, Seen};
use crate::enforce::mark::NOTE;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of a worker, or of a process that is restricted in place: one for all its threads. Of a sandboxed thread, its own.
static PROCESS: Mutex<Option<Here>> = Mutex::new(None);

/// Whether somebody who may not trace this process is asked what to answer.
static IS_LISTENED: AtomicBool = AtomicBool::new(false);

/// The report, where it may be read here.
type Here = Option<&'static Reader>;

thread_local! {
    static THREAD: std::cell::Cell<Option<Here>> = const { std::cell::Cell::new(None) };
}

/// From now on this process is observed. A test may read the report; for others it would be a way to learn what is
/// outside.
pub(crate) fn begin(reader: Option<Reader>) {
    *lock() = Some(reader.map(leaked));
}

/// From now on it is known to whoever has the listener of this process's filter.
pub(crate) fn begin_listened() {
    IS_LISTENED.store(true, Ordering::Relaxed);
}

/// From now on the calling thread is.
pub(crate) fn begin_in_thread(reader: Option<Reader>) {
    THREAD.set(Some(reader.map(leaked)));
}

fn leaked(reader: Reader) -> &'static Reader {
    Box::leak(Box::new(reader))
}

/// Whether somebody looks on.
pub(crate) fn is_observed() -> bool {
    THREAD.get().is_some() || lock().is_some()
}

fn lock() -> std::sync::MutexGuard<'static, Option<Here>> {
    PROCESS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn reader() -> Option<&'static Reader> {
    THREAD.get().or_else(|| *lock()).flatten()
}

/// Where the report stands; `None` where nobody looks on.
pub(crate) fn turn() -> Option<u64> {
    reader().map(Reader::turn)
}

/// What was denied since then.
pub(crate) fn since(turn: u64) -> Vec<Seen> {
    reader().map(|reader| reader.since(turn)).unwrap_or_default().into_iter().map(|(seen, _)| seen).collect()
}

/// Runs what is ours and no body's, in a process that is restricted in place: what it is refused is not reported.
pub(crate) fn quietly<R>(ours: impl FnOnce() -> R) -> R {
    let _quiet = Quiet::begin();
    ours()
}

/// While it lives, what the calling thread is refused is not reported. It ends where `ours` panics too, as a logger of the
/// program's may.
struct Quiet;

impl Quiet {
    /// `None` where nobody looks on.
    fn begin() -> Option<Quiet> {
        let is_observed = IS_LISTENED.load(Ordering::Relaxed) || lock().is_some();
        is_observed.then(|| {
            Quiet::say(1);
            Quiet
        })
    }

    fn say(quiet: u64) {
        // The observer sees it; the kernel knows no such option.
        let _answer = crate::sys::process::ask_prctl(NOTE, quiet, 0);
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        Quiet::say(0);
    }
}
