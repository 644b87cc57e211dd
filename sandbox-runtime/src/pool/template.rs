//! A template, as the host has it: workers that wait, workers that are taken, and those who wait for one.

use super::lane::{Lane, Lease, OpenError};
use super::results::Results;
use crate::forkserver::{self, Forkserver, StartError};
use crate::plan::{Limits, Plan};
use crate::policy::Stdio;
use crate::sys::process::now;
use crate::wire::{MOST_WORKERS, Number, Setup, Slots, State};
use rustix::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many workers wait where nothing is said, of those that are used once.
const SPARE: usize = 2;
/// For so long at once a call waits for a worker without looking whether the template is still there.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Template {
    handle: forkserver::Template,
    slots: Slots,
    limits: Limits,
    stdio: Stdio,
    window: usize,
    numbers: Numbers,
    /// Device and inode of where the workers are.
    directory: Option<(u64, u64)>,
    /// A worker's memory, pipes and all else are closed after its first use: it may have left behind who holds them.
    is_single_use: bool,
    lanes: Mutex<Lanes>,
    calls: AtomicU32,
    is_gone: AtomicBool,
    results: Results,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    reuse: u32,
    spare: usize,
    max: usize,
    /// The spare ones are wanted from the first call on.
    early: bool,
}

#[derive(Debug, Default)]
struct Lanes {
    /// Those that nobody has taken, the last used last.
    idle: Vec<Lane>,
    /// Those that are open, idle or taken, by slot.
    open: Vec<bool>,
    /// How many were opened so far.
    opened: u32,
    /// How many calls wait for a worker.
    waiting: usize,
}

/// Why a call gets no worker.
#[derive(Debug)]
pub(crate) enum NoWorker {
    /// The template is gone.
    Gone,
    /// All were busy for as long as the call may take.
    Busy {
        max: usize,
        waited: Duration,
    },
    Start(StartError),
}

impl From<OpenError> for NoWorker {
    fn from(error: OpenError) -> NoWorker {
        match error {
            OpenError::Gone => NoWorker::Gone,
            system => NoWorker::Start(system.into()),
        }
    }
}

impl Template {
    /// Asks for one; `None` if the forkserver is gone.
    pub(super) fn start(
        server: &Arc<Forkserver>,
        plan: &Plan,
        setup: &Setup,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Option<Template>, StartError> {
        let failed =
            |errno| StartError::System("memory to share with a template", std::io::Error::from(errno));
        let (slots, file) = Slots::new().map_err(failed)?;
        let Some(handle) = server.template(setup, &file, fds)? else { return Ok(None) };
        let workers = plan.workers.in_range();
        let reuses = workers.reuse > 1;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).min(MOST_WORKERS);
        let asked = workers.spare.map(count);
        let max =
            workers.max.map_or((2 * processors).max(4).max(asked.unwrap_or(0)).min(MOST_WORKERS), count);
        let spare = asked.unwrap_or(if reuses { 0 } else { SPARE }).min(max);
        Ok(Some(Template {
            handle,
            slots,
            limits: plan.limits,
            stdio: plan.stdio,
            window: setup.window,
            directory: super::identity_of(".".as_ref()),
            numbers: Numbers { reuse: workers.reuse, spare, max, early: asked.is_some() },
            is_single_use: plan.may_give_away(),
            lanes: Mutex::default(),
            calls: AtomicU32::new(0),
            is_gone: AtomicBool::new(false),
            results: Results::default(),
        }))
    }

    pub(super) fn handle(&self) -> &forkserver::Template {
        &self.handle
    }

