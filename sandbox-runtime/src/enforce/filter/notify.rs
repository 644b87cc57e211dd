//! Filters that ask instead of refusing: where nobody may trace, whoever holds the listener is told of each call that is
//! to be refused, and answers with the errno. It can let none pass: what nobody answers does not exist (`ENOSYS`).
//!
//! <https://docs.kernel.org/userspace-api/seccomp_filter.html#userspace-notification>

use super::bpf::{self, Action, Case, Verdict};
use super::calls::Call;
use super::{Arch, HERE, LockError, install, not_installed, ranges, told, unknown, verdict};
use crate::enforce::mark::NOTE;
use crate::plan::{FilterPlan, Placement};
use crate::sys::seccomp::{self, NotInstalled};
use crate::wire;
use libc::sock_filter;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::io::IoSlice;

/// By which the listener leaves. What is refused of it is refused by one more filter, behind it.
const LEAVES_BY: &str = "sendmsg";

/// Installs the filter of a plan so that it asks, and sends its listener over a socket, to who answers with a byte when it
/// has it. False where that cannot be, since who started this program listens already: nothing is installed then.
pub(in crate::enforce) fn ask_instead(
    plan: &FilterPlan,
    socket: BorrowedFd<'_>,
    flags: u64,
) -> Result<bool, LockError> {
    let listener = match seccomp::listen(&asking(plan, HERE), flags) {
        Err(NotInstalled::Errno(Errno::BUSY | Errno::INVAL)) => return Ok(false),
        listener => listener.map_err(not_installed)?,
    };
    let sent = wire::send(socket, &[IoSlice::new(&[0])], &[listener.as_fd()], SendFlags::empty());
    let sent = sent.and_then(|_| receipt(socket));
    sent.map_err(|errno| LockError::new("sending the listener of the filter", errno))?;
    drop(listener);
    install(&rest(plan, HERE), flags)?;
    Ok(true)
}

fn receipt(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    match rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut [0; 1]))? {
        0 => Err(Errno::PIPE),
        _ => Ok(()),
    }
}

/// What the filter of a plan refuses is asked about; the rest it answers.
pub(super) fn asking(plan: &FilterPlan, arch: &Arch) -> Vec<sock_filter> {
    let ask = |call: &Call, action| match told(call, action) {
        // A handler answers it.
        Action::Report(0) => Action::Trap,
        Action::Report(_) => Action::Notify,
        action => action,
    };
    let answer = |call: &Call| match call.name {
        LEAVES_BY => Verdict::new(Vec::new(), Action::Allow),
        "prctl" if plan.mark == Placement::InPlace => {
            let note = Case { then: Action::Notify, ..verdict::note(NOTE) };
            verdict::verdict(call, plan).map(|action| ask(call, action)).after(note)
        }
        _ => verdict::verdict(call, plan).map(|action| ask(call, action)),
    };
    bpf::program(arch.audit, &ranges(arch, unknown(plan), answer))
}

/// What is still to be refused behind it.
pub(super) fn rest(plan: &FilterPlan, arch: &Arch) -> Vec<sock_filter> {
    let answer = |call: &Call| match call.name {
        LEAVES_BY => verdict::verdict(call, plan),
        _ => Verdict::new(Vec::new(), Action::Allow),
    };
    bpf::program(arch.audit, &ranges(arch, Action::Allow, answer))
}

/// What the filter of a plan refuses a call with.
pub(crate) fn refusal(plan: &FilterPlan, call: &seccomp::Call) -> i32 {
    let known = u32::try_from(call.number).ok().and_then(|number| HERE.call(number));
    match known.map(|known| verdict::verdict(known, plan).of(&call.arguments)) {
        Some(Action::Errno(errno)) => errno,
        // It is asked of no other.
        _ => libc::EPERM,
    }
}
