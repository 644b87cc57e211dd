//! The rows of the table.

use crate::measure::{Effort, Pace};
use crate::ours::{fresh, reused, spares};
use crate::scenes;
use crate::table::{self, Figures, Target};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::error::Error;

pub type Measured = Result<Figures, Box<dyn Error>>;

/// One line.
pub struct Row {
    pub what: &'static str,
    /// What the floor is.
    against: &'static str,
    target: Target,
    /// How many processors its processes may use; 0 for all.
    processors: usize,
    measure: fn(Effort) -> Measured,
}

impl Row {
    const fn new(
        what: &'static str,
        against: &'static str,
        target: Target,
        measure: fn(Effort) -> Measured,
    ) -> Row {
        Row { what, against, target, processors: 0, measure }
    }

    const fn on(self, processors: usize) -> Row {
        Row { processors, ..self }
    }

    /// In a process that does nothing else.
    pub fn figures(&self, effort: Effort) -> Measured {
        if !pin_to(self.processors)? {
            return Ok(Figures::not(format!("it needs {} processors", self.processors)));
        }
        (self.measure)(effort)
    }

    pub fn line(&self, figures: &Figures) -> String {
        table::line(self.what, self.against, self.target, figures)
    }
}

/// Confines this process, and what it will start, to so many processors; whether there are so many.
fn pin_to(processors: usize) -> rustix::io::Result<bool> {
    if processors == 0 {
        return Ok(true);
    }
    let all = sched_getaffinity(None)?;
    let mut some = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).take(processors).for_each(|cpu| some.set(cpu));
    sched_setaffinity(None, &some)?;
    Ok(some.count() as usize == processors)
}

const PING_PONG: &str = "ping-pong of two processes, by futex or eventfd, the faster";
const DIRECT: &str = "the direct call";
const SHARED_MEMORY: &str = "a bare worker with shared memory, one copy in";

use Pace::{BackToBack, OnTheBeat, Sustained};
use Target::{AtMost, More, Times};

/// Reuse is `workers(reuse = N)`; fresh is a process for each call.
pub const ROWS: &[Row] = &[
    Row::new("add, reuse, every 300 µs", PING_PONG, Times(1.3), |effort| {
        scenes::ping_pong(effort, OnTheBeat, reused::add)
    }),
    Row::new("add, reuse, every 300 µs, one processor", PING_PONG, Times(1.5), |effort| {
        scenes::ping_pong(effort, OnTheBeat, reused::add)
    })
    .on(1),
    Row::new("add, reuse, back to back, two processors", PING_PONG, Times(0.5), |effort| {
        scenes::ping_pong(effort, BackToBack, reused::add)
    })
    .on(2),
    Row::new("add, reuse, back to back, one processor", PING_PONG, Times(1.5), |effort| {
        scenes::ping_pong(effort, BackToBack, reused::add)
    })
    .on(1),
    Row::new("add, fresh, every 300 µs", PING_PONG, Times(2.0), |effort| {
        scenes::ping_pong(effort, OnTheBeat, fresh::add)
    }),
    Row::new("add, fresh, sustained", "fork, restrict, filter, exit, bare", Times(1.2), |effort| {
        scenes::forkserver(effort, Sustained, fresh::add)
    }),
    Row::new("crc32 of 64 KiB, reuse, every 300 µs", SHARED_MEMORY, Times(1.3), |effort| {
        scenes::shared_memory(effort, OnTheBeat, reused::crc32)
    }),
    Row::new("crc32 of 64 KiB, reuse, back to back", SHARED_MEMORY, Times(1.3), |effort| {
        scenes::shared_memory(effort, BackToBack, reused::crc32)
    }),
    Row::new("reverse of 16 MiB, a Vec out, reuse", DIRECT, Times(2.5), |effort| {
        scenes::reverse(effort, reused::reverse)
    }),
    Row::new("reverse of 16 MiB, Bytes out, reuse", DIRECT, Times(2.0), |effort| {
        scenes::reverse(effort, reused::reverse_in_place)
    }),
    Row::new("reverse of 16 MiB, Bytes in and out, reuse", DIRECT, Times(1.15), |effort| {
        scenes::reverse_shared(effort, reused::reverse_shared)
    }),
    Row::new("PNG of 1 MB, reuse", DIRECT, Times(1.1), |effort| scenes::decode(effort, reused::decode)),
    Row::new("PNG of 1 MB, fresh", DIRECT, Times(1.3), |effort| scenes::decode(effort, fresh::decode)),
    Row::new("add, fresh, touched heap of 4 GiB (quick: 1)", "with 10 MiB", Times(1.1), scenes::heaps),
    Row::new(
        "5 ms of computing, fresh, two threads",
        "with one thread; 0.5 x is perfect",
        Times(0.6),
        |effort| scenes::two_threads(effort, fresh::compute),
    ),
    Row::new(
        "5 ms of computing, reuse, two threads",
        "with one thread; 0.5 x is perfect",
        Times(0.6),
        |effort| scenes::two_threads(effort, reused::compute),
    ),
    Row::new("PSS of an idle spare, 1 of them", "", AtMost(400.0, "KiB"), |_| {
        scenes::spares(1, spares::add_with_1)
    }),
    Row::new("PSS of an idle spare, 16 of them", "", AtMost(400.0, "KiB"), |_| {
        scenes::spares(16, spares::add_with_16)
    }),
    Row::new("PSS of an idle spare, 256 of them", "", AtMost(400.0, "KiB"), |_| {
        scenes::spares(256, spares::add_with_256)
    }),
    Row::new("add, fresh, the first call", "later calls", More(3000.0), scenes::first_call),
    Row::new("add, thread", "a bare thread, spawned and joined", Times(1.3), scenes::thread),
    Row::new("never called: threads and processes more", "", AtMost(0.0, ""), scenes::never_called),
    Row::new(
        "never called: start and end of the program",
        "without the function",
        Times(1.05),
        scenes::start_up,
    ),
];
