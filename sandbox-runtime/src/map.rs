//! Many calls at once: a function over an iterator, in threads of the host.

#[cfg(test)]
mod tests;

use crate::observe::Listeners;
use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, FusedIterator};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Calls a function for each item, several calls at once, and gives the results in the order of the items.
///
/// The function is an ordinary closure, which may borrow what is around it. It runs in threads that end before this
/// returns; what is sandboxed is what it calls. The call of a `process` function keeps a worker process busy, its thread
/// here only waits.
///
/// ```
/// # use sandboxed_runtime as sandboxed;
/// # fn decode(file: &[u8]) -> Result<usize, sandboxed::Error> { Ok(file.len()) }
/// let files = [b"one".as_slice(), b"three"];
/// let images: Vec<usize> = sandboxed::map(&files, |file| decode(file)).collect::<Result<_, sandboxed::Error>>()?;
/// assert_eq!(images, [3, 5]);
/// # Ok::<(), sandboxed::Error>(())
/// ```
///
/// Nothing happens before [`collect`](Map::collect), [`for_each`](Map::for_each) or [`run`](Map::run). What these give is
/// what the standard library's [`Iterator::map`] gives, sooner:
///
/// - Items are drawn, results are consumed and progress is told in the caller's thread, so none of these need be `Send`.
///   An item that is long in coming keeps back results that are there: slow work belongs in the function.
/// - Items are drawn when results are asked for, at most [`window`](Map::window) ahead of them, so there may be endlessly
///   many. Once the consumer stops, no item is drawn and no call begins; calls that run are waited for.
/// - A panic of a call goes on in the caller in the place of its result, and likewise stops everything. So do those of
///   the iterator, of the consumer and of what is told of progress.
///
/// # Panics
///
/// As the closures do; and where not even one thread can be started.
pub fn map<I, F, R>(items: I, call: F) -> Map<I::IntoIter, F>
where
    I: IntoIterator,
    I::Item: Send,
    F: Fn(I::Item) -> R + Sync,
    R: Send,
{
    Map { items: items.into_iter(), call, workers: None, window: None, progress: |_| () }
}

/// Calls that are to be made: see [`map`].
#[must_use = "no call is made before `collect`, `for_each` or `run`"]
pub struct Map<I, F, P = fn(Progress)> {
    items: I,
    call: F,
    workers: Option<usize>,
    window: Option<usize>,
    progress: P,
}

/// How far the calls of a [`map`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Calls that have begun; those that have ended are among them.
    pub started: u64,
    /// Calls that have ended, in whatever way.
    pub finished: u64,
    /// How many there will be, if the iterator knew it exactly at the beginning ([`Iterator::size_hint`]).
    pub total: Option<u64>,
}

impl<I, F, P> Map<I, F, P> {
    /// How many calls run at once, at most. By default as many as [`thread::available_parallelism`] says, or one where
    /// that is not known. More are of use where calls wait.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn workers(self, most: usize) -> Self {
        assert_ne!(most, 0, "`workers` takes at least 1");
        Map { workers: Some(most), ..self }
    }

    /// How many items are drawn of which the consumer has not had the result, at most: waiting, being worked at, or done
    /// behind one that takes longer. By default twice the number of workers. A window that is smaller than that number
    /// keeps some of them idle.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub fn window(self, most: usize) -> Self {
        assert_ne!(most, 0, "`window` takes at least 1");
        Map { window: Some(most), ..self }
    }

    /// Tells of progress: in the caller's thread, whenever calls have begun or ended since it was last told, before a
    /// result is handed on and while one is waited for. While the consumer is busy it is not told.
    ///
    /// ```
    /// # use sandboxed_runtime as sandboxed;
    /// # fn decode(file: String) {}
    /// # let files = vec![String::new(); 3];
    /// let mut percent = 0;
    /// sandboxed::map(files, decode)
    ///     .progress(|now| percent = now.finished * 100 / now.total.unwrap_or(u64::MAX))
    ///     .for_each(|image| ());
    /// assert_eq!(percent, 100);
    /// ```
    pub fn progress<Q: FnMut(Progress)>(self, tell: Q) -> Map<I, F, Q> {
        let Map { items, call, workers, window, progress: _ } = self;
        Map { items, call, workers, window, progress: tell }
    }
}

