//! Waiting awake for a moment before one sleeps, where that has been worth it.

use crate::sys::process::now;

/// After so many waits asleep one is tried awake; after each that failed, twice as many.
const FIRST_TRIAL: u32 = 16;
const LAST_TRIAL: u32 = 4096;

/// What was learned of how soon something comes. It comes soon where the two sides run on two processors and have
/// little to do; where they share one, or calls are rare, waiting awake is in vain and soon left alone.
#[derive(Clone, Debug)]
pub(crate) struct Spin {
    /// The longest that is waited awake, in nanoseconds.
    most: u64,
    /// For how long to wait awake, in nanoseconds; 0 for not at all.
    budget: u64,
    /// Waits asleep until the next trial.
    left: u32,
    /// And from that to the one after it.
    pause: u32,
}

impl Spin {
    /// For an answer to what was sent just now. One that takes longer comes from a worker that slept, and whoever waits for
    /// it awake keeps the processor from it that it would best run on.
    pub(crate) const fn for_answers() -> Spin {
        Spin::new(4_000)
    }

    /// For whatever comes next: about as long as going to sleep and waking up take.
    pub(crate) const fn for_more() -> Spin {
        Spin::new(15_000)
    }

    const fn new(most: u64) -> Spin {
        Spin { most, budget: 0, left: FIRST_TRIAL, pause: FIRST_TRIAL }
    }

    /// Waits awake for something, if that is likely to be soon; says whether it came.
    pub(crate) fn wait(&mut self, mut has_come: impl FnMut() -> bool) -> bool {
        if has_come() {
            return true;
        }
        if self.budget == 0 {
            self.left = self.left.saturating_sub(1);
            if self.left > 0 {
                return false;
            }
            self.budget = self.most;
        }
        let start = now();
        loop {
            for _ in 0..32 {
                std::hint::spin_loop();
                if has_come() {
                    self.worked();
                    return true;
                }
            }
            if now().saturating_sub(start) > self.budget {
                self.failed();
                return false;
            }
        }
    }

    fn worked(&mut self) {
        self.budget = self.most;
        self.pause = FIRST_TRIAL;
    }

    /// A single call that took longer is no reason to give up.
    fn failed(&mut self) {
        self.budget /= 4;
        if self.budget < self.most / 32 {
            self.budget = 0;
            self.left = self.pause;
            self.pause = (self.pause * 2).min(LAST_TRIAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_comes_is_soon_not_waited_for() {
        let mut spin = Spin::for_more();
        let mut asked = |times: u32| {
            let mut count = 0_u64;
            for _ in 0..times {
                assert!(!spin.wait(|| {
                    count += 1;
                    false
                }));
            }
            count
        };
        asked(100_000);
        assert!(asked(LAST_TRIAL - 1) >= u64::from(LAST_TRIAL - 1), "each wait looks once");
        let before = asked(LAST_TRIAL * 4);
        assert!(before > u64::from(LAST_TRIAL * 4), "now and then it is tried");
    }

    #[test]
    fn what_comes_soon_is_waited_for_again() {
        let mut spin = Spin::for_more();
        let came = (0..1000).filter(|_| {
            let mut asked = 0;
            spin.wait(|| {
                asked += 1;
                asked > 10
            })
        });
        assert_eq!(came.count(), 1000 - FIRST_TRIAL as usize + 1);
    }
}
