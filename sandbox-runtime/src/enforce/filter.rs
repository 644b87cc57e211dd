//! System call filters from a plan.
//!
//! A worker's denies by default: what no grant needs is refused, with `EACCES` where a path, a socket or memory is asked
//! for, else with `EPERM`; what is not known does not exist (`ENOSYS`). In a thread and in place everything passes but
//! what the plan refuses. In all of them other tables of calls (x32, `int 0x80`) kill the process.
//!
//! <https://docs.kernel.org/userspace-api/seccomp_filter.html>

mod bpf;
mod calls;
mod notify;
mod pins;
#[cfg(test)]
mod tests;
mod verdict;

use super::LockError;
use super::mark::NOTE;
use crate::plan::{FilterPlan, Limits, Placement};
use crate::sys::seccomp;
pub(crate) use bpf::REPORT;
use bpf::{Action, Range, Verdict};
use calls::{BUSY, CALLS, Call, LOOKED_AT, NONE, UNDER_FILE_SIZE, UNDER_MEMORY, UNDER_OPEN_FILES};
use libc::sock_filter;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

pub(crate) use calls::Purpose;
pub(super) use notify::ask_instead;
pub(crate) use notify::refusal;
pub(crate) use pins::Pins;

/// What a system call is for, by its kernel name.
pub(crate) fn purpose(call: &str) -> Option<Purpose> {
    CALLS.iter().find(|known| known.name == call).map(|known| known.purpose)
}

/// A program as it goes to a worker: code, jt, jf, k of each instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Program(Vec<(u16, u8, u8, u32)>);

impl From<Vec<sock_filter>> for Program {
    fn from(steps: Vec<sock_filter>) -> Program {
        Program(steps.iter().map(|step| (step.code, step.jt, step.jf, step.k)).collect())
    }
}

impl Program {
    fn steps(&self) -> Vec<sock_filter> {
        self.0.iter().map(|&(code, jt, jf, k)| sock_filter { code, jt, jf, k }).collect()
    }
}

/// A compiled filter, as it goes to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    program: Program,
    /// What the worker adds for itself.
    pins: Option<Pins>,
}

/// What differs between architectures.
struct Arch {
    /// As `seccomp_data` names it (`AUDIT_ARCH_*`).
    audit: u32,
    number: fn(&Call) -> u32,
    /// x86_64 lets programs use a second table of calls, whose numbers have bit 30 set.
    x32: bool,
}

impl Arch {
    /// The call of a number.
    fn call(&self, number: u32) -> Option<&'static Call> {
        CALLS.iter().find(|call| number != NONE && (self.number)(call) == number)
    }
}

#[cfg(target_arch = "x86_64")]
const HERE: &Arch = &X86_64;
#[cfg(target_arch = "aarch64")]
const HERE: &Arch = &AARCH64;

const X86_64: Arch = Arch { audit: 0xc000_003e, number: |call| call.x86_64, x32: true };
const AARCH64: Arch = Arch { audit: 0xc000_00b7, number: |call| call.aarch64, x32: false };

const X32: u32 = 1 << 30;

/// The kernel's name of a system call, by architecture (`AUDIT_ARCH_*`) and number.
pub(crate) fn call_name(audit_arch: u32, number: u32) -> Option<&'static str> {
    let arch = [&X86_64, &AARCH64].into_iter().find(|arch| arch.audit == audit_arch)?;
    arch.call(number).map(|call| call.name)
}

/// Every filter that was compiled so far: policies are few, calls are many.
static COMPILED: Mutex<BTreeMap<FilterPlan, Filter>> = Mutex::new(BTreeMap::new());

impl Filter {
    /// The filter of a plan for this architecture.
    pub(super) fn of(plan: &FilterPlan) -> Filter {
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.entry(*plan).or_insert_with(|| Filter::compile(plan)).clone()
    }

    fn compile(plan: &FilterPlan) -> Filter {
        Filter { program: program(plan, HERE).into(), pins: Pins::of(plan) }
    }

    /// For the calling thread.
    pub(super) fn apply(&self) -> Result<(), LockError> {
        install(&self.program(), 0)
    }

    /// All threads or none (`SECCOMP_FILTER_FLAG_TSYNC`).
    pub(super) fn apply_all_threads(&self) -> Result<(), LockError> {
        install(&self.program(), seccomp::TSYNC)
    }

    /// For a worker: the filter, then what it pins to this process and its parents.
    pub(super) fn apply_in_worker(&self, parents: [Pid; 2]) -> Result<(), LockError> {
        self.apply()?;
        self.pins(parents).map_or(Ok(()), |pins| pins.apply())
    }

    /// What is left for workers whose template has the filter.
    pub(crate) fn pins(&self, parents: [Pid; 2]) -> Option<WorkerPins> {
        self.pins.map(|pins| WorkerPins(pins::Template::new(pins, HERE, parents)))
    }

    pub(super) fn program(&self) -> Vec<sock_filter> {
        self.program.steps()
    }
}

/// Two filters more, which only tell: what the filter of a plan and its pins refuse comes to a tracer as a signal with the
/// errno, and what else may be refused is handed to it. Beside the enforcing filters they loosen nothing, and without a
/// tracer they break the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reporting {
    /// Whose refusals it tells.
    pub(super) plan: Option<FilterPlan>,
    program: Program,
    pins: Option<Pins>,
}