impl<I, F, P, R> Map<I, F, P>
where
    I: Iterator<Item: Send>,
    F: Fn(I::Item) -> R + Sync,
    P: FnMut(Progress),
    R: Send,
{
    /// Makes the calls and collects the results, into whatever [`Iterator::collect`] does. A `Result` or an `Option` of a
    /// collection stops at the first `Err` or `None`.
    pub fn collect<C: FromIterator<R>>(self) -> C {
        self.run(|results| results.collect())
    }

    /// Makes the calls and hands each result on, in the order of the items.
    pub fn for_each(self, consume: impl FnMut(R)) {
        self.run(|results| results.for_each(consume));
    }

    /// Makes the calls and hands the results on as an ordinary iterator, for everything that one can do. It begins with
    /// the first result that is asked for, and ends with the closure, of which it returns the value.
    ///
    /// ```
    /// # use sandboxed_runtime as sandboxed;
    /// # fn decode(number: u64) -> Result<u64, sandboxed::Error> { Ok(number * 3) }
    /// let found = sandboxed::map(1.., decode).workers(4).run(|mut results| {
    ///     results.find(|result| result.as_ref().is_ok_and(|number| number % 10 == 0))
    /// });
    /// assert_eq!(found, Some(Ok(30)));
    ///
    /// sandboxed::map(0..9, decode).run(|mut results| {
    ///     results.try_for_each(|result| result.map(|number| assert!(number < 27)))
    /// })?;
    /// # Ok::<(), sandboxed::Error>(())
    /// ```
    pub fn run<T>(self, consume: impl FnOnce(Results<'_, R>) -> T) -> T {
        let Map { items, call, workers, window, progress } = self;
        let workers = workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        let window = window.unwrap_or(workers.saturating_mul(2));
        let shared = Shared::new(exact_len(&items));
        let (shared, call) = (&shared, &call);
        thread::scope(|scope| {
            let mut caller = Caller {
                scope,
                shared,
                call,
                threads: Vec::new(),
                workers: workers.min(window),
                window,
                items: items.fuse(),
                told: shared.lock().progress,
                progress,
            };
            consume(Results(&mut caller))
        })
    }
}

impl<I: fmt::Debug, F, P> fmt::Debug for Map<I, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Map { items, workers, window, .. } = self;
        let mut map = f.debug_struct("Map");
        map.field("items", items).field("workers", workers).field("window", window).finish_non_exhaustive()
    }
}

fn exact_len(items: &impl Iterator) -> Option<u64> {
    let (least, most) = items.size_hint();
    (most == Some(least)).then_some(least as u64)
}

/// The results of a [`map`], in the order of its items: see [`Map::run`].
pub struct Results<'a, R>(&'a mut dyn Iterator<Item = R>);

impl<R> Iterator for Results<'_, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<R> FusedIterator for Results<'_, R> {}

impl<R> fmt::Debug for Results<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Results").field(&self.0.size_hint()).finish()
    }
}

/// What the caller and the threads share.
struct Shared<T, R> {
    state: Mutex<State<T, R>>,
    /// For the threads: there is an item, or they are to stop.
    to_do: Condvar,
    /// For the caller: a call has begun or ended.
    news: Condvar,
}

struct State<T, R> {
    /// Items that wait for a thread, with their numbers.
    queue: VecDeque<(u64, T)>,
    /// How many results the caller has had: the number of the first item in the window.
    handed_on: u64,
    /// For each item that was drawn since, its result once there is one.
    window: VecDeque<Option<thread::Result<R>>>,
    progress: Progress,
    stopped: bool,
}

