//! What only the worker itself can be held to, by a second, short filter: the number of its own process, which signals
//! may go to, and that it makes no more processes, nor cuts its ties. (What forks workers must be able to fork, to tie
//! them to itself, and to look at their processor time.)

use super::bpf::{self, Action, Case, Test, Verdict};
use super::calls::Call;
use super::verdict::{EPERM, TIES};
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
    pub(super) fn program(self, arch: &Arch, worker: u32, parents: [Pid; 2]) -> Vec<sock_filter> {
        let parents = parents.map(|pid| pid.as_raw_pid().cast_unsigned());
        let verdict = |call: &Call| Verdict::new(self.cases(call.name, worker, parents), Action::Allow);
        bpf::program(arch.audit, &ranges(arch, Action::Allow, verdict))
    }

    /// As [`Pins::program`], for a tracer.
    pub(super) fn reporting(self, arch: &Arch, worker: u32, parents: [Pid; 2]) -> Vec<sock_filter> {
        let parents = parents.map(|pid| pid.as_raw_pid().cast_unsigned());
        let verdict = |call: &Call| {
            let cases = self.cases(call.name, worker, parents);
            Verdict::new(cases, Action::Allow).map(|action| super::told(call, action))
        };
        bpf::program(arch.audit, &ranges(arch, Action::Allow, verdict))
    }

    fn cases(self, name: &str, worker: u32, parents: [u32; 2]) -> Vec<Case> {
        let refuse = |all_of: Vec<Test>| Case { all_of, then: EPERM };
        match name {
            "clone" | "fork" | "vfork" if self.threads => vec![refuse(Vec::new())],
            "clone" if self.processes => vec![refuse(vec![Test::has_none(0, libc::CLONE_THREAD as u32)])],
            "fork" | "vfork" if self.processes => vec![refuse(Vec::new())],
            "setsid" if self.processes => vec![refuse(Vec::new())],
            "prctl" => vec![refuse(vec![Test::is(0, &TIES)])],
            // The clock of a process: see `verdict`.
            "clock_gettime" => vec![refuse(vec![Test::has(0, 1 << 31)])],
            "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo" => match self.signals {
                Signals::ToItself => vec![refuse(vec![Test::is_not(0, &[worker])])],
                // They, their groups, everybody.
                Signals::NotToTheForkserver => {
                    let groups = parents.map(u32::wrapping_neg);
                    vec![refuse(vec![Test::is(0, &[&parents[..], &groups, &[u32::MAX]].concat())])]
                }
            },
            _ => Vec::new(),
        }
    }
}

/// A program of pins for any worker of the same parents: but for its number it is always the same.
pub(crate) struct Template {
    program: Vec<sock_filter>,
    /// Where the worker's number is.
    own: Vec<usize>,
}

impl Template {
    pub(super) fn new(pins: Pins, arch: &Arch, parents: [Pid; 2]) -> Template {
        // Two numbers that no process has.
        let [program, other] = [u32::MAX - 1, u32::MAX - 2].map(|number| pins.program(arch, number, parents));
        let differing = program.iter().zip(&other).enumerate().filter(|(_, (one, other))| one.k != other.k);
        let own = differing.map(|(index, _)| index).collect();
        Template { program, own }
    }

    pub(super) fn program(&self, worker: Pid) -> Vec<sock_filter> {
        let mut program = self.program.clone();
        self.own.iter().for_each(|index| program[*index].k = worker.as_raw_pid().cast_unsigned());
        program
    }
}
