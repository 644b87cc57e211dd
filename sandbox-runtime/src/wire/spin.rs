//! Waiting awake for a moment before one sleeps, where that has been worth it.

use crate::sys::process::now;

/// How long an answer is waited for awake, in nanoseconds: about as long as it takes to go to sleep and be woken on another
/// processor.
const SHORT: u64 = 40_000;
/// And how long once, to catch a worker that is about to wake up. Longer than a wake-up across processors takes.
const LONG: u64 = 100_000;
/// So many waits in vain, and it is left alone.
const MOST_FAILURES: u32 = 3;
/// After so many waits asleep one is tried awake; after each that failed, twice as many.
const FIRST_TRIAL: u32 = 16;
const LAST_TRIAL: u32 = 4096;

/// What was learned of how soon something comes. It comes soon where the two sides run on two processors and have
/// little to do; where they share one, or much is to be done, waiting awake is in vain and soon left alone.
#[derive(Clone, Debug)]
pub(crate) struct Spin {
    /// In vain since the last that was short and not in vain.
    failures: u32,
    /// Whether the next is a long one.
    is_long: bool,
    /// Waits asleep until the next trial.
    left: u32,
    /// And from that to the one after it.
    pause: u32,
}

impl Spin {
    /// Nothing is known yet.
    pub(crate) const fn new() -> Spin {
        Spin { failures: MOST_FAILURES, is_long: false, left: FIRST_TRIAL, pause: FIRST_TRIAL }
    }

    /// Whether the next wait is awake at first. To be asked once for each.
    pub(crate) fn is_next_awake(&mut self) -> bool {
        if self.failures < MOST_FAILURES {
            return true;
        }
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return false;
        }
        (self.failures, self.is_long) = (MOST_FAILURES - 2, true);
        true
    }

    /// Waits awake for something; says whether it came.
    pub(crate) fn wait(&mut self, has_come: impl FnMut() -> bool) -> bool {
        let came = wait_awake(if self.is_long { LONG } else { SHORT }, has_come);
        match (came, self.is_long) {
            (true, false) => (self.failures, self.pause) = (0, FIRST_TRIAL),
            // What comes late each time is not worth it.
            (true, true) => {}
            (false, _) => {
                self.failures += 1;
                if self.failures >= MOST_FAILURES {
                    self.left = self.pause;
                    self.pause = (self.pause * 2).min(LAST_TRIAL);
                }
            }
        }
        self.is_long = !came;
        came
    }
}

/// Waits for something without sleeping, for so many nanoseconds at most; says whether it came.
pub(crate) fn wait_awake(most: u64, mut has_come: impl FnMut() -> bool) -> bool {
    let start = now();
    // In a model nothing comes for waiting.
    if cfg!(loom) {
        return has_come();
    }
    loop {
        for _ in 0..32 {
            if has_come() {
                return true;
            }
            std::hint::spin_loop();
        }
        if now().saturating_sub(start) > most {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many waits, how many were awake.
    fn awake(spin: &mut Spin, times: u32, comes_after: u64) -> u32 {
        let mut awake = 0;
        for _ in 0..times {
            if spin.is_next_awake() {
                awake += 1;
                let start = now();
                spin.wait(|| now().saturating_sub(start) > comes_after);
            }
        }
        awake
    }

    #[test]
    fn what_never_comes_is_soon_not_waited_for() {
        let mut spin = Spin::new();
        awake(&mut spin, 100_000, u64::MAX);
        let tried = awake(&mut spin, LAST_TRIAL * 4, u64::MAX);
        assert!((1..=4 * MOST_FAILURES).contains(&tried), "{tried}");
    }

    #[test]
    fn what_comes_late_each_time_is_not_waited_for() {
        let mut spin = Spin::new();
        let tried = awake(&mut spin, 10_000, SHORT * 3);
        assert!(tried < 200, "{tried}");
    }

    #[test]
    fn what_comes_soon_is_waited_for_again() {
        let mut spin = Spin::new();
        awake(&mut spin, 100, u64::MAX);
        awake(&mut spin, 1000, 0);
        assert!(spin.is_next_awake());
        // A single one that took longer is no reason to give up.
        assert!(!spin.wait(|| false));
        assert!(spin.is_next_awake());
    }
}
