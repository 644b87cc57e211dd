//! Ways to do something, taken in turns within one run, and the median time of each.

use crate::jobs::{batch, median, time};
use rustix::thread::{ClockId, Timespec, clock_nanosleep_absolute};
use rustix::time::clock_gettime;
use std::array;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Each way once, for what it results in.
    Once,
    Quick,
    Full,
}

impl Effort {
    const ALL: [(Effort, &'static str); 3] =
        [(Effort::Once, "once"), (Effort::Quick, "quick"), (Effort::Full, "full")];

    pub fn name(self) -> &'static str {
        Effort::ALL[self as usize].1
    }

    pub fn named(name: &str) -> Option<Effort> {
        Effort::ALL.into_iter().find(|(_, its)| *its == name).map(|(effort, _)| effort)
    }

    pub fn pick<T>(self, once: T, quick: T, full: T) -> T {
        match self {
            Effort::Once => once,
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }

    fn budget(self) -> Duration {
        self.pick(Duration::ZERO, Duration::from_millis(350), Duration::from_secs(5))
    }
}

/// When a call begins, and what is a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the next multiple of 300 µs. Each call is a sample.
    OnTheBeat,
    /// When the one before has ended. A call is a sample, or so many as the clock needs.
    BackToBack,
    /// Likewise, but a sample is the mean of a whole turn: where calls live on what was made ahead, the median would
    /// hide those that have to wait for more.
    Sustained,
}

const BEAT: i64 = 300_000;

/// Between two turns, so that one way does not pay for what another left to be done.
const SETTLE: Duration = Duration::from_millis(3);

/// The median time of each way, in µs.
pub fn medians<const N: usize>(effort: Effort, pace: Pace, ways: [&dyn Fn(); N]) -> [f64; N] {
    // Whatever has to be started is.
    ways.iter().for_each(|way| way());
    let turns = ways.map(|way| Turn::of(effort, pace, way));
    let mut samples: [Vec<f64>; N] = array::from_fn(|_| Vec::new());
    let start = Instant::now();
    while start.elapsed() < effort.budget() || samples[0].len() < effort.pick(1, 3, 5) {
        for (turn, samples) in turns.iter().zip(&mut samples) {
            sleep(SETTLE);
            turn.take(samples);
        }
    }
    samples.map(median)
}

/// What one way does before the next is due.
struct Turn<'a> {
    way: &'a dyn Fn(),
    pace: Pace,
    samples: usize,
    batch: u32,
}

impl<'a> Turn<'a> {
    fn of(effort: Effort, pace: Pace, way: &'a dyn Fn()) -> Turn<'a> {
        let (samples, batch) = match pace {
            _ if effort == Effort::Once => (1, 1),
            Pace::OnTheBeat => (100, 1),
            Pace::BackToBack => {
                let batch = batch(way);
                let sample = time(way, batch) * f64::from(batch);
                // For some 20 ms.
                ((20_000.0 / sample).clamp(1.0, 1000.0) as usize, batch)
            }
            Pace::Sustained => (1, effort.pick(1, 100, 400)),
        };
        Turn { way, pace, samples, batch }
    }

    fn take(&self, samples: &mut Vec<f64>) {
        for _ in 0..self.samples {
            if self.pace == Pace::OnTheBeat {
                wait_for_the_beat();
            }
            samples.push(time(self.way, self.batch));
        }
    }
}

/// Sleeps until the clock shows a multiple of 300 µs.
pub fn wait_for_the_beat() {
    let now = clock_gettime(ClockId::Monotonic);
    let next = ((now.tv_sec * 1_000_000_000 + now.tv_nsec) / BEAT + 1) * BEAT;
    let next = Timespec { tv_sec: next / 1_000_000_000, tv_nsec: next % 1_000_000_000 };
    // A signal that ends it early fails; then it sleeps the rest.
    while clock_nanosleep_absolute(ClockId::Monotonic, &next).is_err() {}
}
