//! What an act answers, computed from the plan alone.

use crate::probe::{Probe, Side};
use crate::stage::View;
use libc::{EACCES, EFBIG, EMFILE, ENOENT, ENOMEM, EPERM, EXDEV};
use sandboxed::{Access, Layer, NetAccess, Placement, Plan, Promise};

/// The errno, or 0; `free` is what it answers outside of a sandbox.
pub fn expected(plan: &Plan, view: &View, probe: &Probe, free: i32) -> i32 {
    let held = plan.held.get(&probe.promise);
    let by_filter = held.is_some_and(|layers| layers.contains(&Layer::Filter));
    let in_worker = plan.placement == Placement::Process;
    match (probe.promise, probe.side) {
        // There is no process to run it in.
        (Promise::File(Access::EXECUTE), _) if plan.held.contains_key(&Promise::NewProcesses) => EPERM,
        // No path may be named.
        (Promise::File(right), _) if in_worker && !plan.files && right != Access::RESOLVE_UNIX => EACCES,
        // Also beside sockets, which may tell of files by another way.
        (Promise::Existence, Side::Outside) if in_worker && !plan.files => EACCES,
        (Promise::File(_), side) => match missing(plan, view, probe, side).as_slice() {
            [] => free,
            [Access::REFER] => EXDEV,
            _ => EACCES,
        },
        (Promise::Port(access), side) if held.is_some() => {
            if by_filter || !is_granted(plan, view, access, side) { EACCES } else { free }
        }
        // Both ends of an own one need the sockets that the filter refuses.
        (Promise::AbstractUnixSocket, _) if by_filter => EACCES,
        (Promise::Environment, Side::Inside) if held.is_some() => {
            if plan.env.contains(&view.inside.variable) { free } else { ENOENT }
        }
        // The twin of a process is a thread.
        (Promise::NewProcesses, Side::Inside) if plan.held.contains_key(&Promise::Threads) => EPERM,
        (_, Side::Inside) => free,
        (promise, Side::Outside) if held.is_some() => refusal(promise),
        (_, Side::Outside) => free,
    }
}

/// The errno of what is refused as a whole.
fn refusal(promise: Promise) -> i32 {
    match promise {
        Promise::Listen | Promise::OtherSockets | Promise::Metadata | Promise::Existence => EACCES,
        Promise::AbstractUnixSocket | Promise::Signal | Promise::Ptrace | Promise::Timeout => EPERM,
        Promise::IoUring | Promise::NewProcesses | Promise::Threads | Promise::OtherSystemCalls => EPERM,
        Promise::UncountedMemory => EPERM,
        Promise::Memory => ENOMEM,
        Promise::OpenFiles => EMFILE,
        Promise::FileSize => EFBIG,
        Promise::HostStdio | Promise::Environment => ENOENT,
        other => panic!("{other:?} is held now: say here how its refusal shows"),
    }
}

/// Of the rights that the act asks for, those that are refused there.
fn missing(plan: &Plan, view: &View, probe: &Probe, side: Side) -> Vec<Access> {
    let granted = granted(plan, view, side);
    let is_held = |right: &Access| plan.held.contains_key(&Promise::File(*right));
    probe.needs().each().filter(|right| is_held(right) && !granted(*right, probe)).collect()
}

/// Whether a rule of the plan grants a right on what the act touches.
fn granted<'a>(plan: &'a Plan, view: &'a View, side: Side) -> impl Fn(Access, &Probe) -> bool + 'a {
    let place = view.place(side);
    move |right, probe| {
        let object = match probe.promise {
            Promise::File(Access::IOCTL_DEV) => place.device.clone(),
            Promise::File(Access::RESOLVE_UNIX) => place.dir.join("socket"),
            _ => place.dir.join("file"),
        };
        let rules = plan.ruleset.iter().flat_map(|ruleset| &ruleset.paths);
        rules.into_iter().any(|rule| rule.rights.contains(right) && object.starts_with(&rule.path))
    }
}

fn is_granted(plan: &Plan, view: &View, access: NetAccess, side: Side) -> bool {
    let place = view.place(side);
    let port = match access {
        NetAccess::BindTcp | NetAccess::BindUdp => place.bind,
        NetAccess::ConnectTcp => place.tcp,
        NetAccess::ConnectSendUdp => place.udp,
    };
    let rules = plan.ruleset.iter().flat_map(|ruleset| &ruleset.ports);
    rules.into_iter().any(|rule| rule.access == access && rule.ports.contains(&port))
}
