//! The forkserver at work: forks a worker for each request, kills it at its deadline, when its host lets go of
//! it or when the host is gone, and says how it ended.

use super::message::{self, End, Report, Request, Restricted};
use super::watch::Watch;
use crate::enforce::Locks;
use crate::sys::process::{self, Ended, Fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

pub(super) struct Server<'a> {
    control: &'a OwnedFd,
    /// Readable when the host has ended; `None` where it cannot be seen (another pid namespace).
    host: Option<OwnedFd>,
    /// Readable when a child has ended.
    children: OwnedFd,
    /// `/proc/thread-self/children`, opened while it can be; `None` where the kernel does not have it.
    list: Option<OwnedFd>,
    /// Asked for while `/sys` is in reach.
    processors: u32,
    workers: HashMap<Pid, Worker>,
}

/// What a child is for.
enum Task {
    Work([OwnedFd; 2]),
    Probe(OwnedFd),
}

struct Worker {
    /// Hangs up when the host lets go.
    supervision: OwnedFd,
    watch: Watch,
    /// What it was killed for, by the watch.
    verdict: Option<End>,
    killed: bool,
}

impl<'a> Server<'a> {
    pub(super) fn new(control: &'a OwnedFd) -> io::Result<Server<'a>> {
        // What a worker leaves behind becomes our child, and is ended.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let host = Pid::from_raw(process::peer(control.as_fd())?.pid);
        let list =
            rustix::fs::open("/proc/thread-self/children", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        Ok(Server {
            control,
            host: host.and_then(|host| rustix::process::pidfd_open(host, PidfdFlags::empty()).ok()),
            children: crate::sys::signalfd::of_children()?,
            list: list.ok(),
            processors: process::processors(),
            workers: HashMap::new(),
        })
    }

    /// Serves until the host is gone.
    pub(super) fn run(mut self) -> ! {
        loop {
            let ready = self.wait();
            if ready.host_is_gone {
                self.end();
            }
            if ready.request {
                self.serve_request();
            }
            if ready.child {
                self.reap();
            }
            self.kill_the_due(&ready.let_go);
        }
    }

    fn wait(&self) -> Ready {
        let workers: Vec<(&Pid, &Worker)> =
            self.workers.iter().filter(|(_, worker)| !worker.killed).collect();
        let mut fds =
            vec![PollFd::new(self.control, PollFlags::IN), PollFd::new(&self.children, PollFlags::IN)];
        fds.extend(workers.iter().map(|(_, worker)| PollFd::new(&worker.supervision, PollFlags::empty())));
        fds.extend(self.host.as_ref().map(|host| PollFd::new(host, PollFlags::IN)));
        let next = workers.iter().filter_map(|(_, worker)| worker.watch.next_look()).min();
        let left = next.map(|next| next.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ready::default(),
            // Nothing can be watched over any more: it has more descriptors than a limit that was lowered allows.
            Err(_) => return Ready { host_is_gone: true, ..Ready::default() },
        }
        let is_set = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let of_workers = &fds[2..2 + workers.len()];
        Ready {
            request: is_set(&fds[0]),
            child: is_set(&fds[1]),
            let_go: workers
                .iter()
                .zip(of_workers)
                .filter(|(_, fd)| is_set(fd))
                .map(|((pid, _), _)| **pid)
                .collect(),
            host_is_gone: fds[2 + workers.len()..].iter().any(is_set),
        }
    }

    fn serve_request(&mut self) {
        match message::receive::<Request>(self.control.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Some((Request::Fork { timeout, cpu }, fds))) => {
                // Without room for them they are closed, which the caller sees.
                if let Ok([job, reply, supervision]) = <[OwnedFd; 3]>::try_from(fds) {
                    self.fork(
                        Task::Work([job, reply]),
                        supervision,
                        Watch::new(timeout, cpu, self.processors),
                    );
                }
            }
            Ok(Some((Request::Probe, fds))) => {
                if let Ok([answer, supervision]) = <[OwnedFd; 2]>::try_from(fds) {
                    self.fork(Task::Probe(answer), supervision, Watch::new(None, None, self.processors));
                }
            }
            Ok(Some((Request::Restrict { ruleset, filter }, mut fds))) => {
                let ruleset_of = fds.pop();
                let capabilities = Vec::new();
                self.restrict(
                    ruleset,
                    &Locks { ruleset: ruleset_of, recipe: None, filter, namespaces: None, capabilities },
                );
            }
            Err(Errno::AGAIN) => {}
            Ok(None) | Err(_) => self.end(),
        }
    }

    fn fork(&mut self, task: Task, supervision: OwnedFd, watch: Watch) {
        let here = rustix::process::getpid();
        match process::fork() {
            Ok(Fork::Child) => match task {
                Task::Work(channels) => crate::worker::run(channels, here),
                Task::Probe(answer) => crate::worker::probe(answer, here),
            },
            Ok(Fork::Parent(pid)) => {
                self.workers.insert(pid, Worker { supervision, watch, verdict: None, killed: false });
            }
            Err(error) => {
                let end = End::NotForked(error.raw_os_error().unwrap_or(libc::EAGAIN));
                report(supervision.as_fd(), end, 0, Duration::ZERO);
            }
        }
    }

    fn restrict(&self, ruleset: bool, locks: &Locks) {
        let restricted: Restricted = match locks.ruleset.is_some() == ruleset {
            true => locks.close().map(drop).map_err(|error| error.to_string()),
            false => Err("the ruleset was lost on the way".into()),
        };
        let is_restricted = restricted.is_ok();
        // A host that does not hear of it does not go on; half a restriction must not serve.
        if message::send(self.control.as_fd(), &restricted, &[]).is_err() || !is_restricted {
            process::exit_now(1);
        }
    }

    fn reap(&mut self) {
        let mut scratch = [0; 1024];
        while rustix::io::read(&self.children, &mut scratch).is_ok_and(|length| length > 0) {}
        while let Some(ended) = process::reap_any() {
            if !ended.has_ended() {
                // It stopped: a body that asks to be traced stops under us. We trace nobody.
                kill(ended.pid);
                continue;
            }
            if let Some(worker) = self.workers.remove(&ended.pid) {
                report(worker.supervision.as_fd(), worker.end(&ended), ended.max_rss, ended.cpu);
            }
        }
        self.kill_left_behind();
    }

    /// Every child of ours that is no worker was left behind by one that ended. As we alone reap them, their
    /// numbers cannot be others' by now. What they leave behind is ours again, and their end brings us here.
    fn kill_left_behind(&self) {
        for pid in self.list.as_ref().map(children).unwrap_or_default() {
            if !self.workers.contains_key(&pid) {
                kill(pid);
            }
        }
    }

    fn kill_the_due(&mut self, let_go: &[Pid]) {
        let now = Instant::now();
        for (pid, worker) in &mut self.workers {
            if worker.killed {
                continue;
            }
            worker.verdict = worker.watch.look(now, *pid);
            if worker.verdict.is_some() || let_go.contains(pid) {
                worker.killed = true;
                kill(*pid);
            }
        }
    }

    /// Workers die with us too (`PR_SET_PDEATHSIG`), but one could have undone that; and what they started comes
    /// to us, their subreaper, only when they are gone.
    fn end(&mut self) -> ! {
        self.workers.keys().copied().for_each(kill);
        self.workers.clear();
        // Without the list what is left cannot be named, nor waited for.
        while self.list.is_some() && process::wait_any() {
            self.kill_left_behind();
        }
        process::exit_now(0)
    }
}

#[derive(Default)]
struct Ready {
    request: bool,
    child: bool,
    let_go: Vec<Pid>,
    host_is_gone: bool,
}

impl Worker {
    fn end(&self, ended: &Ended) -> End {
        match (self.verdict, ended.status) {
            (Some(verdict), _) => verdict,
            (None, status) if libc::WIFSIGNALED(status) => End::Killed(libc::WTERMSIG(status)),
            (None, status) => End::Exited(libc::WEXITSTATUS(status)),
        }
    }
}

/// A host that is not there any more has no interest.
fn report(supervision: BorrowedFd<'_>, end: End, max_rss: u64, cpu: Duration) {
    message::send(supervision, &Report { end, max_rss, cpu }, &[]).unwrap_or_default();
}

/// A child that ended meanwhile needs no killing.
fn kill(pid: Pid) {
    rustix::process::kill_process(pid, Signal::KILL).unwrap_or_default();
}

/// The kernel writes the list anew for each read from its start.
fn children(list: &OwnedFd) -> Vec<Pid> {
    let mut text = vec![0; 64 * 1024];
    let length = rustix::io::pread(list, &mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]);
    text.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
