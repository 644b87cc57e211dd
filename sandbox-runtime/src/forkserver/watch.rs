//! Over a worker's time: the wall's and the processor's.

use super::message::End;
use crate::sys::process;
use rustix::process::Pid;
use std::time::{Duration, Instant};

/// How far apart looks at the processor time are at least.
const PAUSE: Duration = Duration::from_millis(1);

/// When a worker has to end.
pub(super) struct Watch {
    deadline: Option<Instant>,
    cpu: Option<CpuWatch>,
}

struct CpuWatch {
    limit: Duration,
    /// Before that it cannot have used it up.
    next_look: Instant,
    processors: u32,
}

impl Watch {
    /// Begins now.
    pub(super) fn new(timeout: Option<Duration>, cpu: Option<Duration>, processors: u32) -> Watch {
        let now = Instant::now();
        let watched = |limit| {
            let mut cpu = CpuWatch { limit, next_look: now, processors };
            cpu.look_again_after(now, limit);
            cpu
        };
        Watch { deadline: timeout.and_then(|timeout| now.checked_add(timeout)), cpu: cpu.map(watched) }
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        let cpu = self.cpu.as_ref().map(|cpu| cpu.next_look);
        self.deadline.into_iter().chain(cpu).min()
    }

    /// What a worker has to end for now, if for anything.
    pub(super) fn look(&mut self, now: Instant, pid: Pid) -> Option<End> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Some(End::TimedOut);
        }
        let cpu = self.cpu.as_mut().filter(|cpu| now >= cpu.next_look)?;
        match cpu.limit.checked_sub(process::cpu_time(pid).unwrap_or_default()) {
            None | Some(Duration::ZERO) => Some(End::CpuTimeExceeded),
            Some(left) => {
                cpu.look_again_after(now, left);
                None
            }
        }
    }
}

impl CpuWatch {
    /// With a thread on every processor it is used up that much faster.
    fn look_again_after(&mut self, now: Instant, left: Duration) {
        let pause = (left / self.processors).max(PAUSE);
        // What is too far away to be told is looked at again in a year.
        self.next_look = now.checked_add(pause).unwrap_or(now + Duration::from_secs(365 * 86400));
    }
}
