//! What a host and a template know of the workers between them, in memory that both write and no worker sees: a slot
//! for each, with its state, its deadline and how it ended.
//!
//! ```text
//! Empty --template forks--> Ready --host--> Taken --host has the result--> Done --template reaps--> Ready
//!                             ^               |                              (or Empty, for want of use)
//!                             |               +--template, at the deadline--> Doomed --reaps--> Ended
//!                             |               +--template reaps--> Ended --host has seen it--> Done
//!                             +---------------+ host, where a worker is used again
//! ```

use crate::forkserver::{End, Report};
use crate::sys::words::{AtomicU32, AtomicU64, Mapping, Ordering, fence, memory_file};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most workers of one template.
pub(crate) const MOST_WORKERS: usize = 256;

const SLOT: usize = 64;
const LENGTH: usize = SLOT * (MOST_WORKERS + 1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum State {
    /// There is no worker.
    Empty,
    /// A worker waits for a call, or is about to.
    Ready,
    /// It has one.
    Taken,
    /// The host is through with it.
    Done,
    /// The template kills it while it has a call.
    Doomed,
    /// It ended while it had a call; the report is there.
    Ended,
}

impl State {
    fn of(number: u32) -> State {
        use State::*;
        [Empty, Ready, Taken, Done, Doomed, Ended]
            .into_iter()
            .find(|state| *state as u32 == number)
            .unwrap_or(Empty)
    }
}

/// Which slot, and which of those that had its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Number {
    pub(crate) number: usize,
    pub(crate) generation: u32,
}

/// What a slot's first word says: the state, in its lowest byte; above it how many calls were taken in this generation, so
/// that a state that was seen is told from the same one of a later call; and the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const CALL: u64 = 1 << 8;
    const GENERATION: u32 = 32;

    fn state(self) -> State {
        State::of((self.0 & 0xff) as u32)
    }

    fn is_of(self, generation: u32) -> bool {
        self.0 >> Word::GENERATION == u64::from(generation)
    }

    /// The same call in another state; or the next call, where it is taken.
    fn with(self, state: State) -> Word {
        let calls = if state == State::Taken { Word::CALL } else { 0 };
        let calls = self.0.wrapping_add(calls) & (u64::from(u32::MAX) & !0xff);
        Word(self.0 >> Word::GENERATION << Word::GENERATION | calls | state as u64)
    }
}

/// Where the words of all slots are: see their methods.
const BELL: usize = 0;
const WAITING: usize = 4;
const STOCKED: usize = 8;
/// And those of one.
const WORD: usize = 0;
const DEADLINE: usize = 8;
const END: usize = 16;
const END_VALUE: usize = 24;
const TURN: usize = 28;
const MAX_RSS: usize = 32;
const CPU: usize = 40;
const READ: usize = 48;

#[derive(Debug)]
pub(crate) struct Slots(Mapping);

impl Slots {
    /// New ones, and the file to send to the template.
    pub(crate) fn new() -> Result<(Slots, OwnedFd), Errno> {
        let file = memory_file(c"sandboxed-slots", LENGTH)?;
        Ok((Slots::open(rustix::fd::AsFd::as_fd(&file))?, file))
    }

    /// Those of a file.
    pub(crate) fn open(file: BorrowedFd<'_>) -> Result<Slots, Errno> {
        Mapping::for_writing(file, LENGTH)?.keep_to_this_process().map(Slots)
    }

    /// A slot, as it was begun in a generation. Later ones are others' business.
    pub(crate) fn slot(&self, Number { number, generation }: Number) -> Slot<'_> {
        assert!(number < MOST_WORKERS);
        Slot { slots: self, start: SLOT * (number + 1), generation }
    }

    /// Which file for a result was made ahead and is not used yet; 0 for none.
    pub(crate) fn stocked(&self) -> &AtomicU32 {
        self.0.u32(STOCKED)
    }

    /// To be asked before one looks whether a worker is ready: how often one became so.
    pub(crate) fn rung(&self) -> u32 {
        self.0.u32(BELL).load(Ordering::Acquire)
    }

    /// Sleeps until a worker becomes ready that was not when `rung` was asked, or for so long. The caller looks again in
    /// every case.
    pub(crate) fn wait(&self, rung: u32, most: Duration) {
        self.0.u32(WAITING).fetch_add(1, Ordering::Relaxed);
        // As in `ring`: one of the two sees the other.
        fence(Ordering::SeqCst);
        self.0.wait(BELL, rung, Some(most));
        self.0.u32(WAITING).fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn ring(&self) {
        self.0.u32(BELL).fetch_add(1, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.0.u32(WAITING).load(Ordering::Relaxed) > 0 {
            self.0.wake(BELL);
        }
    }
}

/// Whose a worker was that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// A call's; the host is told how it ended.
    InCall,
    /// The host is through with it: another takes its place.
    Done,
    /// Nobody's yet. The next one might end as it did.
    Waiting,
    /// There is nothing to do.
    Nobodys,
}

#[derive(Clone, Copy)]
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
    start: usize,
    generation: u32,
}

