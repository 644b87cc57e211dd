//! Over a worker's processor time.

use super::message::End;
use crate::sys::process;
use rustix::process::Pid;
use std::time::Duration;

/// How far apart looks at the processor time are at least, in nanoseconds.
const PAUSE: u64 = 1_000_000;

/// When a worker has used up its processor time.
pub(super) struct Watch {
    limit: Option<Duration>,
    /// Before that it cannot have used it up.
    next_look: u64,
    processors: u32,
}

impl Watch {
    pub(super) fn new(limit: Option<Duration>, processors: u32) -> Watch {
        Watch { limit, next_look: limit.map_or(u64::MAX, |_| 0), processors }
    }

    /// On the clock of [`process::now`].
    pub(super) fn next_look(&self) -> u64 {
        self.next_look
    }

    /// What a worker has to end for now, if for anything.
    pub(super) fn look(&mut self, now: u64, pid: Pid) -> Option<End> {
        let limit = self.limit.filter(|_| now >= self.next_look)?;
        match limit.checked_sub(process::cpu_time(pid).unwrap_or_default()) {
            None | Some(Duration::ZERO) => Some(End::CpuTimeExceeded),
            Some(left) => {
                // With a thread on every processor it is used up that much faster.
                let pause = u64::try_from((left / self.processors).as_nanos()).unwrap_or(u64::MAX);
                self.next_look = now.saturating_add(pause.max(PAUSE));
                None
            }
        }
    }
}
