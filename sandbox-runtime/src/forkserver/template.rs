//! A template: locked as its workers are to be as far as a parent can be, it forks them ahead of need, kills them at
//! their deadline, when their host lets go of them or when the host is gone, and says how they ended.
//!
//! What it installs once its workers need not: the filter above all, whose length is paid at each install. What names a
//! process each does for itself: a layer of Landlock, since siblings in one domain may signal and trace each other, and
//! the pins of the filter.

use super::children::{Children, end_observer, kill, live};
use super::message::{self, End, Report, TemplateRequest};
use super::stock::Stock;
use super::watch::Watch;
use crate::sys::process::{self, Fork, now};
use crate::wire::{self, Files, Number, Reaped, Setup, Slots, State, Wiper, drain_fds};
use crate::worker::{self, Openings, Prepared};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

/// How long at most it goes without a look at its workers, while it has any: one that was to end by itself may not.
const LOOK: Duration = Duration::from_millis(250);
/// And how long at least.
const SHORTEST_LOOK: Duration = Duration::from_micros(200);
/// How long a worker waits for a call before it is given up.
const IDLE: Duration = Duration::from_secs(10);
/// How long a worker that was killed may be kept by who traces it: less than the host waits.
const HELD: Duration = Duration::from_secs(2);

struct Template {
    control: OwnedFd,
    slots: Slots,
    children: Children,
    processors: u32,
    prepared: Prepared,
    lanes: HashMap<usize, Lane>,
    stock: Option<Stock>,
}

/// What leads to the worker of a slot, whichever it is.
struct Lane {
    number: Number,
    own_streams: bool,
    openings: Openings,
    wiper: Wiper,
    /// Only we have it: the host sees when we are gone.
    end: OwnedFd,
    worker: Option<Worker>,
    /// How much of the reply's memory to have at hand.
    at_hand: usize,
}

struct Worker {
    pid: Pid,
    watch: Watch,
    /// What it was killed for, by the watch.
    verdict: Option<End>,
    /// The turn that it was last seen at, and when it was seen to have had one.
    turn: u32,
    used: u64,
    /// It is killed for want of use.
    is_given_up: bool,
}

/// The life of a template, in the process that was just forked by `parent`.
pub(super) fn run(setup: Setup, fds: Vec<OwnedFd>, parent: Pid, processors: u32) -> ! {
    match Template::prepare(setup, fds, parent, processors) {
        Ok(template) => template.run(),
        // The host sees that its end of the socket is closed.
        Err(_) => process::exit_now(1),
    }
}

impl Template {
    fn prepare(setup: Setup, fds: Vec<OwnedFd>, parent: Pid, processors: u32) -> io::Result<Template> {
        worker::begin_session(parent)?;
        let mut fds = VecDeque::from(fds);
        let mut take = || fds.pop_front().ok_or(io::ErrorKind::UnexpectedEof);
        let (control, slots) = (take()?, take()?);
        let kept: Vec<_> = [&control, &slots].into_iter().chain(&fds).collect();
        process::close_all_but(&kept)?;
        let slots = Slots::open(slots.as_fd())?;
        let children = Children::new()?;
        let prepared = Prepared::new(setup, fds, parent);
        Ok(Template { control, slots, children, processors, prepared, lanes: HashMap::new(), stock: None })
    }

    /// Serves until the host is gone.
    fn run(mut self) -> ! {
        let mut look = LOOK;
        loop {
            let mut fds =
                [PollFd::new(&self.control, PollFlags::IN), PollFd::new(&self.children, PollFlags::IN)];
            let left = match &self.stock {
                Some(stock) if stock.is_busy() => Some(Timespec::default()),
                // The host asks for the next one.
                None if self.lanes.values().all(|lane| lane.worker.is_none()) => None,
                _ => Timespec::try_from(look).ok(),
            };
            let [request, child] = match poll(&mut fds, left.as_ref()) {
                Ok(_) => [!fds[0].revents().is_empty(), !fds[1].revents().is_empty()],
                Err(Errno::INTR) => continue,
                Err(_) => self.end(),
            };
            if child {
                self.reap();
            }
            if request {
                self.serve_request();
            }
            look = self.look();
            self.stock = self.stock.take().filter(|stock| stock.is_kept(&self.slots, nanoseconds(IDLE)));
            if !request && let Some(stock) = self.stock.as_mut().filter(|stock| stock.is_busy()) {
                stock.go_on();
            }
        }
    }

