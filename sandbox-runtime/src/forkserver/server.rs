//! The forkserver at work: forks a template for each kind of worker, which goes on by itself, and ends with its host.

use super::children::{Children, kill, live};
use super::message::{self, Request, Restricted};
use crate::enforce::Locks;
use crate::observe::observer;
use crate::sys::process::{self, Fork};
use crate::wire::Setup;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Pid, PidfdFlags};
use std::collections::HashSet;
use std::io;

pub(super) struct Server<'a> {
    control: &'a OwnedFd,
    /// Readable when the host has ended; `None` where it cannot be seen (another pid namespace).
    host: Option<OwnedFd>,
    children: Children,
    /// Asked for while `/sys` is in reach.
    processors: u32,
    known: HashSet<Pid>,
    /// Of whole programs and of threads: they end by themselves, after those.
    observers: HashSet<Pid>,
}

/// What a child is for.
enum Task {
    Template(Box<Setup>, Vec<OwnedFd>),
    Probe(OwnedFd),
    Observer(Box<observer::Task>, Vec<OwnedFd>),
    #[cfg(feature = "learn")]
    Learner(crate::learn::Task, Vec<OwnedFd>),
}

impl<'a> Server<'a> {
    pub(super) fn new(control: &'a OwnedFd) -> io::Result<Server<'a>> {
        let host = Pid::from_raw(process::peer(control.as_fd())?.pid);
        Ok(Server {
            control,
            host: host.and_then(|host| rustix::process::pidfd_open(host, PidfdFlags::empty()).ok()),
            children: Children::new()?,
            processors: process::processors(),
            known: HashSet::new(),
            observers: HashSet::new(),
        })
    }

    /// Serves until the host is gone.
    pub(super) fn run(mut self) -> ! {
        loop {
            let mut fds =
                vec![PollFd::new(self.control, PollFlags::IN), PollFd::new(&self.children, PollFlags::IN)];
            fds.extend(self.host.as_ref().map(|host| PollFd::new(host, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => self.end(),
            }
            let is_set = |fd: &PollFd<'_>| !fd.revents().is_empty();
            let [request, child] = [is_set(&fds[0]), is_set(&fds[1])];
            if fds[2..].iter().any(is_set) {
                self.end();
            }
            if request {
                self.serve_request();
            }
            if child {
                for ended in self.children.reap() {
                    self.known.remove(&ended.pid);
                    self.observers.remove(&ended.pid);
                }
                self.children
                    .kill_left_behind(|pid| self.known.contains(&pid) || self.observers.contains(&pid));
            }
        }
    }

    fn serve_request(&mut self) {
        match message::receive::<Request>(self.control.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Some((Request::Template(setup), fds))) => self.fork(Task::Template(setup, fds)),
            Ok(Some((Request::Probe, mut fds))) => {
                // Without room for them descriptors are closed, which the caller sees.
                if let Some(answer) = fds.pop() {
                    self.fork(Task::Probe(answer));
                }
            }
            Ok(Some((Request::Observe(task), fds))) => self.fork(Task::Observer(Box::new(task), fds)),
            #[cfg(feature = "learn")]
            Ok(Some((Request::Learn(task), fds))) => self.fork(Task::Learner(task, fds)),
            Ok(Some((Request::Restrict { ruleset, filter }, mut fds))) => {
                let locks = Locks::in_place(fds.pop(), filter);
                self.restrict(ruleset, &locks);
            }
            Err(Errno::AGAIN) => {}
            Ok(None) | Err(_) => self.end(),
        }
    }

    /// Where that fails the descriptors are closed, which the caller sees.
    fn fork(&mut self, task: Task) {
        let here = rustix::process::getpid();
        let outlives_us = match &task {
            Task::Template(..) | Task::Probe(_) => false,
            Task::Observer(task, _) => task.outlives_forkserver(),
            #[cfg(feature = "learn")]
            Task::Learner(..) => true,
        };
        match process::fork() {
            Ok(Fork::Child) => live(|| match task {
                Task::Template(setup, fds) => super::template::run(*setup, fds, here, self.processors),
                Task::Probe(answer) => crate::worker::probe(answer, here),
                Task::Observer(task, fds) => observer::run(*task, fds),
                #[cfg(feature = "learn")]
                Task::Learner(task, fds) => observer::lesson::run(task, fds),
            }),
            Ok(Fork::Parent(pid)) if outlives_us => drop(self.observers.insert(pid)),
            Ok(Fork::Parent(pid)) => drop(self.known.insert(pid)),
            Err(_) => {}
        }
    }

    fn restrict(&self, ruleset: bool, locks: &Locks) {
        // Templates that are there are freer than their host is to be; afterwards they may be out of reach.
        self.known.iter().copied().for_each(kill);
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

    fn end(&self) -> ! {
        self.children.end(self.known.iter().copied(), |pid| self.observers.contains(&pid))
    }
}
