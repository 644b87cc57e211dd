//! The children of a forkserver or a template: their end, and what they leave behind.

use crate::sys::process::{self, Ended, parent_of, tracer_of};
use crate::worker::PANICKED;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) struct Children {
    /// Readable when a child has ended.
    signal: OwnedFd,
    /// `/proc/thread-self/children`, opened while it can be; `None` where the kernel does not have it.
    list: Option<OwnedFd>,
}

impl Children {
    pub(super) fn new() -> io::Result<Children> {
        // What a child leaves behind becomes ours, and is ended.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let list = rustix::fs::open("/proc/thread-self/children", flags, Mode::empty()).ok();
        Ok(Children { signal: crate::sys::signalfd::of_children()?, list })
    }

    /// Reaps those that have ended.
    pub(super) fn reap(&self) -> impl Iterator<Item = Ended> {
        let mut scratch = [0; 1024];
        while rustix::io::read(&self.signal, &mut scratch).is_ok_and(|length| length > 0) {}
        std::iter::from_fn(|| {
            loop {
                let ended = process::reap_any()?;
                if ended.has_ended() {
                    return Some(ended);
                }
                // It stopped: a body that asks to be traced stops under us. We trace nobody.
                kill(ended.pid);
            }
        })
    }

    /// Ends every child that is not known: it was left behind by one that ended. As we alone reap them, their numbers
    /// cannot be others' by now. What they leave behind is ours again, and their end brings us here.
    pub(super) fn kill_left_behind(&self, is_known: impl Fn(Pid) -> bool) {
        let pids = self.list.as_ref().map(pids).unwrap_or_default();
        pids.into_iter().filter(|pid| !is_known(*pid)).for_each(kill);
    }

    /// Ends all of them but those to `wait_for`, and this process. They die with it anyway (`PR_SET_PDEATHSIG`), but what
    /// they started comes to us, their subreaper, only when they are gone.
    pub(super) fn end(&self, known: impl Iterator<Item = Pid>, wait_for: impl Fn(Pid) -> bool) -> ! {
        known.for_each(kill);
        // Without the list what is left cannot be named, nor waited for.
        while self.list.is_some() && process::wait_any() {
            self.kill_left_behind(&wait_for);
        }
        process::exit_now(0)
    }
}

impl AsFd for Children {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

/// The life of a child that was just forked. A panic in it must not unwind into what its parent was about.
pub(super) fn live(life: impl FnOnce()) -> ! {
    let lived = catch_unwind(AssertUnwindSafe(life));
    // To drop what a panic carries is to run more of its code.
    std::mem::forget(lived);
    process::exit_now(PANICKED)
}

/// One that ended meanwhile needs no killing.
pub(super) fn kill(pid: Pid) {
    rustix::process::kill_process(pid, Signal::KILL).unwrap_or_default();
}

/// Ends the observer of one that was killed. Until it has seen that end nobody else can, and it may be stopped itself. Like
/// us it is a child of the forkserver; a debugger is not.
pub(super) fn end_observer(killed: Pid) {
    let tracer = tracer_of(killed).and_then(Pid::from_raw);
    let is_ours = |tracer: &Pid| parent_of(*tracer) == rustix::process::getppid();
    tracer.filter(is_ours).into_iter().for_each(kill);
}

/// The kernel writes the list anew for each read from its start.
fn pids(list: &OwnedFd) -> Vec<Pid> {
    // Few fit the stack of a template, whose other memory its workers share until it is written to.
    let mut few = [0; 1024];
    let mut many = Vec::new();
    let text = match rustix::io::pread(list, &mut few, 0).unwrap_or(0) {
        length if length < few.len() => &few[..length],
        _ => {
            many.resize(64 * 1024, 0);
            let length = rustix::io::pread(list, &mut many, 0).unwrap_or(0);
            &many[..length]
        }
    };
    let text = String::from_utf8_lossy(text);
    text.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// In a process of its own, which would go on as the harness does if the panic came to it.
    #[test]
    fn a_panic_of_a_child_ends_it() {
        const NAME: &str = "forkserver::children::tests::a_panic_of_a_child_ends_it";
        const IS_CHILD: &str = "SANDBOXED_TEST_CHILD";
        if std::env::var_os(IS_CHILD).is_some_and(|child| child == NAME) {
            live(|| panic!("as it is wanted"));
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).env(IS_CHILD, NAME);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(PANICKED), "{output:?}");
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(stderr.contains("as it is wanted") && !stdout.contains("test result"), "{output:?}");
    }
}