    fn serve_request(&mut self) {
        match message::receive_in_template(self.control.as_fd()) {
            Ok(Some((TemplateRequest::Open(number), fds))) => self.open(number, fds),
            Ok(Some((TemplateRequest::Fork(number), _))) => self.fork(number),
            Ok(Some((TemplateRequest::Close(number), _))) => {
                // It is reaped as one that was left behind.
                let worker = self.lanes.remove(&number.number).and_then(|lane| lane.worker);
                worker.into_iter().for_each(|worker| kill(worker.pid));
            }
            Ok(Some((TemplateRequest::Look, _))) => self.kill_the_done(),
            Ok(Some((TemplateRequest::Touch { number, length }, fds))) => {
                self.stock = fds.into_iter().next().map(|file| Stock::new(file, number, length));
            }
            Err(Errno::AGAIN) => {}
            Ok(None) | Err(_) => self.end(),
        }
    }

    /// Where that fails descriptors are closed, which the host sees.
    fn open(&mut self, number: Number, fds: Vec<OwnedFd>) {
        // Some are lost where the table of descriptors is full.
        if number.number >= wire::MOST_WORKERS || fds.len() != self.prepared.descriptors() {
            return;
        }
        let mut fds = fds.into_iter();
        let [Some(request), Some(reply), Some(bell), Some(end), Some(job)] =
            std::array::from_fn(|_| fds.next())
        else {
            return;
        };
        let files = Files { request, reply };
        let Ok(wiper) = Wiper::new(&files, self.prepared.window()) else { return };
        let openings = Openings { files, bell, job, stdio: fds.collect() };
        self.lanes.insert(
            number.number,
            Lane {
                number,
                own_streams: self.prepared.has_own_streams(),
                openings,
                wiper,
                end,
                worker: None,
                at_hand: 0,
            },
        );
        self.fork(number);
    }

    /// Forks a worker where there is none. A host that has taken the slot did not wait for it.
    fn fork(&mut self, number: Number) {
        let is_vacant = |lane: &&mut Lane| lane.number == number && lane.worker.is_none();
        let Some(lane) = self.lanes.get_mut(&number.number).filter(is_vacant) else { return };
        let slot = self.slots.slot(number);
        let Some(state) = slot.vacancy() else { return };
        if state == State::Done && !lane.clean(&self.slots) {
            self.end();
        }
        // A child does not have the slots.
        let (here, turn) = (rustix::process::getpid(), slot.turn());
        match process::fork() {
            Ok(Fork::Child) => {
                live(|| worker::run(&lane.openings, &mut self.prepared, turn, lane.at_hand, here))
            }
            Ok(Fork::Parent(pid)) => {
                let watch = Watch::new(self.prepared.limits().cpu, self.processors);
                lane.worker =
                    Some(Worker { pid, watch, verdict: None, turn, used: now(), is_given_up: false });
                if state != State::Taken && slot.change(state, State::Ready) {
                    self.slots.ring();
                }
            }
            Err(error) if state == State::Taken => {
                let end = End::NotForked(error.raw_os_error().unwrap_or(libc::EAGAIN));
                if slot.reap(&Report { end, max_rss: 0, cpu: Duration::ZERO }, false) == Reaped::InCall {
                    lane.tell();
                }
            }
            // Whoever takes it asks again.
            Err(_) => drop(slot.change(state, State::Empty)),
        }
    }

    fn reap(&mut self) {
        let mut through = Vec::new();
        for ended in self.children.reap() {
            let Some(lane) = self.lanes.values_mut().find(|lane| lane.is_of(ended.pid)) else { continue };
            let Some(worker) = lane.worker.take() else { continue };
            match lane.settle(&self.slots, &worker, &ended) {
                Next::Worker => through.push(lane.number),
                Next::Nothing => {}
                Next::End => self.end(),
            }
        }
        let lanes = &self.lanes;
        self.children.kill_left_behind(|pid| lanes.values().any(|lane| lane.is_of(pid)));
        for number in through {
            self.fork(number);
        }
    }