    pub(crate) fn server(&self) -> &Arc<Forkserver> {
        self.handle.server()
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn reuse(&self) -> u32 {
        self.numbers.reuse
    }

    pub(super) fn results(&self) -> &Results {
        &self.results
    }

    /// After so many bytes in files a worker has no more than one other call.
    pub(super) fn most_given(&self) -> u64 {
        self.limits.memory.unwrap_or(u64::MAX)
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn directory(&self) -> Option<(u64, u64)> {
        self.directory
    }

    pub(super) fn is_single_use(&self) -> bool {
        self.is_single_use
    }

    /// Whether it is known to have ended.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker for one call, whose time begins now.
    pub(crate) fn take(self: &Arc<Self>, stdin: Option<BorrowedFd<'_>>) -> Result<Lease, NoWorker> {
        let lease = self.take_or_wait(stdin).inspect_err(|error| {
            if matches!(error, NoWorker::Gone) {
                self.is_gone.store(true, Ordering::Relaxed);
                self.server().forget_if_gone();
            }
        })?;
        // The first call of a program may be its last.
        if self.calls.fetch_add(1, Ordering::Relaxed) > 0 || self.numbers.early {
            self.refill();
        }
        Ok(lease)
    }

    fn take_or_wait(self: &Arc<Self>, stdin: Option<BorrowedFd<'_>>) -> Result<Lease, NoWorker> {
        let mut since = None;
        loop {
            let rung = self.slots.rung();
            let mut lanes = self.lock();
            if let Some(lane) = self.take_idle(&mut lanes)? {
                return Ok(Lease::new(Arc::clone(self), lane));
            }
            // Of those that are about to be ready one is ours, unless others wait for it.
            if lanes.idle.len() <= lanes.waiting
                && let Some(slot) = lanes.reserve(self.numbers.max)
            {
                drop(lanes);
                return Ok(Lease::new(Arc::clone(self), self.open(slot, State::Taken, stdin)?));
            }
            lanes.waiting += 1;
            drop(lanes);
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            let left = self.limits.timeout.map_or(PATIENCE, |timeout| timeout.saturating_sub(waited));
            self.slots.wait(rung, left.min(PATIENCE));
            self.lock().waiting -= 1;
            if self.handle.has_ended() {
                self.is_gone.store(true, Ordering::Relaxed);
                return Err(NoWorker::Gone);
            }
            if left.is_zero() {
                return Err(NoWorker::Busy { max: self.numbers.max, waited });
            }
        }
    }

    /// One that waits, or one whose worker was given up for want of use.
    fn take_idle(&self, lanes: &mut Lanes) -> Result<Option<Lane>, NoWorker> {
        let deadline = self.deadline();
        let took = |lane: &Lane, from| self.slots.slot(lane.slot).take(from, deadline);
        if let Some(index) = lanes.idle.iter().rposition(|lane| took(lane, State::Ready)) {
            return Ok(Some(lanes.idle.remove(index)));
        }
        match lanes.idle.iter().rposition(|lane| took(lane, State::Empty)) {
            Some(index) => {
                let lane = lanes.idle.remove(index);
                if self.handle.fork(lane.slot).is_err() {
                    // The lanes are locked by the caller.
                    lanes.open[lane.slot.number] = false;
                    return Err(NoWorker::Gone);
                }
                Ok(Some(lane))
            }
            None => Ok(None),
        }
    }

    fn deadline(&self) -> u64 {
        let nanoseconds = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.limits.timeout.map_or(u64::MAX, |timeout| now().saturating_add(nanoseconds(timeout)))
    }

    /// Opens a reserved slot.
    fn open(&self, slot: Number, state: State, stdin: Option<BorrowedFd<'_>>) -> Result<Lane, OpenError> {
        let known = self.slots.slot(slot);
        known.begin(state, if state == State::Taken { self.deadline() } else { u64::MAX });
        let lane = Lane::open(self, slot, self.stdio, stdin);
        if lane.is_err() {
            self.lock().open[slot.number] = false;
        }
        lane
    }

    /// Has as many workers wait as are to, beside those that are taken.
    fn refill(&self) {
        loop {
            let mut lanes = self.lock();
            if lanes.idle.len() >= self.numbers.spare {
                return;
            }
            let Some(slot) = lanes.reserve(self.numbers.max) else { return };
            drop(lanes);
            match self.open(slot, State::Empty, None) {
                Ok(lane) => self.lock().idle.push(lane),
                // Whoever needs one hears of it.
                Err(_) => return,
            }
        }
    }

    /// Closes those that have the memory for long requests, and have had none since then. Says whether some are left, to be
    /// closed later.
    pub(super) fn close_large(&self, since: u64) -> bool {
        let mut lanes = self.lock();
        let (large, idle) =
            std::mem::take(&mut lanes.idle).into_iter().partition(|lane| lane.is_too_large(since));
        lanes.idle = idle;
        let is_left = lanes.idle.iter().any(|lane| lane.ends.channel.is_large());
        drop(lanes);
        Vec::into_iter(large).for_each(|lane| self.close(lane));
        is_left
    }

    pub(super) fn give_back(&self, lane: Lane) {
        if lane.ends.channel.is_large() {
            super::close_large_later();
        }
        let is_ready = self.slots.slot(lane.slot).state() == State::Ready;
        let mut lanes = self.lock();
        lanes.idle.push(lane);
        let is_awaited = lanes.waiting > 0;
        drop(lanes);
        if is_ready && is_awaited {
            self.slots.ring();
        }
    }

    /// A worker that can have left something behind, or that nobody knows.
    pub(super) fn close(&self, lane: Lane) {
        let closed = self.handle.close(lane.slot);
        let mut lanes = self.lock();
        lanes.open[lane.slot.number] = false;
        let is_awaited = lanes.waiting > 0;
        drop(lanes);
        drop(lane);
        if is_awaited {
            self.slots.ring();
        }
        if closed.is_err() {
            self.is_gone.store(true, Ordering::Relaxed);
        }
    }

    /// The template is gone, or does not do its work.
    pub(super) fn give_up(&self, lane: Lane) {
        self.is_gone.store(true, Ordering::Relaxed);
        self.close(lane);
    }
}

impl Lanes {
    /// A slot that is not open, if there may be one more.
    fn reserve(&mut self, max: usize) -> Option<Number> {
        let number = match self.open.iter().position(|open| !open) {
            Some(number) => number,
            None if self.open.len() < max => {
                self.open.push(false);
                self.open.len() - 1
            }
            None => return None,
        };
        self.open[number] = true;
        self.opened = self.opened.wrapping_add(1);
        Some(Number { number, generation: self.opened })
    }
}
