//! The observer stays on one processor, and the observed goes on there: of the two only one ever runs, and from one
//! processor to another either would wait to be woken, which takes five times as long as what it is woken for.
//!
//! What the observed may run on is as before by the time that it can ask: the two calls that it could ask by stop it too, and
//! by then the observer has run.

use rustix::io;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// So often they meet before the kernel may move the observer to where more is idle.
const STAYS: u32 = 1000;

/// The calls to see and say where one may run.
pub(super) fn is_about_processors(call: &str) -> bool {
    matches!(call, "sched_getaffinity" | "sched_setaffinity")
}

/// Where the observer is.
pub(super) struct Beside {
    /// Where it may be; `None` where the kernel has more processors than fit.
    everywhere: Option<CpuSet>,
    here: usize,
    left: u32,
}

impl Beside {
    pub(super) fn new() -> Beside {
        Beside { everywhere: sched_getaffinity(None).ok(), here: 0, left: 0 }
    }

    /// Lets a stopped thread go on, on this processor.
    pub(super) fn go_on(&mut self, thread: Pid, go_on: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.stay();
        match sched_getaffinity(Some(thread)) {
            Ok(allowed) if self.everywhere.is_some() && allowed.is_set(self.here) && allowed.count() > 1 => {
                let is_kept = sched_setaffinity(Some(thread), &only(self.here)).is_ok();
                let result = go_on();
                if is_kept {
                    // It may have ended.
                    sched_setaffinity(Some(thread), &allowed).unwrap_or_default();
                }
                result
            }
            _ => go_on(),
        }
    }

    /// It costs time alone where that fails.
    fn stay(&mut self) {
        let Some(everywhere) = &self.everywhere else { return };
        match self.left {
            0 => {
                self.here = sched_getcpu().min(CpuSet::MAX_CPU - 1);
                sched_setaffinity(None, &only(self.here)).unwrap_or_default();
                self.left = STAYS;
            }
            1 => sched_setaffinity(None, everywhere).unwrap_or_default(),
            _ => {}
        }
        self.left -= 1;
    }
}

fn only(processor: usize) -> CpuSet {
    let mut only = CpuSet::new();
    only.set(processor);
    only
}
