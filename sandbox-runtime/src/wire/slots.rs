//! What a host and a template know of the workers between them, in memory that both write and no worker sees: a slot
//! for each, with its state, its deadline and how it ended.
//!
//! ```text
//! Empty --template forks--> Ready --host--> Taken --host has the result--> Done --template reaps--> Ready
//!                             ^               |                              (or Empty, for want of use)
//!                             |               +--template, at the deadline--> Doomed --reaps--> Ended
//!                             |               +--template reaps--> Ended --host--> Empty
//!                             +---------------+ host, where a worker is used again
//! ```

use crate::forkserver::{End, Report};
use crate::sys::shared::{Mapping, memory_file};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::thread::futex;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
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

/// The state is the lowest byte of its word, the generation the rest.
const GENERATIONS: u32 = 1 << 24;

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
        Slot { slots: self, start: SLOT * (number + 1), generation: generation % GENERATIONS }
    }

    /// Counts the times that a worker became ready.
    fn bell(&self) -> &AtomicU32 {
        self.0.u32(0)
    }

    fn waiting(&self) -> &AtomicU32 {
        self.0.u32(4)
    }

    /// Which file for a result was made ahead and is not used yet; 0 for none.
    pub(crate) fn stocked(&self) -> &AtomicU32 {
        self.0.u32(8)
    }

    /// To be asked before one looks whether a worker is ready.
    pub(crate) fn rung(&self) -> u32 {
        self.bell().load(Ordering::SeqCst)
    }

    /// Sleeps until a worker becomes ready that was not when `rung` was asked, or for so long.
    pub(crate) fn wait(&self, rung: u32, most: Duration) {
        self.waiting().fetch_add(1, Ordering::SeqCst);
        let most = futex::Timespec::try_from(most).ok();
        // Woken, too late, interrupted or rung already: the caller looks again in every case.
        let _woken = futex::wait(self.bell(), futex::Flags::empty(), rung, most.as_ref());
        self.waiting().fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn ring(&self) {
        self.bell().fetch_add(1, Ordering::SeqCst);
        if self.waiting().load(Ordering::SeqCst) > 0 {
            futex::wake(self.bell(), futex::Flags::empty(), u32::MAX >> 1).unwrap_or_default();
        }
    }
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

    fn word(&self, state: State) -> u32 {
        self.generation << 8 | state as u32
    }

    /// Empty, where another generation is there by now.
    pub(crate) fn state(&self) -> State {
        let word = self.u32(0).load(Ordering::SeqCst);
        if word >> 8 == self.generation { State::of(word & 0xff) } else { State::Empty }
    }

    /// Begins a generation.
    pub(crate) fn begin(&self, state: State, deadline: u64) {
        self.set_deadline(deadline);
        self.set_turn(0, 0);
        self.u32(0).store(self.word(state), Ordering::SeqCst);
    }

    /// Whether the state was `from`, and is `to` now.
    pub(crate) fn change(&self, from: State, to: State) -> bool {
        let (from, to) = (self.word(from), self.word(to));
        self.u32(0).compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// When its call has to be over, in nanoseconds of the monotonic clock; `u64::MAX` for never. Set before it is taken.
    pub(crate) fn deadline(&self) -> u64 {
        self.u64(8).load(Ordering::SeqCst)
    }

    pub(crate) fn set_deadline(&self, deadline: u64) {
        self.u64(8).store(deadline, Ordering::SeqCst);
    }

    /// The last turn in the worker's channel that was not its own. Set before the state that lets the template fork.
    pub(crate) fn turn(&self) -> u32 {
        self.u32(4).load(Ordering::SeqCst)
    }

    /// How much of the reply the host has read. Set likewise.
    pub(crate) fn read(&self) -> usize {
        usize::try_from(self.u64(48).load(Ordering::SeqCst)).unwrap_or(0)
    }

    pub(crate) fn set_turn(&self, turn: u32, read: usize) {
        self.u32(4).store(turn, Ordering::SeqCst);
        self.u64(48).store(read as u64, Ordering::SeqCst);
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
        self.u64(16).store(kind, Ordering::Relaxed);
        self.u32(24).store(value.cast_unsigned(), Ordering::Relaxed);
        self.u64(32).store(report.max_rss, Ordering::Relaxed);
        let cpu = u64::try_from(report.cpu.as_nanos()).unwrap_or(u64::MAX);
        self.u64(40).store(cpu, Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> Report {
        let value = self.u32(24).load(Ordering::Relaxed).cast_signed();
        let end = match self.u64(16).load(Ordering::Relaxed) {
            0 => End::Exited(value),
            1 => End::Killed(value),
            2 => End::TimedOut,
            3 => End::CpuTimeExceeded,
            _ => End::NotForked(value),
        };
        let cpu = Duration::from_nanos(self.u64(40).load(Ordering::Relaxed));
        Report { end, max_rss: self.u64(32).load(Ordering::Relaxed), cpu }
    }
}