impl Reporting {
    /// Also what the limits refuse.
    pub(super) fn of(plan: &FilterPlan, limits: &Limits) -> Reporting {
        let told = |call: &Call| {
            let first = match call.name {
                "fcntl" if limits.open_files.is_some() => Some(verdict::dup()),
                "prctl" if plan.mark == Placement::InPlace => Some(verdict::note(NOTE)),
                _ => None,
            };
            let is_looked_at = first.is_none() && (is_looked_at(call.name) || is_under(call.name, limits));
            let verdict = verdict::verdict(call, plan).map(|action| match action {
                Action::Allow if is_looked_at => Action::Trace,
                action => told(call, action),
            });
            match first {
                Some(case) => verdict.after(case),
                None => verdict,
            }
        };
        let program = bpf::program(HERE.audit, &ranges(HERE, unknown(plan), told));
        Reporting { plan: Some(*plan), program: program.into(), pins: Pins::of(plan) }
    }

    /// One that refuses nothing but says, as every filter does, where it is: a tracer is told what grants are about.
    #[cfg(feature = "learn")]
    pub(super) fn of_uses(placement: Placement) -> Reporting {
        let program =
            bpf::program(HERE.audit, &ranges(HERE, Action::Allow, |call| verdict::told_of(call, placement)));
        Reporting { plan: None, program: program.into(), pins: None }
    }

    pub(super) fn apply(&self, flags: u64) -> Result<(), LockError> {
        install(&self.program(), flags)
    }

    pub(super) fn apply_in_worker(&self, parents: [Pid; 2]) -> Result<(), LockError> {
        self.apply(0)?;
        let own = rustix::process::getpid().as_raw_pid().cast_unsigned();
        self.pins.map_or(Ok(()), |pins| install(&pins.reporting(HERE, own, parents), 0))
    }

    pub(super) fn program(&self) -> Vec<sock_filter> {
        self.program.steps()
    }
}

/// Whether a tracer looks at what comes of a call, whatever the limits.
pub(crate) fn is_looked_at(call: &str) -> bool {
    LOOKED_AT.contains(&call)
}

/// Whether one of the limits may refuse it.
fn is_under(call: &str, limits: &Limits) -> bool {
    let Limits { memory, file_size, open_files, .. } = limits;
    [(open_files, UNDER_OPEN_FILES), (file_size, UNDER_FILE_SIZE), (memory, UNDER_MEMORY)]
        .iter()
        .any(|(limit, calls)| limit.is_some() && calls.contains(&call))
}

/// What a tracer is told of an answer. Not what is refused for what it does not know, nor how it is asked who is in a
/// sandbox.
fn told(call: &Call, action: Action) -> Action {
    match action {
        verdict::ENOSYS => verdict::ENOSYS,
        verdict::EACCES if call.name == "prctl" => verdict::EACCES,
        Action::Errno(errno) => Action::Report(errno),
        // The tracer answers in the place of the handler, which the kernel resets where the signal is blocked.
        Action::Trap => Action::Report(0),
        action => action,
    }
}

/// The kernel's name of a call of this architecture.
pub(crate) fn name_of_call(number: u64) -> &'static str {
    let known = u32::try_from(number).ok().and_then(|number| HERE.call(number));
    known.map_or("a call that is not known", |call| call.name)
}

/// And its number, by name.
pub(crate) fn number_of_call(name: &str) -> u64 {
    let found = CALLS.iter().find(|call| call.name == name);
    found.map_or(u64::MAX, |call| (HERE.number)(call).into())
}

/// The second filter of any worker of the same parents.
pub(crate) struct WorkerPins(pins::Template);

impl WorkerPins {
    /// Pins the calling process, for good.
    pub(super) fn apply(&self) -> Result<(), LockError> {
        install(&self.0.program(rustix::process::getpid()), 0)
    }
}

fn install(program: &[sock_filter], flags: u64) -> Result<(), LockError> {
    seccomp::install(program, flags).map_err(not_installed)
}

fn not_installed(error: seccomp::NotInstalled) -> LockError {
    match error {
        seccomp::NotInstalled::Thread(thread) => {
            let what = format!(
                "thread {thread} is in a sandbox of its own, and restricting all threads would loosen it"
            );
            LockError { what, cause: None }
        }
        seccomp::NotInstalled::Errno(errno) => LockError::new("system call filter", errno),
    }
}

fn program(plan: &FilterPlan, arch: &Arch) -> Vec<sock_filter> {
    bpf::program(arch.audit, &ranges(arch, unknown(plan), |call| verdict::verdict(call, plan)))
}

/// What the filter of a plan answers to calls that it does not know.
fn unknown(plan: &FilterPlan) -> Action {
    match plan.mark {
        Placement::Process => verdict::ENOSYS,
        Placement::Thread | Placement::InPlace => Action::Allow,
    }
}

/// The answers to all numbers, where neighbours with one answer are one.
fn ranges(arch: &Arch, unknown: Action, verdict: impl Fn(&Call) -> Verdict) -> Vec<Range> {
    let calls: BTreeMap<u32, &Call> =
        CALLS.iter().map(|call| ((arch.number)(call), call)).filter(|(number, _)| *number != NONE).collect();
    let unknown = || Verdict::new(Vec::new(), unknown);
    let end = calls.last_key_value().map_or(0, |(last, _)| last + 1);
    let mut ranges: Vec<Range> = Vec::new();
    let mut add = |first, verdict: Verdict, weight| match ranges.last_mut() {
        Some(last) if last.verdict == verdict => last.weight += weight,
        _ => ranges.push(Range { first, verdict, weight }),
    };
    for number in 0..end {
        let call = calls.get(&number);
        let busy = call.is_some_and(|call| BUSY.contains(&call.name));
        add(number, call.map_or_else(unknown, |call| verdict(call)), if busy { 32 } else { 1 });
    }
    add(end, unknown(), 1);
    if arch.x32 {
        add(X32, Verdict::new(Vec::new(), Action::KillProcess), 1);
    }
    ranges
}