impl Slot<'_> {
    fn u32(&self, offset: usize) -> &AtomicU32 {
        self.slots.0.u32(self.start + offset)
    }

    fn u64(&self, offset: usize) -> &AtomicU64 {
        self.slots.0.u64(self.start + offset)
    }

    /// Empty, where another generation is there by now.
    pub(crate) fn state(&self) -> State {
        self.seen().state()
    }

    /// What there is in this moment.
    fn seen(&self) -> Word {
        let word = Word(self.u64(WORD).load(Ordering::SeqCst));
        if word.is_of(self.generation) { word } else { self.first(State::Empty) }
    }

    fn first(&self, state: State) -> Word {
        Word(u64::from(self.generation) << Word::GENERATION | state as u64)
    }

    /// Begins a generation.
    pub(crate) fn begin(&self, state: State, deadline: u64) {
        self.set_deadline(deadline);
        self.set_turn(0, 0);
        self.u64(WORD).store(self.first(state).0, Ordering::SeqCst);
    }

    /// Whether nothing has changed since it was seen, and the state is `to` now.
    fn change_seen(&self, seen: Word, to: State) -> bool {
        let to = seen.with(to).0;
        self.u64(WORD).compare_exchange(seen.0, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Whether the state was `from`, and is `to` now.
    pub(crate) fn change(&self, from: State, to: State) -> bool {
        let seen = self.seen();
        seen.state() == from && self.change_seen(seen, to)
    }

    /// The host's: takes a worker for a call, or the place of one.
    pub(crate) fn take(&self, from: State, deadline: u64) -> bool {
        self.state() == from && {
            // Ahead of the change: the template looks at any time.
            self.set_deadline(deadline);
            self.change(from, State::Taken)
        }
    }

    /// The host's: the worker is to have another call. Where it is not well any more, says no.
    pub(crate) fn give_back(&self) -> bool {
        self.change(State::Taken, State::Ready)
    }

    /// The host's, for the last time in this call. Says whether the worker has ended, so that another is to be asked for.
    pub(crate) fn finish(&self) -> bool {
        let is_alive = self.change(State::Taken, State::Done) || self.change(State::Doomed, State::Done);
        !is_alive && self.change(State::Ended, State::Done)
    }

    /// The template's: for what the call that there is ends now, if `why` says so of its deadline. Of a call that the host
    /// begins in this moment it says nothing.
    pub(crate) fn doom<T>(&self, why: impl FnOnce(u64) -> Option<T>) -> Option<T> {
        let seen = self.seen();
        let reason = why(self.deadline())?;
        (seen.state() == State::Taken && self.change_seen(seen, State::Doomed)).then_some(reason)
    }

    /// The template's: whether a worker is to be forked, where there is none; the state to leave then. Not where the host
    /// has yet to see how the last one ended: that was asked for before, and comes again.
    pub(crate) fn vacancy(&self) -> Option<State> {
        Some(self.state()).filter(|state| *state != State::Ended)
    }

    /// The template's, when the worker has ended; perhaps because it was given up while it waited.
    pub(crate) fn reap(&self, report: &Report, is_given_up: bool) -> Reaped {
        let mut was_waiting = is_given_up;
        loop {
            let seen = self.seen();
            match seen.state() {
                State::Taken | State::Doomed => {
                    self.set_report(report);
                    if self.change_seen(seen, State::Ended) {
                        return Reaped::InCall;
                    }
                }
                State::Done if was_waiting => return Reaped::Waiting,
                State::Done => return Reaped::Done,
                State::Ready => was_waiting = self.change_seen(seen, State::Done),
                State::Empty | State::Ended => return Reaped::Nobodys,
            }
        }
    }

    /// When its call has to be over, in nanoseconds of the monotonic clock; `u64::MAX` for never. Set before it is taken.
    pub(crate) fn deadline(&self) -> u64 {
        self.u64(DEADLINE).load(Ordering::SeqCst)
    }

    pub(crate) fn set_deadline(&self, deadline: u64) {
        self.u64(DEADLINE).store(deadline, Ordering::SeqCst);
    }

    /// The last turn in the worker's channel that was not its own. Set before the state that lets the template fork.
    pub(crate) fn turn(&self) -> u32 {
        self.u32(TURN).load(Ordering::SeqCst)
    }

    /// How much of the reply the host has read. Set likewise.
    pub(crate) fn read(&self) -> usize {
        usize::try_from(self.u64(READ).load(Ordering::SeqCst)).unwrap_or(0)
    }

    pub(crate) fn set_turn(&self, turn: u32, read: usize) {
        self.u32(TURN).store(turn, Ordering::SeqCst);
        self.u64(READ).store(read as u64, Ordering::SeqCst);
    }

    /// Tells the host how it ended. The state says when.
    pub(crate) fn set_report(&self, report: &Report) {
        let (kind, value) = match report.end {
            End::Exited(code) => (0, code),
            End::Killed(signal) => (1, signal),
            End::TimedOut => (2, 0),
            End::CpuTimeExceeded => (3, 0),
            End::NotForked(errno) => (4, errno),
        };
        self.u64(END).store(kind, Ordering::Relaxed);
        self.u32(END_VALUE).store(value.cast_unsigned(), Ordering::Relaxed);
        self.u64(MAX_RSS).store(report.max_rss, Ordering::Relaxed);
        let cpu = u64::try_from(report.cpu.as_nanos()).unwrap_or(u64::MAX);
        self.u64(CPU).store(cpu, Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> Report {
        let value = self.u32(END_VALUE).load(Ordering::Relaxed).cast_signed();
        let end = match self.u64(END).load(Ordering::Relaxed) {
            0 => End::Exited(value),
            1 => End::Killed(value),
            2 => End::TimedOut,
            3 => End::CpuTimeExceeded,
            _ => End::NotForked(value),
        };
        let cpu = Duration::from_nanos(self.u64(CPU).load(Ordering::Relaxed));
        Report { end, max_rss: self.u64(MAX_RSS).load(Ordering::Relaxed), cpu }
    }
}
