//! What only the worker itself can be held to, by a second, short filter: the number of its own process, which signals
//! may go to, and that it makes no more processes. (What forks workers must be able to fork.)

use super::bpf::{self, Action, Case, Test, Verdict};
use super::calls::Call;
use super::verdict::EPERM;
use super::{Arch, ranges};
use crate::plan::{FilterPlan, Placement, Signals};
use libc::sock_filter;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pins {
    /// Refuse new processes.
    processes: bool,
    /// Refuse new threads too.
    threads: bool,
    signals: Signals,
}

impl Pins {
    pub(super) fn of(plan: &FilterPlan) -> Option<Pins> {
        let pins = Pins { processes: plan.processes, threads: plan.threads, signals: plan.signals };
        (plan.mark == Placement::Process).then_some(pins)
    }

    /// Its architecture was checked by the filter below it.
    pub(super) fn program(self, arch: &Arch, worker: Pid, forkserver: Pid) -> Vec<sock_filter> {
        let [worker, forkserver] = [worker, forkserver].map(|pid| pid.as_raw_pid().cast_unsigned());
        let verdict = |call: &Call| Verdict::new(self.cases(call.name, worker, forkserver), Action::Allow);
        bpf::program(arch.audit, &ranges(arch, Action::Allow, verdict))
    }

    fn cases(self, name: &str, worker: u32, forkserver: u32) -> Vec<Case> {
        let refuse = |all_of: Vec<Test>| Case { all_of, then: EPERM };
        match name {
            "clone" | "fork" | "vfork" if self.threads => vec![refuse(Vec::new())],
            "clone" if self.processes => vec![refuse(vec![Test::has_none(0, libc::CLONE_THREAD as u32)])],
            "fork" | "vfork" if self.processes => vec![refuse(Vec::new())],
            "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" => match self.signals {
                Signals::ToItself => vec![refuse(vec![Test::is_not(0, &[worker])])],
                // It, its group, everybody.
                Signals::NotToTheForkserver => {
                    let it = [forkserver, forkserver.wrapping_neg(), u32::MAX];
                    vec![refuse(vec![Test::is(0, &it)])]
                }
            },
            _ => Vec::new(),
        }
    }
}
