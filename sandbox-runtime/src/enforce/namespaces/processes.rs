//! The processes of a worker that has a pid namespace of its own. There are three:
//!
//! - the keeper, which the forkserver forked and watches. It stays in the forkserver's pid namespace, waits for the
//!   body, and ends as it did;
//! - the init of the new namespace, number 1. It reaps what loses its parent, and with it every process there ends. A
//!   body cannot be the init, since the kernel drops signals of its own to an init: `abort` would be a segmentation
//!   fault there;
//! - the body, number 2, a child of the keeper. It cannot see the keeper, nor signal the init.
//!
//! The first two hold no descriptors and no capabilities, and cannot be traced. Whichever is killed, the others end.

use super::super::capabilities;
use super::LockError;
use crate::sys;
use crate::sys::process::{Fork, exit_now, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal};
use std::time::Duration;

/// Returns in the body.
pub(super) fn separate(cpu: Option<Duration>) -> Result<(), LockError> {
    // Asked while `/sys` is in reach.
    let cpu = cpu.map(|limit| (limit, sys::process::processors()));
    let forked = |what| fork().map_err(|error| LockError::new(what, error));
    let init = match forked("fork of the init of a pid namespace")? {
        Fork::Child => be_init(),
        Fork::Parent(init) => init,
    };
    match forked("fork into a pid namespace") {
        Ok(Fork::Child) => be_body().map_err(super::failed("a session in a pid namespace")),
        Ok(Fork::Parent(body)) => keep(body, init, cpu),
        Err(error) => {
            kill(init);
            Err(error)
        }
    }
}

/// As the keeper was: of its own session, ended with its parent, and told of what loses its parent below it.
fn be_body() -> Result<(), Errno> {
    end_with_parent()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
}

fn be_init() -> ! {
    sys::namespaces::ignore_children();
    withdraw();
    loop {
        rustix::event::pause();
    }
}

/// Ends as the body does.
fn keep(body: Pid, init: Pid, cpu: Option<(Duration, u32)>) -> ! {
    withdraw();
    if let Some((limit, processors)) = cpu {
        watch(body, limit, processors);
    }
    let ended = loop {
        match sys::namespaces::wait_for(body) {
            Ok(status) if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) => break Some(status),
            // A body that asked to be traced stops under us. We trace nobody.
            Ok(_) => kill(body),
            Err(_) => break None,
        }
    };
    // The kernel kills all that is left in the namespace before this can be waited for.
    kill(init);
    sys::namespaces::wait_for(init).map_or_else(drop, drop);
    match ended {
        Some(status) if libc::WIFSIGNALED(status) => sys::process::die_by(libc::WTERMSIG(status)),
        Some(status) => exit_now(libc::WEXITSTATUS(status)),
        None => exit_now(1),
    }
}

/// Kills the body when it has used up its processor time. What the forkserver looks at is the keeper's, to which that of
/// the body is added when it has ended.
fn watch(body: Pid, limit: Duration, processors: u32) {
    const PAUSE: Duration = Duration::from_millis(1);
    // Without a descriptor to wait on, the kernel's own limit is there, in whole seconds.
    let Ok(ended) = rustix::process::pidfd_open(body, PidfdFlags::empty()) else { return };
    loop {
        let used = sys::process::cpu_time(body).unwrap_or_default();
        let Some(left) = limit.checked_sub(used).filter(|left| !left.is_zero()) else { return kill(body) };
        // With a thread on every processor it is used up that much faster.
        let pause = Timespec::try_from((left / processors).max(PAUSE)).ok();
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], pause.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Lets go of everything that a body could want. What cannot be let go of ends the process.
fn withdraw() {
    let is_withdrawn = capabilities::keep_only(&[]).is_ok()
        && end_with_parent().is_ok()
        && rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
        && sys::process::close_from(0).is_ok();
    if !is_withdrawn {
        exit_now(1);
    }
}

/// In a session of its own, so that no signal to its group comes. A keeper has one.
fn end_with_parent() -> Result<(), Errno> {
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}

/// A child, which nobody else reaps: it is there, or it needs no killing.
fn kill(child: Pid) {
    rustix::process::kill_process(child, Signal::KILL).unwrap_or_default();
}

/// Whether `RLIMIT_NPROC` counts the processes of this namespace, and those alone: one more than there are can be made,
/// two cannot.
pub(super) fn can_be_limited() -> bool {
    let present = 1 + super::COMPANIONS;
    let most = Some(present + 1);
    let limited = rustix::process::setrlimit(Resource::Nproc, Rlimit { current: most, maximum: most });
    let can_fork = || match fork() {
        Ok(Fork::Child) => loop {
            rustix::event::pause();
        },
        forked => forked.is_ok(),
    };
    limited.is_ok() && can_fork() && !can_fork()
}