impl<T, R> Shared<T, R> {
    fn new(total: Option<u64>) -> Shared<T, R> {
        let state = State {
            queue: VecDeque::new(),
            handed_on: 0,
            window: VecDeque::new(),
            progress: Progress { started: 0, finished: 0, total },
            stopped: false,
        };
        Shared { state: Mutex::new(state), to_do: Condvar::new(), news: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, R>> {
        // It is never poisoned: no closure of the user, and no destructor, runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, item: T) {
        let mut state = self.lock();
        let number = state.handed_on + state.window.len() as u64;
        state.window.push_back(None);
        state.queue.push_back((number, item));
        self.to_do.notify_one();
    }

    /// What a thread does until it is stopped.
    fn work(&self, call: impl Fn(T) -> R) {
        let mut state = self.lock();
        while !state.stopped {
            let Some((number, item)) = state.queue.pop_front() else {
                state = self.to_do.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.progress.started += 1;
            self.news.notify_one();
            drop(state);
            // The panic goes on in the caller, so nobody sees what it left in pieces who would not without threads.
            let result = catch_unwind(AssertUnwindSafe(|| call(item)));
            state = self.lock();
            // A number in the window, of which the length is a `usize`.
            let place = (number - state.handed_on) as usize;
            state.window[place] = Some(result);
            state.progress.finished += 1;
            self.news.notify_one();
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.to_do.notify_all();
    }
}

/// The caller's side. Dropped when the consumer is done or panics.
struct Caller<'scope, 'env, I: Iterator, F, P, R> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared<I::Item, R>,
    call: &'scope F,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
    workers: usize,
    window: usize,
    items: Fuse<I>,
    progress: P,
    /// What it was last told.
    told: Progress,
}

impl<I, F, P, R> Iterator for Caller<'_, '_, I, F, P, R>
where
    I: Iterator<Item: Send>,
    F: Fn(I::Item) -> R + Sync,
    P: FnMut(Progress),
    R: Send,
{
    type Item = R;

    fn next(&mut self) -> Option<R> {
        // One item in the place of the result that goes out, so that the threads do not run dry while the consumer is
        // busy. More only as long as the result is not there, so that a slow iterator does not keep it back.
        while self.draw() {
            self.tell();
            if self.is_ready() {
                break;
            }
        }
        loop {
            self.tell();
            let mut state = self.shared.lock();
            if state.progress != self.told {
                continue;
            }
            if let Some(result) = state.window.front_mut()?.take() {
                state.window.pop_front();
                state.handed_on += 1;
                drop(state);
                return Some(result.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            drop(self.shared.news.wait(state));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let drawn = self.shared.lock().window.len();
        let (least, most) = self.items.size_hint();
        (least.saturating_add(drawn), most.and_then(|most| most.checked_add(drawn)))
    }
}

impl<I, F, P, R> Caller<'_, '_, I, F, P, R>
where
    I: Iterator<Item: Send>,
    F: Fn(I::Item) -> R + Sync,
    P: FnMut(Progress),
    R: Send,
{
    /// Draws an item, if there is one and the window has room.
    fn draw(&mut self) -> bool {
        let has_room = self.shared.lock().window.len() < self.window;
        let Some(item) = has_room.then(|| self.items.next()).flatten() else { return false };
        if self.threads.len() < self.workers {
            self.spawn();
        }
        self.shared.add(item);
        true
    }

    fn spawn(&mut self) {
        let (shared, call) = (self.shared, self.call);
        let thread = thread::Builder::new().name("sandboxed::map".to_owned());
        let listeners = Listeners::of_caller();
        let work = move || {
            listeners.listen();
            shared.work(call)
        };
        match thread.spawn_scoped(self.scope, work) {
            Ok(thread) => self.threads.push(thread),
            // Those that are there make the calls too.
            Err(error) => assert!(!self.threads.is_empty(), "sandboxed::map: cannot start a thread: {error}"),
        }
    }

    /// Whether the next result is there.
    fn is_ready(&self) -> bool {
        self.shared.lock().window.front().is_some_and(Option::is_some)
    }

    fn tell(&mut self) {
        let now = self.shared.lock().progress;
        if now != self.told {
            self.told = now;
            (self.progress)(now);
        }
    }
}

impl<I: Iterator, F, P, R> Drop for Caller<'_, '_, I, F, P, R> {
    fn drop(&mut self) {
        self.shared.stop();
        // The scope would not wait for the destructors of thread-locals.
        for thread in self.threads.drain(..) {
            // A panic is a result, so there is none here.
            drop(thread.join());
        }
    }
}