    /// Ends the workers that are due; says how soon to look again.
    fn look(&mut self) -> Duration {
        let now = now();
        let limits = self.prepared.limits();
        // A call that begins right after a look is over no sooner.
        let shortest = [limits.timeout, limits.cpu.map(|cpu| cpu / self.processors)];
        let mut next = nanoseconds(shortest.into_iter().flatten().fold(LOOK, Duration::min));
        for lane in self.lanes.values_mut() {
            let slot = self.slots.slot(lane.number);
            let Some(worker) = &mut lane.worker else { continue };
            if worker.turn != slot.turn() {
                (worker.turn, worker.used) = (slot.turn(), now);
            }
            let unused = now.saturating_sub(worker.used);
            match slot.state() {
                State::Taken => {
                    worker.used = now;
                    worker.verdict = slot.doom(|deadline| {
                        let verdict = match now >= deadline {
                            true => Some(End::TimedOut),
                            false => worker.watch.look(now, worker.pid),
                        };
                        next = next.min(deadline.min(worker.watch.next_look()).saturating_sub(now));
                        verdict
                    });
                    worker.verdict.iter().for_each(|_| kill(worker.pid));
                }
                State::Ready if unused >= nanoseconds(IDLE) && slot.change(State::Ready, State::Done) => {
                    worker.is_given_up = true;
                    kill(worker.pid);
                }
                // It was to end by itself.
                State::Done if unused >= nanoseconds(LOOK) => kill(worker.pid),
                State::Doomed if unused >= nanoseconds(HELD) => end_observer(worker.pid),
                State::Done | State::Ready | State::Doomed | State::Empty | State::Ended => {}
            }
        }
        Duration::from_nanos(next).max(SHORTEST_LOOK)
    }

    /// The host wants none of those any more that it is through with.
    fn kill_the_done(&mut self) {
        for lane in self.lanes.values() {
            if self.slots.slot(lane.number).state() == State::Done {
                lane.worker.iter().for_each(|worker| kill(worker.pid));
            }
        }
    }

    fn end(&self) -> ! {
        let workers = self.lanes.values().filter_map(|lane| lane.worker.as_ref());
        self.children.end(workers.map(|worker| worker.pid), |_| false)
    }
}

impl Lane {
    fn is_of(&self, pid: Pid) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.pid == pid)
    }

    /// After the worker's end: says so to a host that waits, or makes ready for the next.
    fn settle(&mut self, slots: &Slots, worker: &Worker, ended: &process::Ended) -> Next {
        let report = Report { end: worker.end(ended), max_rss: ended.max_rss, cpu: ended.cpu };
        let slot = slots.slot(self.number);
        match slot.reap(&report, worker.is_given_up) {
            Reaped::InCall => self.tell(),
            Reaped::Done => return Next::Worker,
            Reaped::Waiting if !self.clean(slots) => return Next::End,
            Reaped::Waiting => drop(slot.change(State::Done, State::Empty)),
            Reaped::Nobodys => {}
        }
        Next::Nothing
    }

    /// Has the host look at the slot. The pipe is ours alone; where it is full the host knows.
    fn tell(&self) {
        rustix::io::write(&self.end, &[0]).unwrap_or_default();
        self.wiper.wake_host();
    }

    /// Takes away what a worker has left for the next: in the memory of its replies, and in its socket. (The host sees to
    /// the requests and the streams.) Where that fails nothing must go on.
    fn clean(&mut self, slots: &Slots) -> bool {
        drain_fds(self.openings.job.as_fd());
        // What it made of the open files that the next has too.
        let streams = self.openings.stdio.iter().filter(|_| self.own_streams);
        for fd in streams.chain([&self.openings.bell]) {
            rustix::fs::fcntl_setfl(fd, OFlags::empty()).unwrap_or_default();
        }
        let wiped = self.wiper.wipe(&self.openings.files, slots.slot(self.number).read());
        self.at_hand = wiped.unwrap_or(0);
        wiped.is_ok()
    }
}

/// What follows the end of a worker.
enum Next {
    Worker,
    Nothing,
    End,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Worker {
    fn end(&self, ended: &process::Ended) -> End {
        match (self.verdict, ended.status) {
            (Some(verdict), _) => verdict,
            (None, status) if libc::WIFSIGNALED(status) => End::Killed(libc::WTERMSIG(status)),
            (None, status) => End::Exited(libc::WEXITSTATUS(status)),
        }
    }
}
